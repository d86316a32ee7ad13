/*
 * script.h - sessions written down: who sends what, in which order.
 *
 * Purpose    one table of scripts, each a list of steps; player.c performs them.
 * Ownership  static data. Errors: none. Threads: any.
 */
#ifndef MACP_RUNTIME_SCRIPT_H
#define MACP_RUNTIME_SCRIPT_H

#include <stddef.h>

enum step_flags {
    STEP_AMBIENT = 1,  /* mode and session id empty */
    STEP_FORCED = 2,   /* roles and payload are not checked */
    STEP_TEXT = 4,     /* the payload is the text itself */
    STEP_HEX = 8,      /* the payload is these bytes */
    STEP_AGAIN = 16,   /* with the message id of the step before: a duplicate */
    STEP_REFUSED = 32, /* must be refused */
    STEP_RUNTIME = 64, /* an implicit acceptance, made by the runtime itself */
    STEP_CONTROL = 128 /* no envelope: type is cancel, suspend, resume or expire */
};

struct step {
    char who; /* A (initiator), B or C */
    const char *type;
    const char *payload; /* JSON with ' for "; $A $B $C senders, $S session, $NOW milliseconds */
    unsigned flags;
};

struct script {
    const char *name;
    const char *mode;
    const char *doc;
    const struct step *steps;
    size_t count;
};

extern const struct script scripts[];
extern const size_t scripts_count;

const struct script *script_find(const char *name);

#endif
