/*
 * Payload decoding on any bytes: the first byte chooses a row of the type table (or none). What
 * comes out must be clean JSON that can be written and read again.
 */
#include <stdint.h>
#include <stdlib.h>

#include "observerd/llm.h"
#include "observerd/payload.h"
#include "shared/buf.h"
#include "shared/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct payload_type none = {"mode", "Custom", NULL};
    const struct payload_type *t;
    AUTO_JSON *again = NULL;
    AUTO_BUF text = {0};
    struct payload p;

    if (n == 0)
        return 0;
    t = data[0] < payload_types_count ? &payload_types[data[0]] : &none;
    p = payload_decode(t->mode, t->message_type, data + 1, n - 1);
    if (p.value) {
        jv_write(&text, p.value);
        if (!jv_is_clean(text.p, text.len))
            abort();
        again = jv_parse(text.p, text.len);
        if (!again && !payload_is_wrapper(p.value)) /* wrapping adds a level of depth */
            abort();
    }
    json_decref(llm_call_extract(payload_inner(p.value)));
    json_decref(p.value);
    return 0;
}
