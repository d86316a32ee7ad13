/* The table of all operations. Order is for readers; matching does not depend on it. */
#include "fcgi/descriptor.h"
#include "fcgi/handlers.h"
#include "fcgi/route.h"

// clang-format off
const struct route routes[] = {
    {HTTP_POST, "/runs", ROUTE_KEY, 0, NULL, &descriptor_schema, run_create,
     "Register a run to observe"},
    {HTTP_POST, "/runs/validate", ROUTE_KEY, 0, NULL, &descriptor_validate_schema, run_validate,
     "Check a run descriptor without registering it"},
    {HTTP_GET, "/runs", ROUTE_KEY, ROUTE_SLOW, runs_list_query, NULL, runs_list,
     "List runs"},
    {HTTP_GET, "/runs/:id", ROUTE_KEY, ROUTE_RUN_ID, NULL, NULL, run_get,
     "Fetch one run"},
    {HTTP_GET, "/runs/:id/state", ROUTE_KEY, ROUTE_RUN_ID, NULL, NULL, run_state_get,
     "Fetch the projected state of a run"},
    {HTTP_GET, "/runs/:id/events", ROUTE_KEY, ROUTE_RUN_ID | ROUTE_SLOW, run_events_query, NULL,
     run_events_list, "List the canonical events of a run"},
    {HTTP_POST, "/runs/:id/messages", ROUTE_KEY, ROUTE_RUN_ID, NULL, NULL, removed_messages,
     "Removed: agents send messages to the runtime themselves"},
    {HTTP_POST, "/runs/:id/signal", ROUTE_KEY, ROUTE_RUN_ID, NULL, NULL, removed_signal,
     "Removed: agents send signals to the runtime themselves"},
    {HTTP_POST, "/runs/:id/context", ROUTE_KEY, ROUTE_RUN_ID, NULL, NULL, removed_context,
     "Removed: agents update the context on the runtime themselves"},
    {HTTP_GET, "/healthz", ROUTE_PUBLIC, 0, health_query, NULL, health_live,
     "Whether the service can do its work"},
    {HTTP_GET, "/readyz", ROUTE_PUBLIC, 0, health_query, NULL, health_ready,
     "Whether database, observers and runtime are ready"},
};
// clang-format on

const size_t routes_n = sizeof routes / sizeof routes[0];
