/*
 * err.h - the one error type, and the one table of what errors mean.
 *
 * Purpose    code, HTTP status, retry policy and wire name of every error in one list, so that
 *            they cannot drift apart.
 * Ownership  struct err is the caller's; it holds no heap memory.
 * Errors     err_set returns false, so that cause and return stay on one line.
 * Threads    none; an err belongs to its function's caller.
 *
 * Shapes of the HTTP body: N = {message, error, statusCode}, A = {statusCode, errorCode, message}.
 */
#ifndef MACP_SHARED_ERR_H
#define MACP_SHARED_ERR_H

#include <stdbool.h>

#include "shared/macros.h"

enum err_shape {
    ERR_SHAPE_N,
    ERR_SHAPE_A,
};

// clang-format off
/* code, HTTP status, worth a retry, body shape, name in the body */
#define ERR_LIST(X)                                                                     \
    X(ERR_NONE,              200, false, ERR_SHAPE_A, "OK")                             \
    X(ERR_VALIDATION,        400, false, ERR_SHAPE_N, "Bad Request")                    \
    X(ERR_UNAUTHORIZED,      401, false, ERR_SHAPE_N, "Unauthorized")                   \
    X(ERR_FORBIDDEN,         403, false, ERR_SHAPE_A, "FORBIDDEN")                      \
    X(ERR_NOT_FOUND,         404, false, ERR_SHAPE_N, "Not Found")                      \
    X(ERR_BODY_LATE,         408, true,  ERR_SHAPE_N, "Request Timeout")                \
    X(ERR_CONFLICT,          409, false, ERR_SHAPE_N, "Conflict")                       \
    X(ERR_REFUSED,           409, false, ERR_SHAPE_A, "CONFLICT")                       \
    X(ERR_SESSION_EXISTS,    409, false, ERR_SHAPE_A, "SESSION_ALREADY_EXISTS")         \
    X(ERR_ENDPOINT_REMOVED,  410, false, ERR_SHAPE_A, "ENDPOINT_REMOVED")               \
    X(ERR_TOO_LARGE,         413, false, ERR_SHAPE_N, "Payload Too Large")              \
    X(ERR_MEDIA_TYPE,        415, false, ERR_SHAPE_N, "Unsupported Media Type")         \
    X(ERR_RATE_LIMITED,      429, true,  ERR_SHAPE_A, "INTERNAL_ERROR")                 \
    X(ERR_INTERNAL,          500, false, ERR_SHAPE_A, "INTERNAL_ERROR")                 \
    X(ERR_NOT_IMPLEMENTED,   501, false, ERR_SHAPE_A, "NOT_IMPLEMENTED")                \
    X(ERR_CALLBACK,          502, false, ERR_SHAPE_A, "INTERNAL_ERROR")                 \
    X(ERR_DB,                503, true,  ERR_SHAPE_A, "DATABASE_UNAVAILABLE")           \
    X(ERR_BUSY,              503, true,  ERR_SHAPE_A, "RATE_LIMITED")                   \
    X(ERR_STREAMS_FULL,      503, true,  ERR_SHAPE_A, "RATE_LIMITED")                   \
    X(ERR_RUNTIME,           503, true,  ERR_SHAPE_A, "RUNTIME_UNAVAILABLE")            \
    X(ERR_BREAKER,           503, true,  ERR_SHAPE_A, "CIRCUIT_BREAKER_OPEN")           \
    X(ERR_RUNTIME_TIMEOUT,   504, true,  ERR_SHAPE_A, "RUNTIME_TIMEOUT")                \
    X(ERR_SQL,               500, false, ERR_SHAPE_A, "INTERNAL_ERROR")                 \
    X(ERR_GUARD,             500, true,  ERR_SHAPE_A, "INTERNAL_ERROR")                 \
    X(ERR_CONFIG,            500, false, ERR_SHAPE_A, "INTERNAL_ERROR")                 \
    X(ERR_IO,                500, true,  ERR_SHAPE_A, "INTERNAL_ERROR")
// clang-format on

enum err_code {
#define X(code, status, retry, shape, name) code,
    ERR_LIST(X)
#undef X
        ERR__COUNT
};

struct err {
    enum err_code code;
    char sqlstate[6]; /* "" unless the server said one */
    char detail[64];  /* DETAIL of a server error that a program reads, else "" */
    char msg[512];    /* one sentence for a human; never a secret */
};

/* Fill *err (which may be NULL) and return false. The message is cut, never overflown. */
bool err_set(struct err *err, enum err_code code, const char *fmt, ...) PRINTF_FMT(3, 4);

int err_http_status(enum err_code code);
bool err_is_retryable(enum err_code code);
enum err_shape err_shape_of(enum err_code code);
const char *err_name(enum err_code code);

#endif
