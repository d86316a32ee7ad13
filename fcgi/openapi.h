/*
 * openapi.h - the API described as an OpenAPI 3.1 document.
 *
 * Purpose    made from the tables that the program runs by (routes, query and body fields) and
 *            those beside them (models, operations, samples), so that it cannot say anything else.
 * Ownership  the document is a new reference.
 * Errors     none.
 * Threads    any.
 */
#ifndef MACP_FCGI_OPENAPI_H
#define MACP_FCGI_OPENAPI_H

#include <jansson.h>

#include "shared/macros.h"

json_t *openapi_document(void) MUST_CHECK;

#endif
