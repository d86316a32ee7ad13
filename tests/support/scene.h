/*
 * scene.h - one world for all tests of a program.
 *
 * Purpose    what set-ups and tear-downs of groups have in common, and the two tests that stand at
 *            the end of every program that breaks things.
 * Ownership  the world is the program's; scene_open notes it in the group's state, which cmocka
 *            gives to each test and to scene_close.
 * Errors     scene_open prints why and returns -1: then no test of the group runs.
 * Threads    one.
 */
#ifndef MACP_TESTS_SUPPORT_SCENE_H
#define MACP_TESTS_SUPPORT_SCENE_H

#include "tests/support/world.h"

enum scene_flags {
    SCENE_READY = 1,    /* wait until the API says that everything is there */
    SCENE_INSTANCE = 2, /* start the first of several observers */
    SCENE_WITNESS = 4,  /* note who moves runs, see crowd.h */
};

/* For a group's set-up and its tear-down. */
int scene_open(void **state, struct world *w, const struct world_options *options, unsigned flags);
int scene_close(void **state);

/* Tests; the second one ends every observer. */
void only_the_owner_of_a_run_moved_it(void **state);
void stored_projections_are_what_refolding_gives(void **state);

#endif
