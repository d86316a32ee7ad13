/*
 * settings.h - what is in force, and how it changes while the program runs.
 *
 * Purpose    the settings, and what is built from those that a reload may change.
 * Ownership  struct settings is main's. cfg and redactor are lent until settings_free: threads may
 *            still look at what was in force before, so nothing goes earlier.
 * Errors     settings_init: patterns that do not compile. A reload that fails changes nothing.
 * Threads    the control thread; others are told by message.
 */
#ifndef MACP_OBSERVERD_SETTINGS_H
#define MACP_OBSERVERD_SETTINGS_H

#include "observerd/redact.h"
#include "shared/program.h"

struct settings {
    const struct program *program;
    const struct config *cfg;
    const struct redactor *redactor; /* NULL: nothing is redacted */
    struct reloaded *reloaded;       /* what is owned, latest first */
};

/* cfg is borrowed. */
bool settings_init(struct settings *s, const struct program *program, const struct config *cfg,
                   struct err *err) MUST_CHECK;
void settings_fini(struct settings *s);
/* Read everything again, say in the log what changed. False: nothing did, a value is bad. */
bool settings_reload(struct settings *s) MUST_CHECK;

#endif
