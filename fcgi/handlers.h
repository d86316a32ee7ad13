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
extern const struct query_field run_replay_state_query[];
route_fn run_state_get, run_replay_state, run_projection_rebuild;
/* run_control.c */
route_fn run_delete, run_archive;
/* run_command.c */
extern const struct body_schema run_command_schema;
route_fn run_cancel, run_suspend, run_resume, batch_cancel;
/* run_clone.c */
extern const struct body_schema run_clone_schema;
route_fn run_clone;
/* run_metrics.c */
route_fn run_metrics_get, run_traces_get;
/* artifacts.c */
extern const struct body_schema artifact_schema;
route_fn artifacts_list, artifact_create;
/* replay.c */
extern const struct body_schema replay_schema;
route_fn run_replay;
/* compare.c */
extern const struct body_schema compare_schema;
route_fn runs_compare;
/* export.c */
extern const struct query_field run_export_query[];
route_fn run_export, run_export_stream;
/* batch.c */
extern const struct body_schema batch_schema;
route_fn batch_export, batch_archive, batch_delete;
/* events.c */
extern const struct query_field run_events_query[], events_query[];
route_fn run_events_list, run_messages_list, events_list;
/* webhooks.c */
extern const struct body_schema webhook_create_schema, webhook_update_schema;
extern const struct query_field webhook_deliveries_query[];
route_fn webhook_create, webhook_update, webhook_delete, webhooks_list, webhook_deliveries,
    webhook_redeliver;
/* audit.c */
extern const struct query_field audit_query[];
route_fn audit_list;
/* dashboard.c */
extern const struct query_field dashboard_query[];
route_fn dashboard_overview, dashboard_agents;
/* runtime.c */
extern const struct query_field breaker_history_query[];
route_fn runtime_manifest, runtime_modes, runtime_roots, runtime_health, breaker_history,
    breaker_close;
/* policies.c */
extern const struct query_field policies_query[];
extern const struct body_schema policy_schema;
route_fn policies_list, policy_get, policy_register, policy_unregister;
/* stream.c */
extern const struct query_field run_stream_query[], run_replay_stream_query[];
route_fn run_stream, run_replay_stream;
/* removed.c */
route_fn removed_messages, removed_signal, removed_context;
/* metrics.c */
route_fn metrics_get;
/* docs.c */
route_fn docs_page, docs_json, docs_yaml;
/* health.c */
extern const struct query_field health_query[];
route_fn health_live, health_ready;

#endif
