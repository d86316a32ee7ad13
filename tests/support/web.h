/*
 * web.h - the repository's example web server configuration, made to run in a test's directory.
 *
 * Purpose    tests drive the configuration that people are given, not one of their own: only
 *            addresses, paths and the account are replaced, by a table of directives.
 * Ownership  everything is borrowed for the call.
 * Errors     false + *err: the example cannot be read, or a directive that must be replaced is
 *            not in it any more.
 * Threads    any.
 */
#ifndef MACP_TESTS_SUPPORT_WEB_H
#define MACP_TESTS_SUPPORT_WEB_H

#include <stdbool.h>

#include "shared/err.h"

#define WEB_PROGRAM "/usr/sbin/lighttpd"

struct web_paths {
    const char *example; /* the configuration to start from */
    const char *config;  /* written */
    const char *dir;     /* for the socket and what the server writes */
    const char *build;   /* where macp-fcgi is */
    int port;
};

bool web_config(const struct web_paths *paths, struct err *err) MUST_CHECK;

#endif
