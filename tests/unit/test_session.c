/* A run that awaits its session, drains and ends. */
#include "observerd/refold.h"
#include "tests/unit/session_stage.h"

/* --- awaiting ----------------------------------------------------------------------------------
 */

static void
test_awaiting_queued_run_starts_when_the_runtime_is_known(void **state UNUSED)
{
    shard.ready = false;
    adopt(RUN_QUEUED, 0, 1);
    assert_nothing_stored();
    assert_null(asked());
    assert_waits();
    shard.ready = true;
    fire();
    assert_string_equal(EVENTS, "run.started");
    assert_int_equal(entry()->transitions, 1);
    assert_int_equal(entry()->status, RUN_STARTING);
    assert_non_null(asked());
}

static void
test_awaiting_wake_asks_at_once_and_again_after_an_answer_on_its_way(void **state UNUSED)
{
    adopt(RUN_STARTING, 0, 2);
    refuse(RT_NOT_FOUND, "");
    assert_null(asked());
    session_wake(s);
    assert_non_null(asked());
    session_wake(s); /* the answer may be older than this news */
    refuse(RT_NOT_FOUND, "");
    assert_true(s->timer.due_ms <= clock_mono_ms());
    assert_nothing_stored();
}

static void
test_awaiting_first_sight_binds_runs_and_subscribes_from_the_start(void **state UNUSED)
{
    adopt(RUN_QUEUED, 0, 1);
    swap();
    ANSWER(OPEN, 4);
    assert_int_equal(s->state, SESSION_STREAMING);
    assert_string_equal(EVENTS, "session.bound,participant.seen,session.state.changed,"
                                "session.stream.opened,artifact.created");
    assert_string_equal(column(BATCH_RAW, 3), "status");
    assert_int_equal(rows(BATCH_BOUND), 1);
    assert_int_equal(rows(BATCH_ARTIFACTS), 1);
    assert_int_equal(entry()->transitions, 2);
    assert_int_equal(entry()->status, RUN_RUNNING);
    assert_int_equal(entry()->new_seq - entry()->old_seq, 6);
    assert_int_equal(entry()->new_cursor, 0);
    assert_int_equal(stream()->after, 0);
    assert_waits();
}

static void
test_awaiting_discovered_run_subscribes_at_once_and_reads_behind_the_binding(void **state UNUSED)
{
    adopt_discovered();
    assert_int_equal(n_streams, 1);
    assert_int_equal(stream()->after, 0);
    assert_non_null(asked());
    swap();
    envelope("SessionStart", "m1");
    assert_true(stream()->parked);
    assert_nothing_stored();
    ANSWER(OPEN, 1);
    assert_string_equal(EVENTS, "session.bound,participant.seen,session.state.changed,"
                                "session.stream.opened,message.received");
    assert_int_equal(s->run.cursor, 1);
    assert_int_equal(n_streams, 1);
    assert_false(stream()->parked);
    envelope("Proposal", "m2");
    assert_int_equal(s->run.cursor, 2);
    assert_waits();
}

static void
test_awaiting_discovered_run_asks_however_many_wait(void **state UNUSED)
{
    shard.tokens = -1000;
    shard.tokens_at_ms = clock_mono_ms();
    adopt_discovered();
    assert_non_null(asked());
}

static void
test_awaiting_discovered_run_needs_no_offer_of_its_mode(void **state UNUSED)
{
    json_array_append_new(shard.modes, json_string("another.mode"));
    adopt_discovered();
    assert_int_equal(s->state, SESSION_AWAITING);
    assert_non_null(asked());
}

static void
test_awaiting_stream_that_ends_before_the_binding_is_opened_behind_what_it_gave(void **state UNUSED)
{
    adopt_discovered();
    envelope("SessionStart", "m1");
    end_stream(RT_UNAVAILABLE, "");
    assert_int_equal(s->state, SESSION_AWAITING);
    ANSWER(OPEN, 1);
    assert_int_equal(s->run.cursor, 1);
    assert_int_equal(n_streams, 2);
    assert_int_equal(stream()->after, 1);
    assert_waits();
}

static void
test_awaiting_stream_that_begins_with_an_error_is_followed_after_the_binding(void **state UNUSED)
{
    adopt_discovered();
    inline_error("FORBIDDEN", "session access denied");
    ANSWER(OPEN, 1);
    assert_int_equal(s->state, SESSION_STREAMING);
    assert_null(s->stream);
    assert_string_equal(s->observer_state, "forbidden");
    assert_int_equal(n_streams, 1); /* opened again when it may have been allowed */
    assert_waits();
}

