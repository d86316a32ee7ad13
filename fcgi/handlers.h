/*
 * handlers.h - one function per route, each in the file of its noun.
 *
 * Purpose    what the table of routes points at.
 * Ownership  the request and its reply are the caller's.
 * Errors     false + *err: the error is the reply.
 * Threads    any, one request at a time.
 */
#ifndef MACP_FCGI_HANDLERS_H
#define MACP_FCGI_HANDLERS_H

#include "fcgi/route.h"
#include "fcgi/validate.h"

/* runs.c */
extern const struct query_field runs_list_query[];
route_fn runs_list, run_get;
/* run_create.c */
route_fn run_create, run_validate;
/* run_state.c */
route_fn run_state_get;
/* events.c */
extern const struct query_field run_events_query[];
route_fn run_events_list;
/* removed.c */
route_fn removed_messages, removed_signal, removed_context;
/* health.c */
extern const struct query_field health_query[];
route_fn health_live, health_ready;

#endif
