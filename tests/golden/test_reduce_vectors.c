/*
 * The reducer rules and the metrics, one vector per rule; the canonical events of whole sessions;
 * and one property of all of them: a run folded in two parts, written and loaded in between, ends
 * in the state of the whole. A file named as argument holds one session a line, checked instead.
 */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

#include "shared/json.h"
#include "shared/metrics.h"
#include "shared/projection.h"
#include "tests/support/vectors.h"

static struct projection *
initial_of(const json_t *vector)
{
    const json_t *initial = jv_get(vector, "initial");
    struct projection *p = NULL;
    struct err err;

    if (jv_nullish(initial))
        return projection_new("run-1");
    if (!projection_load(initial, &p, &err))
        BUG("%s", err.msg);
    return p;
}

static void
fold_range(struct projection *p, const json_t *events, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        struct event e;

        if (!event_read(json_array_get(events, i), &e))
            BUG("event %zu cannot be read", i);
        projection_fold(p, &e);
        json_decref(e.data);
    }
}

/* Through the text of the sections, as rows are stored. */
static struct projection *
stored_and_loaded(struct projection *p)
{
    struct buf texts[PROJECTION__COUNT] = {0};
    const char *sections[PROJECTION__COUNT];
    struct projection *loaded = NULL;
    int64_t version;
    struct err err;

    for (unsigned i = 0; i < PROJECTION__COUNT; i++) {
        projection_write_section(p, (enum projection_section)i, &texts[i]);
        sections[i] = buf_cstr(&texts[i]);
    }
    version = projection_latest_seq(p);
    projection_free(p);
    if (!projection_load_sections(sections, version, &loaded, &err))
        BUG("%s", err.msg);
    for (unsigned i = 0; i < PROJECTION__COUNT; i++)
        buf_fini(&texts[i]);
    return loaded;
}

static void
check_split(const json_t *vector, const struct buf *whole, size_t split, struct buf *diff)
{
    const json_t *events = jv_get(vector, "events");
    struct projection *p = initial_of(vector);
    AUTO_BUF text = {0};

    fold_range(p, events, 0, split);
    p = stored_and_loaded(p);
    fold_range(p, events, split, json_array_size(events));
    projection_write(p, &text);
    projection_free(p);
    if (text.len != whole->len || memcmp(text.p, whole->p, text.len) != 0)
        buf_printf(diff, "split at %zu gives another state: %s\n", split, buf_cstr(&text));
}

static void
check_reduce(const json_t *vector, struct buf *diff)
{
    const json_t *events = jv_get(vector, "events");
    struct projection *p = initial_of(vector);
    AUTO_BUF text = {0};
    AUTO_JSON *state = NULL;

    fold_range(p, events, 0, json_array_size(events));
    projection_write(p, &text);
    projection_free(p);
    state = jv_parse(buf_cstr(&text), text.len);
    vector_diff(state, jv_get(vector, "projection"), "projection", diff);
    for (size_t split = 0; split <= json_array_size(events); split++)
        check_split(vector, &text, split, diff);
}

static void
check_metrics(const json_t *vector, struct buf *diff)
{
    const json_t *batches = jv_get(vector, "batches");
    struct metrics m = {0};
    AUTO_BUF text = {0};
    AUTO_JSON *summary = NULL;

    for (size_t i = 0; i < json_array_size(batches); i++) {
        const json_t *batch = json_array_get(batches, i);

        for (size_t k = 0; k < json_array_size(batch); k++) {
            struct event e;

            if (!event_read(json_array_get(batch, k), &e))
                BUG("event cannot be read");
            metrics_fold(&m, &e, NULL);
            json_decref(e.data);
        }
    }
    metrics_write(&m, "run-1", false, &text);
    summary = jv_parse(buf_cstr(&text), text.len);
    vector_diff(summary, jv_get(vector, "summary"), "summary", diff);
}

static void
run_file(struct vectors *v, const char *name, vector_check check)
{
    AUTO_BUF path = {0};
    AUTO_JSON *file = NULL;
    const json_t *cases;

    buf_printf(&path, VECTORS_DIR "unit/%s.json", name);
    file = vector_load(path.p);
    cases = jv_get(file, "cases");
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *vector = json_array_get(cases, i);
        AUTO_BUF diff = {0}, title = {0};

        check(vector, &diff);
        buf_printf(&title, "unit/%s #%zu %s", name, i, jv_cstr(jv_get(vector, "name")));
        vectors_report(v, title.p, &diff);
    }
}

/* Computed ids depend on the run's id only; the vectors leave them out. */
static void
hide_timeline_ids(json_t *state)
{
    json_t *recent = jv_get(jv_get(state, "timeline"), "recent");

    for (size_t i = 0; i < json_array_size(recent); i++)
        jv_put(json_array_get(recent, i), "id", json_null());
}

static void
check_session(const json_t *vector, struct buf *diff)
{
    const json_t *events = jv_get(vector, "canonical");
    size_t n = json_array_size(events);
    struct projection *p = projection_new(jv_cstr(jv_get(jv_get(vector, "context"), "runId")));
    AUTO_BUF whole = {0}, parts = {0};
    AUTO_JSON *state = NULL;

    fold_range(p, events, 0, n);
    projection_write(p, &whole);
    projection_free(p);
    state = jv_parse(buf_cstr(&whole), whole.len);
    hide_timeline_ids(state);
    vector_diff(state, jv_get(vector, "projection"), "projection", diff);

    /* Stored and loaded after every event: every possible split at once. */
    p = projection_new(jv_cstr(jv_get(jv_get(vector, "context"), "runId")));
    for (size_t i = 0; i < n; i++) {
        fold_range(p, events, i, i + 1);
        p = stored_and_loaded(p);
    }
    projection_write(p, &parts);
    projection_free(p);
    if (parts.len != whole.len || memcmp(parts.p, whole.p, whole.len) != 0)
        buf_printf(diff, "folded one by one gives another state: %s\n", buf_cstr(&parts));
}

static void
run_session(struct vectors *v, const char *path)
{
    AUTO_JSON *vector = vector_load(path);
    AUTO_BUF diff = {0}, title = {0};

    buf_printf(&title, "fold of %s", jv_cstr(jv_get(vector, "name")));
    check_session(vector, &diff);
    vectors_report(v, title.p, &diff);
}

static void
run_sessions(struct vectors *v)
{
    glob_t found;

    if (glob(VECTORS_DIR "*.json", 0, NULL, &found) != 0)
        BUG("no session vectors in " VECTORS_DIR);
    for (size_t i = 0; i < found.gl_pathc; i++)
        run_session(v, found.gl_pathv[i]);
    globfree(&found);
}

int
main(int argc, char **argv)
{
    struct vectors v;

    vectors_begin(&v);
    if (argc > 1) {
        vectors_check_lines(&v, argv[1], check_session);
    } else {
        run_sessions(&v);
        run_file(&v, "reduce", check_reduce);
        run_file(&v, "reduce_caps", check_reduce);
        run_file(&v, "metrics", check_metrics);
    }
    return vectors_end(&v) ? 0 : 1;
}
