#include "fcgi/json_schema.h"

#include <string.h>

#include "fcgi/model.h"
#include "fcgi/validate.h"
#include "shared/json.h"

#define TIME_PATTERN "^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z$"

json_t *
json_schema_typed(const char *type)
{
    return json_pack("{s:s}", "type", type);
}

json_t *
json_schema_reference(const char *kind, const char *name)
{
    return json_pack("{s:o}", "$ref", json_sprintf("#/components/%s/%s", kind, name));
}

json_t *
json_schema_list(json_t *items)
{
    return json_pack("{s:s, s:o}", "type", "array", "items", items);
}

static json_t *
names_of(const char *const *values)
{
    json_t *names = json_array();

    for (; *values; values++)
        json_array_append_new(names, json_string(*values));
    return names;
}

/* --- models ---------------------------------------------------------------------------------- */

static void add_model(json_t *schemas, const struct model *m);

json_t *
json_schema_model(json_t *schemas, const struct model *m)
{
    add_model(schemas, m);
    return json_schema_reference("schemas", m->name);
}

static json_t *
plain_schema(json_t *schemas, const struct model_member *m)
{
    switch (m->kind) {
    case MODEL_TEXT:
        return json_schema_typed("string");
    case MODEL_UUID:
        return json_pack("{s:s, s:s}", "type", "string", "format", "uuid");
    case MODEL_TIME:
        return json_pack("{s:s, s:s, s:s}", "type", "string", "format", "date-time", "pattern",
                         TIME_PATTERN);
    case MODEL_INT:
        return json_schema_typed("integer");
    case MODEL_NUMBER:
        return json_schema_typed("number");
    case MODEL_BOOL:
        return json_schema_typed("boolean");
    case MODEL_ONE_OF:
        return json_pack("{s:s, s:o}", "type", "string", "enum", names_of(m->values));
    case MODEL_TEXTS:
        return json_schema_list(json_schema_typed("string"));
    case MODEL_NUMBERS:
        return json_schema_list(json_schema_typed("number"));
    case MODEL_OBJECT:
        return json_schema_model(schemas, m->model);
    case MODEL_LIST:
        return json_schema_list(json_schema_model(schemas, m->model));
    case MODEL_MAP:
        return json_pack("{s:s, s:o}", "type", "object", "additionalProperties",
                         json_schema_model(schemas, m->model));
    case MODEL_FREE:
        return json_pack("{s:s, s:b}", "type", "object", "additionalProperties", 1);
    case MODEL_ANY:
        break;
    }
    return json_object();
}

static json_t *
member_schema(json_t *schemas, const struct model_member *m)
{
    json_t *schema = plain_schema(schemas, m);

    if (!(m->flags & MODEL_NULLABLE) || json_object_size(schema) == 0)
        return schema;
    return json_pack("{s:[o, o]}", "anyOf", schema, json_schema_typed("null"));
}

static void
add_members(json_t *schemas, const struct model *m, json_t *properties, json_t *required)
{
    if (m->base)
        add_members(schemas, m->base, properties, required);
    for (const struct model_member *p = m->members; p->name; p++) {
        jv_put(properties, p->name, member_schema(schemas, p));
        if (!(p->flags & MODEL_OPTIONAL))
            json_array_append_new(required, json_string(p->name));
    }
}

static void
add_model(json_t *schemas, const struct model *m)
{
    json_t *schema, *properties, *required;

    if (json_object_get(schemas, m->name))
        return;
    schema = json_pack("{s:s, s:s}", "type", "object", "description", m->doc);
    jv_put(schemas, m->name, schema);
    properties = json_object();
    required = json_array();
    jv_put(schema, "properties", properties);
    jv_put(schema, "required", required);
    add_members(schemas, m, properties, required);
}

/* --- sample answers -------------------------------------------------------------------------- */

static json_t *
sample_value(const struct model_member *m)
{
    if (m->example)
        return jv_parse(m->example, strlen(m->example));
    switch (m->kind) {
    case MODEL_TEXT:
        return json_string("...");
    case MODEL_UUID:
        return json_string("b3c1d6a8-8f0e-4a51-9d7a-51d3c0a6a111");
    case MODEL_TIME:
        return json_string("2026-05-01T10:00:00.125Z");
    case MODEL_INT:
        return json_integer(1);
    case MODEL_NUMBER:
        return json_real(0.5);
    case MODEL_BOOL:
        return json_true();
    case MODEL_ONE_OF:
        return json_string(m->values[0]);
    case MODEL_OBJECT:
        return json_schema_sample(m->model);
    case MODEL_LIST:
        return json_pack("[o]", json_schema_sample(m->model));
    case MODEL_MAP:
        return json_pack("{s:o}", "runVolume", json_schema_sample(m->model));
    case MODEL_FREE:
        return json_object();
    case MODEL_TEXTS:
    case MODEL_NUMBERS:
        return json_array();
    case MODEL_ANY:
        break;
    }
    return json_null();
}

