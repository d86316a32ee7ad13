/*
 * command.h - what people asked for is carried out: rows to calls, and what came of them back.
 *
 * Purpose    claims rows of table commands, asks the runtime, the agent or the run's shard, and
 *            writes the result: cancel, suspend, resume, rebuild, policies, the breaker. What a
 *            person may not find out later is never assumed: a run is cancelled when its session
 *            is.
 * Ownership  struct commands is heap memory of main; what the options point to is borrowed.
 * Errors     commands_start fails on unusable options. A command that fails has a result that says
 *            so; one that nobody could carry out in time expires.
 * Threads    one of its own with a connection and a completion queue. commands_look from any.
 *
 * A command belongs to an instance for as long as its lease, which is renewed; after that another
 * one carries it out again. So every step may happen twice, and none minds: cancelling what is
 * cancelled changes nothing, and an agent that has agreed is not asked again.
 */
#ifndef MACP_OBSERVERD_COMMAND_H
#define MACP_OBSERVERD_COMMAND_H

#include <stddef.h>
#include <stdint.h>

#include "shared/config.h"
#include "shared/err.h"

struct commands;
struct notifier;
struct outbound;
struct price_list;
struct rt_options;
struct shard;

struct commands_options {
    const struct config *cfg;
    const struct rt_options *runtime;
    const char *instance_id;
    struct shard *const *shards;
    size_t n_shards;
    struct notifier *notifier;
    struct outbound *outbound;
    const struct price_list *prices;
};

bool commands_start(const struct commands_options *o, struct commands **out,
                    struct err *err) MUST_CHECK;
/* There may be something to do: look now. */
void commands_look(struct commands *c);
/* Take no more; what nobody has been asked for yet is left to others at once. */
void commands_quiet(struct commands *c);
/* Let what is on its way end within the limit, leave the rest to others. */
void commands_stop(struct commands *c, int64_t limit_ms);
/* Once neither shards nor outbound can answer any more. NULL is fine. */
void commands_free(struct commands *c);

#endif
