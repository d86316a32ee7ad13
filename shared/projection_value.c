/* How reducers read values of event data. */
#include "shared/projection_state.h"

#include <math.h>
#include <strings.h>

#include "shared/json.h"

struct view
value_view(const json_t *v, const char *fallback, struct buf *scratch)
{
    if (!v)
        return view_of(fallback);
    if (json_is_string(v))
        return (struct view){json_string_value(v), json_string_length(v)};
    jv_str(scratch, v);
    return (struct view){buf_cstr(scratch), scratch->len};
}

struct view
reduction_str(const struct reduction *r, const json_t *v, struct buf *scratch)
{
    return value_view(v, r->e->subject_id ? r->e->subject_id : "", scratch);
}

double
value_num(const json_t *v)
{
    double n;

    return jv_opt_num(v, &n) ? n : NAN;
}

bool
value_is(const json_t *v, const char *expected)
{
    const char *text = jv_cstr(v);

    return text && strcmp(text, expected) == 0;
}

bool
view_in(struct view v, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(words[i]) == v.n && strncasecmp(words[i], v.p, v.n) == 0)
            return true;
    return false;
}

bool
view_is(struct view v, const char *expected)
{
    return v.n == strlen(expected) && memcmp(v.p, expected, v.n) == 0;
}

struct view
reduction_id(const struct reduction *r, char *computed)
{
    if (r->e->id)
        return view_of(r->e->id);
    if (!projection_event_id(r->p, r->e->seq, computed))
        return (struct view){NULL, 0};
    return view_of(computed);
}
