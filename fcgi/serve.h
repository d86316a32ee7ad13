/*
 * serve.h - one request from its first byte to its complete reply.
 *
 * Purpose    the fixed order: preflight, route, key, rate limit, query, body, handler, log.
 * Ownership  the request is the caller's, its reply is filled.
 * Errors     none: every failure is a reply.
 * Threads    one per request.
 */
#ifndef MACP_FCGI_SERVE_H
#define MACP_FCGI_SERVE_H

struct request;

void serve(struct request *rq);

#endif
