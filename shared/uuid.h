/*
 * uuid.h - identifiers as 36-character lower-case text.
 *
 * Purpose    random ids (v4) and name-based ids (v5) that make replays comparable.
 * Ownership  results go into the caller's char[UUID_LEN]. Errors: none. Threads: any.
 */
#ifndef MACP_SHARED_UUID_H
#define MACP_SHARED_UUID_H

#include <stdbool.h>
#include <stdint.h>

enum { UUID_LEN = 37 }; /* with the NUL */

/* Namespace for ids derived from a name that is no UUID. */
#define UUID_NAMESPACE_URL "6ba7b811-9dad-11d1-80b4-00c04fd430c8"

void uuid_v4(char out[UUID_LEN]);
/* ns must be a UUID (uuid_is_valid). */
void uuid_v5(const char *ns, const char *name, char out[UUID_LEN]);
/* Public id of an event or raw row: named by its sequence number inside the run. */
void uuid_of_event(const char *run_id, int64_t seq, char out[UUID_LEN]);

/* 8-4-4-4-12 hexadecimal digits, any case, any version. */
bool uuid_is_valid(const char *s);
/* Lower-case copy of a valid UUID. */
void uuid_lower(const char *s, char out[UUID_LEN]);
/* The 16 bytes of a valid UUID, as Postgres' binary format wants them. */
void uuid_bytes(const char *s, uint8_t out[16]);

#endif