static void
test_awaiting_discovered_session_that_is_gone_fails_the_run_as_forgotten(void **state UNUSED)
{
    adopt_discovered();
    end_stream(RT_NOT_FOUND, "");
    s->open_by_ms = clock_mono_ms() - 1;
    swap();
    refuse(RT_NOT_FOUND, "");
    assert_string_equal(EVENTS, "run.failed");
    assert_string_equal(entry()->failure_reason, RUN_REASON_FORGOTTEN);
}

static void
test_awaiting_bound_half_way_goes_on(void **state UNUSED)
{
    adopt(RUN_BINDING_SESSION, 0, 2);
    ANSWER(OPEN, 0);
    assert_int_equal(entry()->status, RUN_RUNNING);
}

static void
test_awaiting_unspecified_state_waits_on(void **state UNUSED)
{
    adopt(RUN_STARTING, 0, 2);
    ANSWER(UNSPECIFIED, 0);
    assert_int_equal(s->state, SESSION_AWAITING);
    assert_nothing_stored();
    assert_waits();
}

static void
test_awaiting_fails_at_the_deadline_and_not_before(void **state UNUSED)
{
    adopt(RUN_STARTING, 0, 2);
    refuse(RT_NOT_FOUND, "");
    assert_nothing_stored();
    fire();
    s->open_by_ms = clock_mono_ms() - 1;
    refuse(RT_NOT_FOUND, "");
    assert_int_equal(s->state, SESSION_ENDING);
    assert_string_equal(EVENTS, "run.failed");
    assert_string_equal(entry()->failure_reason, RUN_REASON_OPEN_TIMEOUT);
    assert_true(entry()->terminal);
    assert_non_null(entry()->projection);
}

static void
test_awaiting_outage_stops_the_clock_and_is_stored(void **state UNUSED)
{
    static const enum rt_code codes[] = {RT_UNAVAILABLE,     RT_DEADLINE_EXCEEDED, RT_INTERNAL,
                                         RT_UNAUTHENTICATED, RT_UNKNOWN,           RT_CANCELLED,
                                         RT_ABORTED,         RT_RESOURCE_EXHAUSTED};
    int64_t open_by;

    adopt(RUN_STARTING, 0, 2);
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        refuse(codes[i], "away");
        assert_waits();
        shard.ready = true;
        fire();
    }
    assert_nothing_stored();
    /* it has lasted 50 s, and the deadline would have passed */
    open_by = s->open_by_ms = clock_mono_ms() - 1000;
    s->outage_from_ms = s->outage_noted_ms = clock_mono_ms() - 50000;
    refuse(RT_UNAVAILABLE, "away");
    assert_int_equal(s->state, SESSION_AWAITING);
    assert_true(entry()->observer);
    assert_in_range(entry()->poll_remaining_ms, 48900, 49000);
    swap();
    shard.ready = true;
    fire();
    refuse(RT_NOT_FOUND, "");
    assert_int_equal(s->state, SESSION_AWAITING);
    assert_in_range(s->open_by_ms - open_by, 50000, 50100);
    assert_in_range(entry()->poll_remaining_ms, 48800, 49100);
}

static void
test_awaiting_unavailable_runtime_is_greeted_before_it_is_asked_again(void **state UNUSED)
{
    adopt(RUN_STARTING, 0, 2);
    shard.hello_at_ms = clock_mono_ms(); /* it has just said hello, too */
    refuse(RT_UNAVAILABLE, "away");
    assert_false(shard.ready);
    assert_true(shard.hello_timer.place > 0);
    assert_true(shard.hello_timer.due_ms > clock_mono_ms() + 500); /* no spinning */
    fire();
    assert_null(asked());
}

static void
test_awaiting_third_refusal_of_our_identity_fails_the_run(void **state UNUSED)
{
    adopt(RUN_STARTING, 0, 2);
    for (int i = 0; i < 2; i++) {
        refuse(RT_PERMISSION_DENIED, "FORBIDDEN: session access denied");
        assert_int_equal(s->state, SESSION_AWAITING);
        fire();
    }
    refuse(RT_PERMISSION_DENIED, "FORBIDDEN: session access denied");
    assert_string_equal(EVENTS, "run.failed");
    assert_string_equal(entry()->failure_reason, RUN_REASON_FORBIDDEN);
}

