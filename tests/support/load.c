#include "tests/support/load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/buf.h"
#include "tests/support/cpu.h"

#define WRK "/usr/bin/wrk"

enum { WAIT_MS = 60000 };

bool
load_file(const struct world *w, const char *name, const char *text, size_t n,
          char path[LOAD_PATH_LEN], struct err *err)
{
    FILE *f;

    snprintf(path, LOAD_PATH_LEN, "%s/%s", w->dir, name);
    f = fopen(path, "w");
    if (!f || fwrite(text, 1, n, f) != n || fclose(f) != 0 || chmod(path, 0644) < 0)
        return err_set(err, ERR_IO, "cannot write %s: %s", path, strerror(errno));
    return true;
}

bool
load_program(const struct world *w, const char *name, const char *const *argv, int seconds,
             char **said, struct err *err)
{
    struct process p = {0};
    char log[LOAD_PATH_LEN];
    int status;

    snprintf(log, sizeof log, "%s/%s.log", w->dir, name);
    unlink(log);
    if (!process_start(&p, &(struct process_spec){.name = name, .dir = w->dir, .argv = argv}, err))
        return false;
    status = process_stop(&p, 0, seconds * 1000 + WAIT_MS); /* no signal: waits for it */
    *said = process_log_tail(log, 16384);
    if (status != 0)
        return err_set(err, ERR_IO, "%s ended with %d: %.200s", name, status, *said);
    return true;
}

/* --- wrk -------------------------------------------------------------------------------------- */

/* Its done() prints one line of numbers; the request may be replaced before it. */
static const char lua[] =
    "wrk.headers['Authorization'] = 'Bearer " WORLD_API_KEY "'\n"
    "%s"
    "function done(s, l, r)\n"
    "  io.write(string.format('figures %%d %%d %%d %%d %%d\\n', s.requests, s.duration,\n"
    "    l:percentile(50), l:percentile(99),\n"
    "    s.errors.status + s.errors.connect + s.errors.read + s.errors.timeout))\n"
    "end\n";

static bool
write_script(const struct world *w, const char *post, char path[LOAD_PATH_LEN], struct err *err)
{
    AUTO_BUF text = {0};
    AUTO_BUF request = {0};

    if (post)
        buf_printf(&request,
                   "wrk.method = 'POST'\nwrk.headers['Content-Type'] = 'application/json'\n"
                   "wrk.body = [==[%s]==]\n",
                   post);
    buf_printf(&text, lua, buf_cstr(&request));
    return load_file(w, "wrk.lua", text.p, text.len, path, err);
}

static bool
read_figures(const char *said, struct load_figures *out, struct err *err)
{
    const char *line = strstr(said, "figures ");
    long long us = 1, p50 = 0, p99 = 0;

    *out = (struct load_figures){0};
    if (!line || sscanf(line, "figures %ld %lld %lld %lld %ld", &out->requests, &us, &p50, &p99,
                        &out->failed) != 5)
        return err_set(err, ERR_IO, "wrk said %.200s", said);
    out->per_s = (double)out->requests * 1e6 / (double)us;
    out->p50_ms = (double)p50 / 1000;
    out->p99_ms = (double)p99 / 1000;
    return true;
}

struct times {
    double web, fcgi, postgres; /* seconds since they began */
};

static struct times
take_times(const struct world *w, const struct process *web)
{
    return (struct times){
        .web = cpu_seconds(web->pid),
        .fcgi = cpu_seconds(world_handler_pid(w)),
        .postgres = cpu_seconds_of_family(postgres_pid(w->postgres)),
    };
}

bool
load_wrk(struct world *w, const struct load_spec *spec, struct load_figures *out, struct err *err)
{
    char script[LOAD_PATH_LEN], url[LOAD_PATH_LEN], duration[16], connections[16];
    const char *const argv[] = {WRK,      "-t", "1",    "-c",        connections, "-d",
                                duration, "-s", script, "--latency", url,         NULL};
    const struct process *web = spec->web ? spec->web : &w->web;
    struct times before, after;
    char *said = NULL;
    bool ok;

    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", spec->port, spec->target);
    snprintf(duration, sizeof duration, "%ds", spec->seconds);
    snprintf(connections, sizeof connections, "%d", LOAD_CONNECTIONS);
    if (!write_script(w, spec->post, script, err))
        return false;
    before = take_times(w, web);
    ok = load_program(w, "wrk", argv, spec->seconds, &said, err);
    after = take_times(w, web);
    ok = ok && read_figures(said, out, err);
    free(said);
    if (ok && out->requests > 0) {
        double n = (double)out->requests;

        out->web_us = (after.web - before.web) * 1e6 / n;
        out->fcgi_us = (after.fcgi - before.fcgi) * 1e6 / n;
        out->postgres_us = (after.postgres - before.postgres) * 1e6 / n;
    }
    return ok;
}
