/*
 * llm.h - the LLM call that a payload reports, wherever its sender put it.
 *
 * Purpose    agents report token usage in several places and spellings; this finds the first that
 *            holds a call and brings it into one shape.
 * Ownership  llm_call_extract returns a new reference or NULL when there is no call.
 * Errors     none.
 * Threads    any.
 */
#ifndef MACP_OBSERVERD_LLM_H
#define MACP_OBSERVERD_LLM_H

#include <jansson.h>

#include "shared/macros.h"

/* inner: the payload without its wrapper; may be NULL or any value. */
json_t *llm_call_extract(const json_t *inner) MUST_CHECK;

#endif
