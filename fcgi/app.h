/*
 * app.h - what all threads of macp-fcgi share.
 *
 * Purpose    the one object main() makes and passes down; there are no globals beside it.
 * Ownership  main() owns everything in it and outlives all threads.
 * Errors     none.
 * Threads    every member is constant after start or guards itself.
 */
#ifndef MACP_FCGI_APP_H
#define MACP_FCGI_APP_H

#include <stdatomic.h>
#include <stdint.h>

#include "fcgi/share.h"
#include "shared/config.h"

struct auth;
struct http_metrics;
struct hub;
struct notify;
struct outcomes;
struct throttle;

struct app {
    const struct config *config;
    struct auth *auth;
    struct throttle *throttle;
    struct notify *notify;
    struct http_metrics *http; /* counters of requests */
    struct hub *hub;
    struct outcomes *outcomes; /* requests that wait for commands */
    int threads;
    atomic_int streams;            /* open event streams: the gauge active_sse_connections */
    struct share waiting;          /* workers that wait for a run to appear, or for a reader */
    atomic_llong outage_logged_ms; /* last time an unreachable database was logged */
};

#endif