static void
add_sample_members(const struct model *m, json_t *object)
{
    if (m->base)
        add_sample_members(m->base, object);
    for (const struct model_member *p = m->members; p->name; p++)
        jv_put(object, p->name, sample_value(p));
}

json_t *
json_schema_sample(const struct model *m)
{
    json_t *object = json_object();

    add_sample_members(m, object);
    return object;
}

/* --- fields ---------------------------------------------------------------------------------- */

json_t *
json_schema_query(const struct query_field *f)
{
    json_t *s;

    switch (f->type) {
    case QUERY_ENUM:
        s = json_pack("{s:s, s:o}", "type", "string", "enum", names_of(f->values));
        break;
    case QUERY_INTEGER:
        s = json_schema_typed("integer");
        if (!(f->flags & QUERY_CLAMP_MIN))
            jv_put(s, "minimum", json_integer(f->min));
        if (f->max && !(f->flags & QUERY_CLAMP))
            jv_put(s, "maximum", json_integer(f->max));
        if (f->number)
            jv_put(s, "default", json_integer(f->number));
        break;
    case QUERY_NUMBER:
        s = json_pack("{s:s, s:f}", "type", "number", "minimum", (double)f->min / 10);
        break;
    case QUERY_FLAG:
    case QUERY_BOOLEAN:
        s = json_pack("{s:s, s:b}", "type", "boolean", "default",
                      f->type == QUERY_BOOLEAN && f->number);
        break;
    case QUERY_UUID:
        s = json_pack("{s:s, s:s}", "type", "string", "format", "uuid");
        break;
    case QUERY_TIME:
        s = json_pack("{s:s, s:[{s:s}, {s:s}]}", "type", "string", "anyOf", "format", "date-time",
                      "format", "date");
        break;
    case QUERY_TAGS:
    case QUERY_NAMES:
        s = json_schema_list(json_schema_typed("string"));
        break;
    default:
        s = json_schema_typed("string");
        break;
    }
    if (f->text)
        jv_put(s, "default", json_string(f->text));
    return s;
}

static json_t *fields_schema(const struct field *fields, bool strict);

static json_t *
field_schema(const struct field *f, bool strict)
{
    json_t *s;

    switch (f->type) {
    case FIELD_ENUM:
        return json_pack("{s:s, s:o}", "type", "string", "enum", names_of(f->values));
    case FIELD_POSITIVE:
        return json_pack("{s:s, s:i}", "type", "integer", "minimum", 1);
    case FIELD_OBJECT:
        return json_pack("{s:s, s:b}", "type", "object", "additionalProperties", 1);
    case FIELD_NESTED:
        return fields_schema(f->fields, strict);
    case FIELD_LIST:
        s = json_schema_list(fields_schema(f->fields, strict));
        jv_put(s, "minItems", json_integer(1));
        jv_put(s, "maxItems", json_integer((json_int_t)f->max));
        return s;
    case FIELD_STRINGS:
    case FIELD_IDS:
        s = json_schema_list(json_schema_typed("string"));
        if (f->max)
            jv_put(s, "maxItems", json_integer((json_int_t)f->max));
        return s;
    case FIELD_BOOLEAN:
        return json_schema_typed("boolean");
    case FIELD_NUMBER:
        return json_pack("{s:s, s:f}", "type", "number", "minimum", f->min);
    case FIELD_UUID:
        return json_pack("{s:s, s:s}", "type", "string", "format", "uuid");
    case FIELD_URL:
        return json_pack("{s:s, s:s}", "type", "string", "format", "uri");
    case FIELD_ANY:
        return json_object();
    case FIELD_STRING:
        break;
    }
    s = json_schema_typed("string");
    if (f->flags & FIELD_NOT_EMPTY)
        jv_put(s, "minLength", json_integer(1));
    if (f->max)
        jv_put(s, "maxLength", json_integer((json_int_t)f->max));
    return s;
}

static json_t *
fields_schema(const struct field *fields, bool strict)
{
    json_t *properties = json_object(), *required = json_array();
    json_t *s = json_pack("{s:s, s:o}", "type", "object", "properties", properties);

    for (; fields->name; fields++) {
        jv_put(properties, fields->name, field_schema(fields, strict));
        if (fields->flags & FIELD_REQUIRED)
            json_array_append_new(required, json_string(fields->name));
    }
    if (json_array_size(required) > 0)
        jv_put(s, "required", required);
    else
        json_decref(required);
    if (strict)
        jv_put(s, "additionalProperties", json_false());
    return s;
}

json_t *
json_schema_body(const struct body_schema *body)
{
    return fields_schema(body->fields, body->strict);
}
