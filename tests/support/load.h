/*
 * load.h - load made by programs that are good at it, and what it cost.
 *
 * Purpose    wrk against a web server, with what each process used for a request; any other
 *            program that prints its figures.
 * Ownership  what a program said is heap text of the caller; files are in the world's directory.
 * Errors     false + *err: the program is not there, failed, or said something else than figures.
 * Threads    one.
 */
#ifndef MACP_TESTS_SUPPORT_LOAD_H
#define MACP_TESTS_SUPPORT_LOAD_H

#include <stdbool.h>
#include <stddef.h>

#include "tests/support/world.h"

enum { LOAD_CONNECTIONS = 16, LOAD_PATH_LEN = 256 };

struct load_figures {
    double per_s, p50_ms, p99_ms;
    long requests, failed;
    double web_us, fcgi_us, postgres_us; /* processor time per request */
};

struct load_spec {
    const struct process *web; /* who answers; NULL: the world's */
    int port;                  /* of it */
    const char *target;
    const char *post; /* a JSON body; NULL: GET */
    int seconds;
};

/* LOAD_CONNECTIONS connections that ask as fast as they are answered, with the world's key. */
bool load_wrk(struct world *w, const struct load_spec *spec, struct load_figures *out,
              struct err *err) MUST_CHECK;

/* A program that ends by itself after about so many seconds; what it printed. */
bool load_program(const struct world *w, const char *name, const char *const *argv, int seconds,
                  char **said, struct err *err) MUST_CHECK;
/* A file that other accounts may read. */
bool load_file(const struct world *w, const char *name, const char *text, size_t n,
               char path[LOAD_PATH_LEN], struct err *err) MUST_CHECK;

#endif
