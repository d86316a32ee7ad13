/*
 * agent.h - an agent's HTTP server, for callbacks that go well and ones that do not.
 *
 * Purpose    what an SDK starts beside an agent, on the loopback; the path says how it behaves:
 *              /ok             202, and nothing happens
 *              /obey/SESSION   202, then the session is cancelled at the scripted runtime
 *              /error          500
 *              /hang           no answer until agent_stop or the caller leaves
 *              /close          the connection, without an answer
 *              /redirect       302 to /ok
 * Ownership  struct agent is heap memory (agent_start, agent_stop).
 * Errors     false + *err when it cannot listen.
 * Threads    its own; the functions from one.
 */
#ifndef MACP_TESTS_SUPPORT_AGENT_H
#define MACP_TESTS_SUPPORT_AGENT_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/err.h"
#include "shared/macros.h"

struct agent;

/* control: the scripted runtime's control socket. */
bool agent_start(const char *control, struct agent **out, struct err *err) MUST_CHECK;
void agent_stop(struct agent *a); /* NULL is fine */

/* http://127.0.0.1:<port><path>. Returns out. */
const char *agent_url(const struct agent *a, const char *path, char *out, size_t size);
/* How many requests began with that path. */
int agent_calls(struct agent *a, const char *path);
/* The last request, head and body. Returns out. */
const char *agent_last(struct agent *a, char *out, size_t size);

#endif
