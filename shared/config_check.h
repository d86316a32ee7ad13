/*
 * config_check.h - what makes a setting valid: each type's rule, and the rules between settings.
 *
 * Purpose    the inside of config.c, split off for its length; nobody else includes it.
 * Ownership  reasons are static texts. Errors: a reason, or lines in the report. Threads: any.
 */
#ifndef MACP_SHARED_CONFIG_CHECK_H
#define MACP_SHARED_CONFIG_CHECK_H

#include "shared/config.h"

enum config_kind { CONFIG_KIND_INT, CONFIG_KIND_BOOL, CONFIG_KIND_TEXT, CONFIG_KIND_LIST };

struct config_type_rule {
    const char *name; /* as help prints it */
    enum config_kind kind;
    const char *const *choices;         /* of an enumeration, NULL-terminated, else NULL */
    const char *(*check)(const char *); /* of a text or an item: NULL or the reason against it */
};

extern const struct config_type_rule config_types[CONFIG_TYPE__COUNT];

/* Decimal digits only; false when it is something else or does not fit. */
bool config_parse_int(const char *text, int64_t *out) MUST_CHECK;

/* Rules between settings; what production refuses is a warning in development. */
void config_check_all(const struct config *cfg, enum config_process who,
                      struct config_report *report);

#endif
