#include "tests/support/folds.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/expect.h"

static const char sql[] =
    "select concat_ws(E'\\n', (select string_agg(d::text, E'\\n' order by run_key, seq) from "
    "macp.run_decisions d), (select string_agg(d::text, E'\\n' order by run_key, seq) from "
    "macp.run_votes d), (select string_agg(d::text, E'\\n' order by run_key, seq) from "
    "macp.run_signals d), (select string_agg(d::text, E'\\n' order by run_key, seq) from "
    "macp.run_llm_calls d), (select string_agg(d::text, E'\\n' order by run_key, participant_id) "
    "from macp.run_participants d), (select string_agg((to_jsonb(m) - 'updated_at')::text, E'\\n' "
    "order by run_key) from macp.run_metrics m), (select string_agg((to_jsonb(p) - "
    "'updated_at')::text, E'\\n' order by run_key) from macp.run_projections p))";

char *
folds_now(struct world *w)
{
    AUTO_DB_RESULT *rows = NULL;
    struct err err;

    expect_ok(db_script_rows(w->db, sql, &rows, &err), &err, "folds");
    return xstrdup(db_text(rows, 0, 0));
}

void
folds_expect_same(struct world *w, const char *before)
{
    char *after = folds_now(w);
    size_t i = 0;
    bool same_text = strcmp(before, after) == 0;

    while (before[i] && before[i] == after[i])
        i++;
    i = i > 60 ? i - 60 : 0;
    if (!same_text)
        print_error("before: %.200s\nafter:  %.200s\n", before + i, after + i);
    free(after);
    assert_true(same_text);
}
