/* replay.c - POST /runs/:id/replay: where and how to replay; nothing is stored. */
#include "fcgi/handlers.h"
#include "fcgi/reply.h"
#include "fcgi/request.h"
#include "fcgi/run_fold.h"
#include "shared/json.h"

static const char *const modes[] = {"instant", "timed", "step", NULL};

// clang-format off
static const struct field replay_fields[] = {
    {"mode",    FIELD_ENUM,   0, 0, NULL, modes, NULL, 0},
    {"speed",   FIELD_NUMBER, 0, 0, NULL, NULL,  NULL, 0.1},
    {"fromSeq", FIELD_NUMBER, 0, 0, NULL, NULL,  NULL, 1},
    {"toSeq",   FIELD_NUMBER, 0, 0, NULL, NULL,  NULL, 1},
    {NULL,      FIELD_STRING, 0, 0, NULL, NULL,  NULL, 0},
};
// clang-format on

const struct body_schema replay_schema = {replay_fields, false, NULL};

bool
run_replay(struct request *rq, struct err *err)
{
    static const char *const bounds[] = {"fromSeq", "toSeq"};
    const char *mode = jv_cstr(jv_get(rq->document, "mode")), *run = rq->params[0];
    const json_t *speed = jv_get(rq->document, "speed");
    AUTO_BUF url = {0};
    char number[JV_NUMBER_LEN];
    struct buf *b;

    if (!run_must_exist(rq, err))
        return false;
    mode = mode ? mode : "timed";
    jv_number_text(jv_nullish(speed) ? 1 : json_number_value(speed), number);
    buf_printf(&url, "/runs/%s/replay/stream?mode=%s&speed=%s", run, mode, number);
    b = reply_json(rq, 201);
    buf_printf(b, "{\"runId\":\"%s\",\"mode\":\"%s\",\"speed\":%s", run, mode, number);
    for (size_t i = 0; i < ARRAY_LEN(bounds); i++) {
        const json_t *v = jv_get(rq->document, bounds[i]);

        if (jv_nullish(v))
            continue;
        jv_number_text(json_number_value(v), number);
        buf_printf(b, ",\"%s\":%s", bounds[i], number);
        buf_printf(&url, "&%s=%s", bounds[i], number);
    }
    buf_printf(b, ",\"streamUrl\":\"%s\",\"stateUrl\":\"/runs/%s/replay/state\"}", buf_cstr(&url),
               run);
    return true;
}