static void
test_awaiting_incompatible_runtime_or_mode_fails_the_run(void **state UNUSED)
{
    adopt(RUN_STARTING, 0, 2);
    refuse(RT_UNIMPLEMENTED, "what?");
    assert_string_equal(entry()->failure_reason, RUN_REASON_INCOMPATIBLE);
    session_drop(s);
    swap();
    json_array_append_new(shard.modes, json_string("another.mode"));
    adopt(RUN_QUEUED, 0, 1);
    assert_string_equal(EVENTS, "run.failed");
    assert_string_equal(entry()->failure_reason, RUN_REASON_MODE);
    assert_null(asked());
}

/* --- draining and the end ----------------------------------------------------------------------
 */

static void
test_draining_ends_with_the_last_message(void **state UNUSED)
{
    draining(MACP__V1__SESSION_STATE__SESSION_STATE_RESOLVED, 2);
    envelope("Proposal", "m2");
    assert_int_equal(s->state, SESSION_DRAINING);
    envelope("Commitment", "m3");
    assert_int_equal(s->state, SESSION_ENDING);
    assert_non_null(strstr(EVENTS, "session.state.changed,run.completed"));
    assert_string_equal(column(BATCH_RAW, 3), "session,session,snapshot");
    assert_int_equal(rows(BATCH_GAPS), 0);
    assert_true(entry()->terminal);
    assert_int_equal(entry()->status, RUN_COMPLETED);
    assert_non_null(entry()->projection);
}

static void
test_draining_limit_makes_a_gap_of_what_did_not_come(void **state UNUSED)
{
    draining(MACP__V1__SESSION_STATE__SESSION_STATE_RESOLVED, 4);
    fire();
    assert_int_equal(s->state, SESSION_DRAINING);
    assert_waits();
    s->drain_until_ms = clock_mono_ms();
    fire(); /* the connection may lead nowhere */
    assert_int_equal(s->state, SESSION_DRAINING);
    assert_true(streams[n_streams - 2].distrusted);
    assert_int_equal(stream()->after, 1);
    assert_waits();
    s->drain_until_ms = clock_mono_ms();
    fire();
    assert_non_null(strstr(EVENTS, "session.state.changed,run.completed"));
    assert_int_equal(int8_of(BATCH_GAPS, 3, 0), 2);
    assert_int_equal(int8_of(BATCH_GAPS, 4, 0), 5);
}

static void
test_draining_waits_for_what_a_parked_stream_holds(void **state UNUSED)
{
    draining(MACP__V1__SESSION_STATE__SESSION_STATE_CANCELLED, 2);
    writer.full = true;
    envelope("Proposal", "m2");
    assert_true(s->parked);
    s->drain_until_ms = s->quiet_since_ms = clock_mono_ms() - 60000; /* Postgres is away for long */
    fire();
    assert_int_equal(s->state, SESSION_DRAINING);
    writer.full = false;
    shard_forget_parked(&shard, s);
    session_unpark(s);
    envelope("Vote", "m3");
    assert_int_equal(s->state, SESSION_ENDING);
    assert_int_equal(rows(BATCH_GAPS), 0);
}

static void
test_draining_silence_counts_from_an_open_stream_on(void **state UNUSED)
{
    draining(MACP__V1__SESSION_STATE__SESSION_STATE_EXPIRED, 2);
    s->quiet_since_ms = clock_mono_ms() - 1000;
    stream()->open = false; /* still connecting: that is not silence */
    fire();
    assert_int_equal(s->state, SESSION_DRAINING);
    stream()->open = true;
    s->quiet_since_ms = clock_mono_ms() - 1000;
    fire();
    assert_int_equal(s->state, SESSION_DRAINING); /* read once more, over another connection */
    s->quiet_since_ms = clock_mono_ms() - 1000;
    fire();
    assert_non_null(strstr(EVENTS, "run.failed"));
    assert_string_equal(entry()->failure_reason, RUN_REASON_SESSION_EXPIRED);
    assert_int_equal(rows(BATCH_GAPS), 1);
}

static void
test_draining_complete_count_by_a_gap_waits_for_the_last_message(void **state UNUSED)
{
    draining(MACP__V1__SESSION_STATE__SESSION_STATE_RESOLVED, 4);
    inline_error("INVALID_ENVELOPE", "session history before ordinal 5 was compacted; resume");
    assert_int_equal(s->state, SESSION_DRAINING);
    assert_int_equal(rows(BATCH_GAPS), 1);
    envelope("Commitment", "m5");
    assert_int_equal(s->state, SESSION_ENDING);
    assert_int_equal(s->run.cursor, 5);
    assert_int_equal(rows(BATCH_GAPS), 1);
}

