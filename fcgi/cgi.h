/*
 * cgi.h - one request over plain CGI.
 *
 * Purpose    the same handlers without a process that stays: the request is the environment and
 *            standard input, the reply is standard output. No event streams: nobody would be left
 *            to write them.
 * Ownership  everything is borrowed for the call.
 * Errors     none: every failure is a reply, or a web server that has gone. A web server that
 *            stands still ends the process (SIGALRM).
 * Threads    main thread only.
 */
#ifndef MACP_FCGI_CGI_H
#define MACP_FCGI_CGI_H

#include <stdbool.h>

struct app;

/*
 * Whether a web server started this process for one request. By the convention of FastCGI a
 * listening socket as descriptor 0 says no, whatever the environment holds.
 */
bool cgi_is_request(char *const *env);
void cgi_serve(struct app *app, char *const *env);

#endif
