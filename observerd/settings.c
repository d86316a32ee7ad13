#include "observerd/settings.h"

#include <stdlib.h>
#include <string.h>

#include "shared/log.h"

struct reloaded {
    struct reloaded *before;
    struct config *cfg;        /* NULL: main's own */
    struct redactor *redactor; /* NULL: none, or the one before stays in force */
};

static void
keep(struct settings *s, struct config *cfg, struct redactor *redactor)
{
    struct reloaded *r = xcalloc(1, sizeof *r);

    *r = (struct reloaded){s->reloaded, cfg, redactor};
    s->reloaded = r;
}

bool
settings_init(struct settings *s, const struct program *program, const struct config *cfg,
              struct err *err)
{
    struct redactor *redactor;

    *s = (struct settings){.program = program, .cfg = cfg};
    if (!redact_new(cfg->redact_patterns.items, cfg->redact_patterns.n, &redactor, err))
        return false;
    s->redactor = redactor;
    keep(s, NULL, redactor);
    return true;
}

void
settings_fini(struct settings *s)
{
    for (struct reloaded *r = s->reloaded, *before; r; r = before) {
        before = r->before;
        redact_free(r->redactor);
        config_free(r->cfg);
        free(r);
    }
}

static bool
same_patterns(const struct config *a, const struct config *b)
{
    bool same = a->redact_patterns.n == b->redact_patterns.n;

    for (size_t i = 0; same && i < a->redact_patterns.n; i++)
        same = strcmp(a->redact_patterns.items[i], b->redact_patterns.items[i]) == 0;
    return same;
}

bool
settings_reload(struct settings *s)
{
    struct redactor *redactor = NULL;
    struct config *cfg;
    struct err err;

    if (!program_reload(s->program, s->cfg, &cfg))
        return false;
    if (!same_patterns(s->cfg, cfg)) {
        if (!redact_new(cfg->redact_patterns.items, cfg->redact_patterns.n, &redactor, &err))
            BUG("patterns that were checked: %s", err.msg);
        s->redactor = redactor;
    }
    keep(s, cfg, redactor);
    s->cfg = cfg;
    return true;
}