static void
test_draining_leaves_out_what_is_too_large(void **state UNUSED)
{
    draining(MACP__V1__SESSION_STATE__SESSION_STATE_RESOLVED, 3);
    end_stream(RT_RESOURCE_EXHAUSTED, "Received message larger than max (99 vs. 10)");
    assert_string_equal(column(BATCH_GAPS, 1), "oversize");
    assert_int_equal(s->run.cursor, 2);
    fire();
    assert_int_equal(stream()->after, 2);
    envelope("Proposal", "m3");
    envelope("Commitment", "m4");
    assert_int_equal(s->state, SESSION_ENDING);
    assert_int_equal(rows(BATCH_GAPS), 1);
}

static void
test_draining_lost_stream_is_opened_again(void **state UNUSED)
{
    draining(MACP__V1__SESSION_STATE__SESSION_STATE_RESOLVED, 4);
    end_stream(RT_UNAVAILABLE, "gone");
    assert_null(s->stream);
    s->reconnect_at_ms = clock_mono_ms();
    fire();
    assert_int_equal(stream()->after, 1);
    assert_waits();
    end_stream(RT_UNIMPLEMENTED, "no");
    s->reconnect_at_ms = clock_mono_ms();
    fire();
    assert_null(s->stream);
    s->drain_until_ms = clock_mono_ms();
    fire();
    assert_int_equal(s->state, SESSION_ENDING);
}

static void
test_draining_ignores_news_and_late_answers(void **state UNUSED)
{
    draining(MACP__V1__SESSION_STATE__SESSION_STATE_RESOLVED, 4);
    session_wake(s);
    assert_null(asked());
    session_handle(s, INPUT_NO_ANSWER, &(struct input){.status = &(struct rt_status){RT_OK, ""}});
    session_handle(s, INPUT_COMMITTED, NULL);
    assert_int_equal(s->state, SESSION_DRAINING);
    assert_nothing_stored();
    assert_waits();
}

static void
test_first_sight_of_an_ended_session_walks_all_the_way(void **state UNUSED)
{
    static const struct {
        Macp__V1__SessionState seen;
        const char *event;
        enum run_status status;
    } cases[] = {
        {MACP__V1__SESSION_STATE__SESSION_STATE_RESOLVED, "run.completed", RUN_COMPLETED},
        {MACP__V1__SESSION_STATE__SESSION_STATE_EXPIRED, "run.failed", RUN_FAILED},
        {MACP__V1__SESSION_STATE__SESSION_STATE_CANCELLED, "run.cancelled", RUN_CANCELLED},
    };
    char told[64];
    size_t n;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        adopt(RUN_QUEUED, 0, 1);
        answer_with(cases[i].seen, STARTED_MS, 0, 0);
        assert_int_equal(s->state, SESSION_DRAINING);
        envelope("SessionStart", "m1");
        assert_int_equal(s->state, SESSION_ENDING);
        assert_string_equal(strrchr(EVENTS, ',') + 1, cases[i].event);
        assert_int_equal(entry()->transitions, 4);
        assert_int_equal(entry()->status, cases[i].status);
        /* Subscribers are told of the third step and the fourth. */
        snprintf(told, sizeof told, "run.started,%s", cases[i].event);
        assert_string_equal(column(BATCH_WEBHOOKS, 2), told);
        for (int row = 0; row < 2; row++)
            assert_int_equal(rows_value(&writer.batch.tables[BATCH_WEBHOOKS], 1, row, &n)[3],
                             3 + row);
        session_drop(s);
        s = NULL;
        swap();
    }
}

static void
test_ending_takes_nothing_more_and_waits_for_the_commit(void **state UNUSED)
{
    draining(MACP__V1__SESSION_STATE__SESSION_STATE_RESOLVED, 1);
    envelope("Commitment", "m2");
    assert_int_equal(s->state, SESSION_ENDING);
    swap();
    envelope("Vote", "m3"); /* nothing of the session may follow the end */
    session_wake(s);
    assert_nothing_stored();
    assert_non_null(s->stream); /* nothing says ended before it is committed */
    commit();
    assert_int_equal(s->state, SESSION_LINGERING);
    assert_null(s->stream);
    assert_waits();
}

