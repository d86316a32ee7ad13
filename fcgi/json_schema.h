/*
 * json_schema.h - the program's tables as JSON Schema.
 *
 * Purpose    models, query fields and body fields, each as the schema that says the same; and a
 *            value that fits a model.
 * Ownership  new references; schemas is the caller's object, which collects models by name.
 * Errors     none.
 * Threads    any.
 */
#ifndef MACP_FCGI_JSON_SCHEMA_H
#define MACP_FCGI_JSON_SCHEMA_H

#include <jansson.h>

#include "shared/macros.h"

struct body_schema;
struct model;
struct query_field;

json_t *json_schema_typed(const char *type) MUST_CHECK;
json_t *json_schema_list(json_t *items) MUST_CHECK; /* items are stolen */
/* To a component of the kind. */
json_t *json_schema_reference(const char *kind, const char *name) MUST_CHECK;

/* A reference to the model, which is in schemas from then on, with all it is made of. */
json_t *json_schema_model(json_t *schemas, const struct model *m) MUST_CHECK;
json_t *json_schema_sample(const struct model *m) MUST_CHECK;
json_t *json_schema_query(const struct query_field *f) MUST_CHECK;
json_t *json_schema_body(const struct body_schema *body) MUST_CHECK;

#endif
