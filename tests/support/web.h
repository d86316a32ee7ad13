/*
 * web.h - the repository's example web server configurations, made to run in a test's directory.
 *
 * Purpose    tests drive the configurations that people are given, not some of their own: only
 *            addresses, paths, accounts and settings are replaced, by a table of directives for
 *            each way in which a web server reaches macp-fcgi.
 * Ownership  everything is borrowed for the call.
 * Errors     false + *err: the example cannot be read, or a directive that must be replaced is
 *            not in it any more.
 * Threads    any.
 */
#ifndef MACP_TESTS_SUPPORT_WEB_H
#define MACP_TESTS_SUPPORT_WEB_H

#include <stdbool.h>

#include "shared/err.h"

enum web_kind {
    WEB_SPAWNED, /* lighttpd starts macp-fcgi, and again when it ends */
    WEB_HELD,   /* lighttpd; the socket is held, and macp-fcgi started, by a parent (hold_main.c) */
    WEB_APACHE, /* Apache, the socket held in the same way */
    WEB_CGI,    /* lighttpd starts macp-fcgi for every request */
    WEB__COUNT,
};

struct web_server {
    const char *name;        /* as in --web NAME */
    const char *const *argv; /* the configuration's path is put behind it */
    const char *example;
    bool held; /* macp-fcgi is started beside it */
};

extern const struct web_server web_servers[WEB__COUNT];

enum { WEB_ARGV_MAX = 6 };

struct web_paths {
    enum web_kind kind;
    const char *config;     /* written */
    const char *dir;        /* for the socket and what the server writes */
    const char *build;      /* where macp-fcgi is */
    const char *const *env; /* settings of macp-fcgi, "NAME=value", NULL ended */
    int port;
};

bool web_config(const struct web_paths *paths, struct err *err) MUST_CHECK;

/* No arguments: spawned. "--web NAME": that. False, and said on standard error: anything else. */
bool web_read_arguments(int argc, char **argv, enum web_kind *out) MUST_CHECK;

#endif