static void
test_lingering_run_closes_and_goes(void **state UNUSED)
{
    adopt(RUN_COMPLETED, 5, 20);
    assert_int_equal(s->state, SESSION_LINGERING);
    session_wake(s);
    assert_nothing_stored();
    fire();
    assert_int_equal(s->state, SESSION_CLOSING);
    assert_true(entry()->closed);
    assert_int_equal(entry()->new_seq, 20);
    session_wake(s);
    commit();
    assert_null(shard.by_key);
    s = NULL;
}

/* --- life --------------------------------------------------------------------------------------
 */

static void
test_resumed_run_goes_on_at_its_cursor(void **state UNUSED)
{
    adopt(RUN_RUNNING, 12, 40);
    assert_string_equal(EVENTS, "session.stream.opened");
    assert_null(s->stream); /* nobody saw what the runtime did meanwhile: the answer comes first */
    assert_waits();
    ANSWER(OPEN, 11);
    fire();
    assert_string_equal(EVENTS, "session.stream.opened,session.stream.opened");
    assert_int_equal(rows(BATCH_ARTIFACTS), 0);
    assert_int_equal(stream()->after, 12);
    assert_int_equal(entry()->old_cursor, 12);
    assert_waits();
}

static void
test_drained_run_leaves_its_deadline_without_the_outage(void **state UNUSED)
{
    adopt(RUN_STARTING, 0, 2);
    s->open_by_ms = clock_mono_ms() + 1000;
    s->outage_from_ms = s->outage_noted_ms = clock_mono_ms() - 5000;
    session_drain(s);
    assert_in_range(entry()->poll_remaining_ms, 5900, 6000);
    assert_null(asked());
}

static void
test_dropped_run_leaves_nothing_behind(void **state UNUSED)
{
    streaming();
    writer.full = true;
    envelope("Commitment", "m2"); /* parked, a call in flight, timers armed */
    assert_non_null(asked());
    session_drop(s);
    s = NULL;
    assert_null(asked());
    assert_false(streams[0].live);
    assert_int_equal(shard.timers.n, 0);
    assert_int_equal(shard.counts.runs, 0);
}

/* --- another instance's turn ----------------------------------------------------------------- */

static struct run_mail
told_control(int kind)
{
    struct mail *mail = mailbox_take_all(&control);
    struct run_mail copy = {0};

    assert_non_null(mail);
    assert_int_equal(mail->kind, kind);
    assert_null(mail->next);
    if (kind == CONTROL_RELEASE) { /* smaller: it names the run only */
        copy.run_key = ((struct run_release *)mail)->run_key;
        copy.fence = ((struct run_release *)mail)->fence;
    } else {
        copy = *(struct run_mail *)mail;
    }
    free(mail);
    return copy;
}

static void
test_handed_over_run_records_nothing_more_and_keeps_its_stream(void **state UNUSED)
{
    streaming();
    swap();
    session_hand_over(s, 2);
    assert_int_equal(s->state, SESSION_STREAMING); /* the heir is ahead of us: too early */
    envelope("Proposal", "m2");
    writer.behind = true;
    session_hand_over(s, 2);
    assert_int_equal(s->state, SESSION_HANDING);
    assert_non_null(entry()->projection);
    fire();
    assert_null(mailbox_take_all(&control)); /* not stored yet */
    swap();
    envelope("Vote", "m3");
    send_to(stream(), "Commitment", "m4", SESSION);
    session_wake(s);
    assert_nothing_stored();
    writer.behind = false;
    fire();
    assert_int_equal(told_control(CONTROL_STORED).run_key, 7);
    assert_true(streams[0].live);
    session_drop(s);
    s = NULL;
    assert_false(streams[0].live);
}

static void
test_run_without_a_stream_is_let_go_when_it_is_stored(void **state UNUSED)
{
    adopt(RUN_STARTING, 0, 2);
    session_leave(s);
    fire();
    assert_int_equal(told_control(CONTROL_RELEASE).run_key, 7);
    assert_null(shard.by_key);
    adopt(RUN_COMPLETED, 5, 20);
    session_leave(s);
    fire();
    told_control(CONTROL_RELEASE);
    streaming();
    session_leave(s); /* its stream could miss something */
    assert_int_equal(s->state, SESSION_STREAMING);
}

