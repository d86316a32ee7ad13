/*
 * file.h - whole files as text.
 *
 * Ownership  the text goes into the caller's buffer. Errors: false + *err. Threads: any.
 */
#ifndef MACP_RUNTIME_FILE_H
#define MACP_RUNTIME_FILE_H

#include "shared/buf.h"
#include "shared/err.h"

bool file_read(const char *path, struct buf *out, struct err *err) MUST_CHECK;

#endif
