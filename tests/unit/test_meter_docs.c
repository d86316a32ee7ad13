/* The documentation of metrics is the table of metrics, and every sign of loss has its alert. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/meter.h"

/* What grows, or stands, when something is lost or about to be. */
static const enum meter_id alarming[] = {
    METER_GAPS,          METER_SIGNALS_DROPPED, METER_UNDECODABLE,
    METER_REFUSED_ROWS,  METER_REFUSED_RUNS,    METER_REDACT_BLOWN,
    METER_FENCED,        METER_STREAM_ERRORS,   METER_WATCH_CONNECTED,
    METER_LAG,           METER_SPOOL_BYTES,     METER_LEASES,
    METER_PARKED,        METER_BATCH_RETRIES,   METER_HEARTBEAT_FAILURES,
    METER_BREAKER,       METER_STREAMS_OPEN,    METER_RUNTIME_STREAMS,
    METER_AUTH_FALLBACK, METER_ASTRAY,
};

static char *
read_file(const char *path)
{
    FILE *f = fopen(path, "re");
    AUTO_BUF text = {0};
    size_t n;

    if (!f)
        fail_msg("cannot read %s: tests run from the top of the tree", path);
    do {
        n = fread(buf_reserve(&text, 4096), 1, 4096, f);
        text.len += n;
    } while (n > 0);
    text.p[text.len] = '\0';
    fclose(f);
    return buf_steal(&text);
}

static const char *
type_name(enum meter_kind kind)
{
    return kind == METER_COUNTER                          ? "counter"
           : kind == METER_SECONDS || kind == METER_SIZES ? "histogram"
                                                          : "gauge";
}

static void
table_of_the_documentation_is_that_of_the_code(void **state)
{
    char *text = read_file("observerd/README.md");
    const char *at = strstr(text, "| Name | Type | Labels | Meaning |\n");

    (void)state;
    assert_non_null(at);
    at = strchr(strchr(at, '\n') + 1, '\n') + 1;
    for (int id = 0; id < METER__COUNT; id++) {
        const struct meter_row *row = meter_row((enum meter_id)id);
        char line[400];

        snprintf(line, sizeof line, "| `%s` | %s | %s | %s |\n", row->name, type_name(row->kind),
                 row->labels, row->help);
        if (strncmp(at, line, strlen(line)) != 0)
            fail_msg("the table in observerd/README.md goes on with another line than\n%s", line);
        at += strlen(line);
    }
    assert_int_not_equal(*at, '|');
    free(text);
}

static bool
is_family(const char *name, size_t n)
{
    static const char *const suffixes[] = {"", "_bucket", "_sum", "_count"};

    for (int id = 0; id < METER__COUNT; id++)
        for (size_t s = 0; s < ARRAY_LEN(suffixes); s++) {
            char full[128];

            snprintf(full, sizeof full, "%s%s", meter_row((enum meter_id)id)->name, suffixes[s]);
            if (strlen(full) == n && strncmp(full, name, n) == 0)
                return true;
        }
    return false;
}

static void
alerts_ask_for_metrics_that_exist(void **state)
{
    char *text = read_file("observerd/alerts.yml"), *readme = read_file("observerd/README.md");

    (void)state;
    for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
        char alert[64];

        if (sscanf(line, " - alert: %63s", alert) == 1 && !strstr(readme, alert))
            fail_msg("observerd/README.md does not say what to do on %s", alert);
        if (strncmp(line, "        expr:", 13) != 0)
            continue;
        for (const char *p = line; *p != '\n'; p++) {
            size_t n = 0;

            while (islower((unsigned char)p[n]) || p[n] == '_')
                n++;
            if (n &&
                (strncmp(p, "macp_", 5) == 0 || strncmp(p, "active_", 7) == 0 ||
                 strncmp(p, "circuit_", 8) == 0) &&
                !is_family(p, n))
                fail_msg("no metric %.*s", (int)n, p);
            p += n ? n - 1 : 0;
        }
    }
    free(text);
    free(readme);
}

static void
every_sign_of_loss_has_its_alert(void **state)
{
    char *text = read_file("observerd/alerts.yml");

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(alarming); i++)
        if (!strstr(text, meter_row(alarming[i])->name))
            fail_msg("no rule asks for %s", meter_row(alarming[i])->name);
    free(text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_of_the_documentation_is_that_of_the_code),
        cmocka_unit_test(alerts_ask_for_metrics_that_exist),
        cmocka_unit_test(every_sign_of_loss_has_its_alert),
    };

    return cmocka_run_group_tests_name("meter_docs", tests, NULL, NULL);
}