static void
inherit(int64_t cursor)
{
    struct heir_mail *m = xcalloc(1, sizeof *m + sizeof SESSION);

    m->run_key = 7;
    m->cursor = cursor;
    memcpy(m->session_id, SESSION, sizeof SESSION);
    heir_open(&shard, m);
    free(m);
}

static void
test_inherited_stream_proves_itself_and_goes_on_behind_what_is_stored(void **state UNUSED)
{
    struct run_mail m;

    inherit(5);
    assert_int_equal(streams[0].after, 4);
    send_to(&streams[0], "Vote", "m5", SESSION);
    m = told_control(CONTROL_HEIR);
    assert_true(m.yes);
    assert_int_equal(m.ordinal, 5);
    assert_true(streams[0].parked);
    adopt(RUN_RUNNING, 7, 40); /* the last owner has stored two more */
    assert_false(stream()->parked);
    assert_int_equal(n_streams, 1);
    assert_int_equal(shard.counts.streams_open, 1);
    swap();
    envelope("Vote", "m6");
    envelope("Vote", "m7");
    assert_nothing_stored();
    envelope("Vote", "m8");
    assert_int_equal(rows(BATCH_RAW), 1);
    assert_int_equal(s->run.cursor, 8);
}

static void
test_inherited_stream_that_is_ahead_of_what_is_stored_is_opened_anew(void **state UNUSED)
{
    inherit(0);
    send_to(&streams[0], "SessionStart", "m1", SESSION);
    assert_int_equal(told_control(CONTROL_HEIR).ordinal, 1);
    adopt(RUN_RUNNING, 0, 4);
    assert_false(streams[0].live);
    assert_null(s->stream);
    ANSWER(OPEN, 1);
    fire();
    assert_int_equal(stream()->after, 0);
}

static void
test_heir_that_is_refused_or_cut_says_so(void **state UNUSED)
{
    static const uint8_t compacted[] = {0x12, 0x03, 0x0a, 0x01, 'x'}; /* an error in the stream */

    inherit(5);
    streams[0].ops.message(streams[0].ctx, compacted, sizeof compacted);
    assert_false(told_control(CONTROL_HEIR).yes);
    assert_false(streams[0].live);
    assert_null(shard.heirs);
    inherit(5);
    streams[1].ops.closed(streams[1].ctx, &(struct rt_status){.code = RT_UNAVAILABLE});
    assert_false(told_control(CONTROL_HEIR).yes);
    assert_null(shard.heirs);
    inherit(5);
    heir_close(&shard, 7);
    assert_false(streams[2].live);
    assert_null(mailbox_take_all(&control));
}

