#include "shared/err.h"

#include <stdarg.h>
#include <stdio.h>

static const struct {
    int status;
    bool retry;
    enum err_shape shape;
    const char *name;
} errors[ERR__COUNT] = {
#define X(code, status, retry, shape, name) [code] = {status, retry, shape, name},
    ERR_LIST(X)
#undef X
};

/* A message that was cut inside a UTF-8 sequence loses its beginning too. */
static void
drop_half_character(char *msg, size_t len)
{
    size_t start = len;

    while (start > 0 && len - start < 3 && ((unsigned char)msg[start - 1] & 0xc0) == 0x80)
        start--;
    if (start > 0 && (unsigned char)msg[start - 1] >= 0xc0) {
        unsigned char lead = (unsigned char)msg[start - 1];
        size_t need = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;

        if (len - start + 1 < need)
            msg[start - 1] = '\0';
    }
}

bool
err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
    struct err made = {.code = code};
    va_list ap;
    int n;

    if (!err)
        return false;
    /* Built aside, because the arguments may point into *err: "cannot store: <its message>". */
    va_start(ap, fmt);
    n = vsnprintf(made.msg, sizeof made.msg, fmt, ap);
    va_end(ap);
    if (n >= (int)sizeof made.msg)
        drop_half_character(made.msg, sizeof made.msg - 1);
    *err = made;
    return false;
}

int
err_http_status(enum err_code code)
{
    return errors[code].status;
}

bool
err_is_retryable(enum err_code code)
{
    return errors[code].retry;
}

enum err_shape
err_shape_of(enum err_code code)
{
    return errors[code].shape;
}

const char *
err_name(enum err_code code)
{
    return errors[code].name;
}
