#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/crowd.h"
#include "tests/support/scene.h"

int
scene_open(void **state, struct world *w, const struct world_options *options, unsigned flags)
{
    struct err err = {0};

    *state = w;
    if (world_start(w, options, &err) &&
        (!(flags & SCENE_INSTANCE) || world_start_instance(w, 0, &err)) &&
        (!(flags & SCENE_READY) || world_wait_ready(w, &err))) {
        if (flags & SCENE_WITNESS)
            crowd_witness(w);
        return 0;
    }
    print_error("%s\n", err.msg);
    world_stop(w);
    return -1;
}

int
scene_close(void **state)
{
    world_stop(*state);
    return 0;
}

void
only_the_owner_of_a_run_moved_it(void **state)
{
    crowd_expect_owners_only_wrote(*state);
}

void
stored_projections_are_what_refolding_gives(void **state)
{
    crowd_expect_projections_are_refolds(*state);
}