static void
test_compaction_texts(void **state UNUSED)
{
    static const struct {
        const char *text;
        int64_t base;
    } cases[] = {
        {"session history before ordinal 12 was compacted; resume with after_sequence >= 12", 12},
        {"FAILED_PRECONDITION: history before ordinal 1 was compacted", 1},
        {"history before ordinal 0 was compacted", 0},
        {"history before ordinal -4 was compacted", 0},
        {"history before ordinal x was compacted", 0},
        {"history before ordinal 12", 0},
        {"", 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(session_compacted_before(cases[i].text), cases[i].base);
}

/* --- orders -------------------------------------------------------------------------------------
 */

static void
test_order_ends_a_run_whose_session_was_never_seen(void **state UNUSED)
{
    static const enum order_kind ends[] = {ORDER_END, ORDER_END_ANYWAY};

    adopt(RUN_QUEUED, 0, 1);
    swap();
    assert_int_equal(order(ORDER_READY, 0), ORDER_AWAITING);
    assert_nothing_stored();
    assert_int_equal(order(ends[0], 0), ORDER_DONE);
    assert_int_equal(s->state, SESSION_ENDING);
    assert_string_equal(EVENTS, "run.cancelled");
    assert_int_equal(entry()->status, RUN_CANCELLED);
    assert_int_equal(order(ends[1], 0), ORDER_OVER);
    assert_string_equal(EVENTS, "run.cancelled");
    ANSWER(OPEN, 0); /* too late: nobody waits for it any more */
    assert_int_equal(s->state, SESSION_ENDING);
}

static void
test_order_leaves_an_observed_run_to_its_session_unless_told_otherwise(void **state UNUSED)
{
    streaming();
    assert_int_not_equal(order(ORDER_END, 0), ORDER_DONE);
    assert_int_equal(s->state, SESSION_STREAMING);
    assert_nothing_stored();
    assert_int_equal(order(ORDER_END_ANYWAY, 0), ORDER_DONE);
    assert_int_equal(s->state, SESSION_ENDING);
    assert_string_equal(EVENTS, "run.cancelled");
}

static void
test_ready_is_what_the_runtime_says_now_and_an_open_stream(void **state UNUSED)
{
    int64_t now;

    streaming();
    now = clock_mono_ms() + 1;
    assert_int_equal(order(ORDER_READY, now), ORDER_BEHIND); /* what is known is older */
    assert_non_null(asked());
    assert_int_equal(order(ORDER_READY, now), ORDER_BEHIND); /* one question is enough */
    s->asked_ms = now;
    ANSWER(OPEN, 2); /* two more than were read */
    assert_int_equal(order(ORDER_READY, now), ORDER_BEHIND);
    envelope("Proposal", "m2");
    envelope("Vote", "m3");
    s->asked_ms = now;
    ANSWER(OPEN, 2);
    assert_int_equal(order(ORDER_READY, now), ORDER_UP_TO_DATE);
    stream()->open = false;
    assert_int_equal(order(ORDER_READY, now), ORDER_BEHIND);
}

static void
test_ready_does_not_wait_for_a_stream_that_cannot_be(void **state UNUSED)
{
    streaming();
    s->stream_refused = true;
    assert_int_equal(order(ORDER_READY, clock_mono_ms() + 1), ORDER_UP_TO_DATE);
}

static void
test_adopted_run_gets_its_artifact_once_and_keeps_its_stream(void **state UNUSED)
{
    adopt_discovered();
    ANSWER(OPEN, 0);
    swap();
    assert_int_equal(order(ORDER_TRACE, 0), ORDER_DONE);
    assert_string_equal(EVENTS, "artifact.created");
    assert_int_equal(rows(BATCH_ARTIFACTS), 1);
    assert_int_equal(order(ORDER_TRACE, 0), ORDER_DONE);
    assert_int_equal(rows(BATCH_ARTIFACTS), 1);
    assert_int_equal(n_streams, 1);
}

static void
test_appended_events_are_recorded_once_with_the_end_of_their_command(void **state UNUSED)
{
    static const char args[] =
        "{\"events\":[{\"type\":\"artifact.created\",\"subjectKind\":\"artifact\","
        "\"subjectId\":\"a\",\"sourceName\":\"here\",\"data\":{\"label\":\"l\"}}]}";
    struct shard_order append = {
        .kind = ORDER_APPEND, .reply_to = 5, .args = (char *)(uintptr_t)args};

    streaming();
    swap();
    for (int i = 0; i < 2; i++) {
        append.answer = ORDER_UNKNOWN;
        session_order(s, &append);
        assert_int_equal(append.answer, ORDER_DONE);
        assert_string_equal(EVENTS, "artifact.created");
        assert_int_equal(rows(BATCH_COMMANDS), 1);
    }
    append.reply_to = 6;
    session_order(s, &append);
    assert_string_equal(EVENTS, "artifact.created,artifact.created");
    assert_int_equal(rows(BATCH_COMMANDS), 2);
    assert_true(stream()->live);
}

/* The number behind which the session keeps what it records. */
static int64_t
order_tail(enum order_answer wanted)
{
    struct shard_order tail = {.kind = ORDER_TAIL, .answer = ORDER_UNKNOWN};

    session_order(s, &tail);
    assert_int_equal(tail.answer, wanted);
    return tail.seq;
}

/* What an order that brings a fold up to that number is answered. */
static enum order_answer
order_refolded(int64_t seq)
{
    struct shard_order order = {.kind = ORDER_REFOLDED, .reply_to = 7, .answer = ORDER_UNKNOWN};

    order.refold = refold_new(RUN, s->run.run_key, s->run.day);
    order.refold->seq = seq;
    session_order(s, &order);
    assert_true((order.refold == NULL) == (order.answer == ORDER_DONE));
    refold_free(order.refold);
    return order.answer;
}

static void
test_refolded_run_goes_on_with_the_fold_and_what_came_meanwhile(void **state UNUSED)
{
    int64_t seq, counted;

    streaming();
    s->run.metrics.event_count = 1000000; /* what is in memory is wrong */
    swap();
    seq = order_tail(ORDER_DONE);
    assert_int_equal(seq, s->run.seq);
    envelope("Proposal", "m2");
    counted = s->run.metrics.event_count - 1000000;
    assert_true(counted > 0);
    assert_int_equal(order_refolded(seq - 1), ORDER_BEHIND);
    assert_int_equal(rows(BATCH_REFOLDED), 0);
    assert_int_equal(order_refolded(seq), ORDER_DONE);
    assert_int_equal(s->run.metrics.event_count, counted);
    assert_int_equal(entry()->metrics.event_count, counted);
    assert_int_equal(entry()->projection->version, s->run.seq);
    assert_int_equal(rows(BATCH_REFOLDED), 1);
    assert_int_equal(rows(BATCH_COMMANDS), 1);
    assert_int_equal(n_streams, 1);
    assert_true(stream()->live);
    /* The tail is used up. */
    assert_int_equal(order_refolded(s->run.seq), ORDER_BEHIND);
}

static void
test_run_that_is_handed_over_or_closed_takes_no_fold(void **state UNUSED)
{
    streaming();
    s->state = SESSION_CLOSING;
    order_tail(ORDER_UNKNOWN);
    s->state = SESSION_HANDING;
    order_tail(ORDER_UNKNOWN);
    s->state = SESSION_STREAMING;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_awaiting_queued_run_starts_when_the_runtime_is_known),
        T(test_awaiting_wake_asks_at_once_and_again_after_an_answer_on_its_way),
        T(test_awaiting_first_sight_binds_runs_and_subscribes_from_the_start),
        T(test_awaiting_discovered_run_subscribes_at_once_and_reads_behind_the_binding),
        T(test_awaiting_discovered_run_asks_however_many_wait),
        T(test_awaiting_discovered_run_needs_no_offer_of_its_mode),
        T(test_awaiting_stream_that_ends_before_the_binding_is_opened_behind_what_it_gave),
        T(test_awaiting_stream_that_begins_with_an_error_is_followed_after_the_binding),
        T(test_awaiting_discovered_session_that_is_gone_fails_the_run_as_forgotten),
        T(test_awaiting_bound_half_way_goes_on),
        T(test_awaiting_unspecified_state_waits_on),
        T(test_awaiting_fails_at_the_deadline_and_not_before),
        T(test_awaiting_outage_stops_the_clock_and_is_stored),
        T(test_awaiting_unavailable_runtime_is_greeted_before_it_is_asked_again),
        T(test_awaiting_third_refusal_of_our_identity_fails_the_run),
        T(test_awaiting_incompatible_runtime_or_mode_fails_the_run),
        T(test_draining_ends_with_the_last_message),
        T(test_draining_limit_makes_a_gap_of_what_did_not_come),
        T(test_draining_waits_for_what_a_parked_stream_holds),
        T(test_draining_silence_counts_from_an_open_stream_on),
        T(test_draining_complete_count_by_a_gap_waits_for_the_last_message),
        T(test_draining_leaves_out_what_is_too_large),
        T(test_draining_lost_stream_is_opened_again),
        T(test_draining_ignores_news_and_late_answers),
        T(test_first_sight_of_an_ended_session_walks_all_the_way),
        T(test_ending_takes_nothing_more_and_waits_for_the_commit),
        T(test_lingering_run_closes_and_goes),
        T(test_resumed_run_goes_on_at_its_cursor),
        T(test_drained_run_leaves_its_deadline_without_the_outage),
        T(test_dropped_run_leaves_nothing_behind),
        T(test_handed_over_run_records_nothing_more_and_keeps_its_stream),
        T(test_run_without_a_stream_is_let_go_when_it_is_stored),
        T(test_inherited_stream_proves_itself_and_goes_on_behind_what_is_stored),
        T(test_inherited_stream_that_is_ahead_of_what_is_stored_is_opened_anew),
        T(test_heir_that_is_refused_or_cut_says_so),
        T(test_order_ends_a_run_whose_session_was_never_seen),
        T(test_order_leaves_an_observed_run_to_its_session_unless_told_otherwise),
        T(test_ready_is_what_the_runtime_says_now_and_an_open_stream),
        T(test_ready_does_not_wait_for_a_stream_that_cannot_be),
        T(test_adopted_run_gets_its_artifact_once_and_keeps_its_stream),
        T(test_appended_events_are_recorded_once_with_the_end_of_their_command),
        T(test_refolded_run_goes_on_with_the_fold_and_what_came_meanwhile),
        T(test_run_that_is_handed_over_or_closed_takes_no_fold),
        T(test_compaction_texts),
    };

    return cmocka_run_group_tests(tests, load_config, unload_config);
}
