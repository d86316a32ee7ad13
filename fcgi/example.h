/*
 * example.h - ids that the samples of the documentation use.
 *
 * Purpose    one set of ids, so that samples fit together and can be replayed as they stand
 *            against a service that has runs with these ids.
 * Ownership  constants. Errors: none. Threads: any.
 */
#ifndef MACP_FCGI_EXAMPLE_H
#define MACP_FCGI_EXAMPLE_H

#define EXAMPLE_RUN_ID      "3f2b7c1e-5d14-4b7e-9a53-0c1d2e3f4a51" /* completed */
#define EXAMPLE_OTHER_ID    "8a6d2f47-1b3c-4e5d-8f90-a1b2c3d4e5f6" /* completed, too */
#define EXAMPLE_LIVE_ID     "c4e1b9a2-7d68-4f03-b215-9e8d7c6b5a41" /* running */
#define EXAMPLE_OLD_ID      "1d9f0e8b-2c4a-4d6e-a7b8-5f6e7d8c9b0a" /* completed, to be deleted */
#define EXAMPLE_UNKNOWN_ID  "00000000-0000-4000-8000-000000000000"
#define EXAMPLE_SESSION_ID  "session-of-another-run"               /* of a posted run */
#define EXAMPLE_WEBHOOK_ID  "5e7a9c3b-6f2d-4a18-9b0c-d1e2f3a4b5c6" /* active */
#define EXAMPLE_IDLE_ID     "7b2c4d6e-8f0a-4b1c-9d3e-5f7a9b1c3d5e" /* a webhook that is not */
#define EXAMPLE_DELIVERY_ID "2c8e5a71-3d4f-4e6b-8a9c-0b1d2e3f4a5b" /* to the active one */
#define EXAMPLE_UNSENT_ID   "9d5f7a31-6b8c-4d0e-a2f4-1c3e5a7b9d2f" /* to the other one */

/* The same as JSON. */
#define EXAMPLE_RUN     "\"" EXAMPLE_RUN_ID "\""
#define EXAMPLE_WEBHOOK "\"" EXAMPLE_WEBHOOK_ID "\""

#endif
