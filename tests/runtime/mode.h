/*
 * mode.h - modes, their message types, and the message each payload is made of.
 *
 * Purpose    one table: what ListModes tells, what acceptance checks, what scripts encode with.
 * Ownership  static data. Errors: none. Threads: any.
 */
#ifndef MACP_RUNTIME_MODE_H
#define MACP_RUNTIME_MODE_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

#define MODE_DECISION    "macp.mode.decision.v1"
#define MODE_PROPOSAL    "macp.mode.proposal.v1"
#define MODE_TASK        "macp.mode.task.v1"
#define MODE_HANDOFF     "macp.mode.handoff.v1"
#define MODE_QUORUM      "macp.mode.quorum.v1"
#define MODE_MULTI_ROUND "ext.multi_round.v1"
#define MODE_DEMO        "ext.demo.v1" /* stands for a mode registered at run time */
#define MODE_VERSION     "1.0.0"

enum mode_role {
    ROLE_PARTICIPANT,
    ROLE_INITIATOR,
};

struct mode_message {
    const char *type; /* NULL ends the list */
    const ProtobufCMessageDescriptor *payload;
    enum mode_role role;
};

enum { MODE_MESSAGES = 8 };

struct mode {
    const char *name;
    const char *title;
    const char *determinism;
    const char *participants;
    bool standard;    /* in ListModes; else in ListExtModes */
    bool passthrough; /* any message type with any bytes */
    struct mode_message messages[MODE_MESSAGES];
};

extern const struct mode modes[];
extern const size_t modes_count;

/* NULL when there is no such mode. */
const struct mode *mode_find(const char *name);
/* The mode's own types only. NULL when it has no such type. */
const struct mode_message *mode_message(const struct mode *mode, const char *type);
/* Types known in every mode: SessionStart, Commitment, Signal, Progress. */
const ProtobufCMessageDescriptor *mode_core_payload(const char *type);
/* The payload of (mode, type), mode table first; NULL when unknown. */
const ProtobufCMessageDescriptor *mode_payload(const char *mode, const char *type);
/* Is name in a comma list (empty list: everything is)? */
bool mode_listed(const char *list, const char *name);

#endif
