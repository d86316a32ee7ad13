/*
 * shape.h - what an answer must look like, in one line of text.
 *
 * Purpose    tables of expectations that read like a contract: "data[].id:uuid total=3".
 * Ownership  struct shape_vars is the caller's; values are copied.
 * Errors     false + a sentence that names the path, what was wanted and what was there.
 * Threads    any.
 *
 * A line is a list of claims, separated by blanks; all must hold.
 *
 *   PATH:TYPE    string number int bool array object null time uuid any, several with "|" between;
 *                with "?" behind it may be null or absent
 *   PATH=VALUE   JSON, or text without quotes
 *   PATH~TEXT    a string that contains the text, or an array that has it as an element
 *   PATH!        is not there
 *   PATH>NAME    remember the value (a string or number) as a variable
 *
 * A path is members with dots between them; "." is the whole document. Behind a member, [0] is one
 * element, [] each (at least one), [*] each (or none), {} each value of an object (at least one).
 * "$" is the body as text and "@name" a header. A blank inside a claim is written as %20.
 */
#ifndef MACP_TESTS_SUPPORT_SHAPE_H
#define MACP_TESTS_SUPPORT_SHAPE_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/macros.h"
#include "tests/support/http.h"

enum { SHAPE_VARS_MAX = 64, SHAPE_VALUE_LEN = 128 };

struct shape_vars {
    size_t n;
    struct shape_var {
        char name[32], value[SHAPE_VALUE_LEN];
    } vars[SHAPE_VARS_MAX];
};

void shape_set(struct shape_vars *vars, const char *name, const char *value);
/* Replace each {name} that is a variable; everything else stays as it is. */
void shape_fill(const struct shape_vars *vars, const char *text, struct buf *out);

bool shape_holds(const struct http_reply *r, const char *claims, struct shape_vars *vars, char *why,
                 size_t size) MUST_CHECK;

#endif
