/* A run whose session is open: its stream, its lane, the runtime's answers. */
#include "tests/unit/session_stage.h"

/* --- streaming: the stream ---------------------------------------------------------------------
 */

static void
test_streaming_envelope_gets_the_next_ordinal(void **state UNUSED)
{
    streaming();
    envelope("Proposal", "m2");
    assert_string_equal(column(BATCH_RAW, 3), "session");
    assert_int_equal(int8_of(BATCH_RAW, 5, 0), 2);
    assert_int_equal(entry()->old_cursor, 1);
    assert_int_equal(entry()->new_cursor, 2);
    assert_true(rows(BATCH_CANONICAL) > 0);
    assert_null(asked());
}

static void
test_streaming_duplicates_and_strangers_leave_no_trace(void **state UNUSED)
{
    streaming();
    envelope("SessionStart", "m1");
    send_to(stream(), "Proposal", "m2", "another-session");
    assert_nothing_stored();
    assert_int_equal(s->run.cursor, 1);
}

static void
test_streaming_unreadable_envelope_is_stored_and_counts(void **state UNUSED)
{
    static const uint8_t bytes[] = {0x0a, 0x03, 0x0a, 0x7f, 'x'}; /* a field longer than it is */

    streaming();
    assert_true(stream()->ops.message(stream()->ctx, bytes, sizeof bytes));
    assert_int_equal(rows(BATCH_RAW), 1);
    assert_int_equal(s->run.cursor, 2);
}

static void
test_streaming_hints_ask_even_when_an_older_question_is_on_its_way(void **state UNUSED)
{
    streaming();
    envelope("Commitment", "m2");
    assert_non_null(asked());
    session_wake(s); /* while it is in flight */
    ANSWER(OPEN, 1); /* from before the commitment */
    assert_non_null(asked());
    ANSWER(RESOLVED, 1);
    assert_int_equal(s->state, SESSION_DRAINING);
}

static void
test_streaming_full_batch_parks_the_stream(void **state UNUSED)
{
    streaming();
    writer.full = true;
    envelope("Proposal", "m2");
    assert_true(stream()->parked);
    assert_ptr_equal(shard.parked_head[LANE_ORDINARY], s);
    shard_forget_parked(&shard, s);
    session_unpark(s);
    assert_false(stream()->parked);
    assert_int_equal(s->run.cursor, 2); /* what had been read is not read again */
}

static void
move(void)
{
    assert_true(s->move.place > 0);
    timer_cancel(&shard.timers, &s->move);
    s->move.fire(&s->move);
}

/* --- lanes -------------------------------------------------------------------------------- */

enum { LARGE = 100000 };

static void
test_large_envelope_waits_until_the_ordinary_lane_is_past_the_run(void **state UNUSED)
{
    int64_t cursor;

    streaming();
    cursor = s->run.cursor;
    writer.behind = true;
    send_sized(stream(), "Proposal", "m2", SESSION, LARGE);
    assert_true(stream()->parked);
    assert_int_equal(s->run.cursor, cursor); /* nothing of it is written anywhere */
    move();
    assert_int_equal(s->lane, LANE_ORDINARY);
    assert_true(s->move.place);
    writer.behind = false;
    move();
    assert_int_equal(s->lane, LANE_BULK);
    assert_int_equal(s->run.cursor, cursor + 1);
    assert_int_equal(bulk.batch.tables[BATCH_RAW].n, 1);
    assert_int_equal(bulk.batch.runs[0].old_cursor, cursor);
    assert_false(stream()->parked);
    send_sized(stream(), "Proposal", "m3", SESSION, LARGE); /* it stays there */
    assert_int_equal(s->run.cursor, cursor + 2);
    assert_int_equal(bulk.batch.tables[BATCH_RAW].n, 2);
}

static void
test_held_envelope_is_recorded_when_its_stream_ends(void **state UNUSED)
{
    int64_t cursor;

    streaming();
    cursor = s->run.cursor;
    writer.behind = true;
    send_sized(stream(), "Proposal", "m2", SESSION, LARGE);
    end_stream(RT_UNAVAILABLE, "Socket closed");
    assert_int_equal(s->run.cursor, cursor + 1);
    assert_int_equal(s->held.len, 0);
    writer.behind = false;
    move(); /* the move itself goes on */
    assert_int_equal(s->lane, LANE_BULK);
    assert_int_equal(s->run.cursor, cursor + 1);
}

static void
test_held_envelope_is_recorded_when_the_program_stops(void **state UNUSED)
{
    int64_t cursor;

    streaming();
    cursor = s->run.cursor;
    writer.behind = true;
    send_sized(stream(), "Proposal", "m2", SESSION, LARGE);
    session_drain(s);
    assert_int_equal(s->run.cursor, cursor + 1);
    assert_false(s->move.place);
}

static void
test_held_envelope_is_forgotten_with_a_lost_run(void **state UNUSED)
{
    streaming();
    writer.behind = true;
    send_sized(stream(), "Proposal", "m2", SESSION, LARGE);
    writer.batch.events = 0;
    session_drop(s);
    s = NULL;
    assert_int_equal(writer.batch.events, 0);
    assert_int_equal(shard.timers.n, 0);
}

/* --- large payloads ----------------------------------------------------------------------------
 */

static void
answer_decoder(void)
{
    struct decoded *d = asked_decoder;

    assert_non_null(d);
    asked_decoder = NULL;
    session_decoded(s, d);
}

/* In the bulk lane already, a large envelope held up. Its ordinal is cursor + 1. */
static int64_t
decoding(void)
{
    streaming();
    s->lane = LANE_BULK;
    decodes = true;
    send_sized(stream(), "Proposal", "m2", SESSION, LARGE);
    assert_true(stream()->parked);
    assert_int_equal(bulk.batch.tables[BATCH_RAW].n, 0);
    return s->run.cursor;
}

static void
test_large_payload_is_decoded_elsewhere_and_its_text_is_used(void **state UNUSED)
{
    int64_t cursor = decoding();
    const char *data;
    size_t n;

    answer_decoder();
    assert_int_equal(s->run.cursor, cursor + 1);
    assert_int_equal(bulk.batch.tables[BATCH_RAW].n, 1);
    data = rows_value(&bulk.batch.tables[BATCH_CANONICAL], 13, 0, &n);
    assert_non_null(memmem(data, n, "\"payload\":{\"decoded\":\"elsewhere\"}", 33));
    assert_false(stream()->parked);
    assert_false(s->held_up);
    decodes = false; /* too busy: it is done here */
    send_sized(stream(), "Proposal", "m3", SESSION, LARGE);
    assert_int_equal(s->run.cursor, cursor + 2);
}

static void
test_large_payload_waits_for_lane_and_decoder_in_any_order(void **state UNUSED)
{
    for (int decoder_first = 0; decoder_first < 2; decoder_first++) {
        int64_t cursor;

        streaming();
        cursor = s->run.cursor;
        decodes = writer.behind = true;
        send_sized(stream(), "Proposal", "m2", SESSION, LARGE);
        if (decoder_first)
            answer_decoder();
        else
            move();
        assert_int_equal(s->run.cursor, cursor);
        writer.behind = false;
        if (decoder_first)
            move();
        else
            answer_decoder();
        assert_int_equal(s->lane, LANE_BULK);
        assert_int_equal(s->run.cursor, cursor + 1);
        assert_false(s->held_up);
        if (!decoder_first) {
            close_stage(state);
            open_stage(state);
        }
    }
}

static void
test_end_of_the_stream_does_not_wait_for_the_decoder(void **state UNUSED)
{
    int64_t cursor = decoding();

    end_stream(RT_UNAVAILABLE, "Socket closed");
    assert_int_equal(s->run.cursor, cursor + 1);
    assert_false(s->held_up);
    answer_decoder(); /* too late: nothing happens */
    assert_int_equal(s->run.cursor, cursor + 1);
    assert_null(s->decoded);
}

static void
test_decoder_that_never_answers_is_not_waited_for(void **state UNUSED)
{
    int64_t cursor = decoding();

    move();
    assert_int_equal(s->run.cursor, cursor + 1);
    assert_false(stream()->parked);
    answer_decoder();
    assert_int_equal(s->run.cursor, cursor + 1);
}

static void
test_drain_waits_for_a_run_that_moves(void **state UNUSED)
{
    streaming();
    writer.behind = true;
    send_sized(stream(), "Commitment", "m2", SESSION, LARGE);
    session_wake(s);
    ANSWER(RESOLVED, 1);
    assert_int_equal(s->state, SESSION_DRAINING);
    s->drain_until_ms = clock_mono_ms() - 1;
    fire();
    assert_int_equal(s->state, SESSION_DRAINING);
    writer.behind = false;
    move();
    assert_int_equal(s->state, SESSION_ENDING);
    assert_int_equal(bulk.batch.tables[BATCH_GAPS].n, 0);
}

/* --- the stream's end ------------------------------------------------------------------------ */

static void
test_streaming_stream_that_ends_while_parked_is_not_parked_any_more(void **state UNUSED)
{
    streaming();
    writer.full = true;
    envelope("Proposal", "m2");
    end_stream(RT_UNAVAILABLE, "Socket closed");
    assert_null(shard.parked_head[LANE_ORDINARY]);
    assert_false(s->parked);
}

static void
test_streaming_compacted_history_is_a_gap_and_its_last_message_is_counted_once(void **state UNUSED)
{
    static const struct {
        const char *code, *text;
    } cases[] = {
        {"session history before ordinal 9 was compacted; resume with after_sequence >= 9",
         "session history before ordinal 9 was compacted; resume with after_sequence >= 9"},
        {"INVALID_ENVELOPE", "session history before ordinal 9 was compacted; resume with"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        streaming();
        inline_error(cases[i].code, cases[i].text);
        assert_string_equal(column(BATCH_GAPS, 1), "compacted");
        assert_int_equal(int8_of(BATCH_GAPS, 3, 0), 2);
        assert_int_equal(int8_of(BATCH_GAPS, 4, 0), 9);
        assert_int_equal(entry()->new_cursor, 9);
        assert_non_null(s->stream);
        assert_non_null(asked());
        swap();
        envelope("Commitment", "m9");
        assert_int_equal(int8_of(BATCH_RAW, 5, 0), 9);
        assert_int_equal(s->run.cursor, 9);
        session_drop(s);
        s = NULL;
        swap();
    }
}

static void
test_streaming_refused_subscription_closes_and_is_tried_later(void **state UNUSED)
{
    static const struct {
        const char *code, *text;
    } cases[] = {
        {"FORBIDDEN: caller is not a declared participant",
         "FORBIDDEN: caller is not a declared participant"},
        {"FORBIDDEN", "caller is not a declared participant"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        streaming();
        inline_error(cases[i].code, cases[i].text);
        assert_null(s->stream);
        assert_string_equal(entry()->observer_state, "forbidden");
        assert_true(s->reconnect_at_ms > clock_mono_ms() + 50000);
        assert_waits();
        session_drop(s);
        s = NULL;
        swap();
    }
}

static void
test_streaming_other_inline_error_is_stored_and_takes_no_ordinal(void **state UNUSED)
{
    streaming();
    inline_error("POLICY_DENIED", "no");
    assert_string_equal(column(BATCH_RAW, 3), "inline-error");
    assert_non_null(strstr(EVENTS, "message.send_failed"));
    assert_int_equal(s->run.cursor, 1);
    assert_non_null(s->stream);
}

static void
test_streaming_lost_stream_comes_back_at_the_cursor(void **state UNUSED)
{
    static const enum rt_code codes[] = {RT_OK,      RT_UNAVAILABLE, RT_INTERNAL,       RT_UNKNOWN,
                                         RT_ABORTED, RT_CANCELLED,   RT_UNAUTHENTICATED};

    streaming();
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        end_stream(codes[i], "gone");
        assert_string_equal(EVENTS, "session.stream.opened"); /* the notice */
        assert_string_equal(entry()->observer_state, "disconnected");
        assert_non_null(asked());
        assert_waits();
        s->reconnect_at_ms = clock_mono_ms();
        fire();
        assert_null(s->stream); /* it may be another life of the session: the answer comes first */
        ANSWER(OPEN, 0);
        fire();
        assert_int_equal(stream()->after, 1);
        envelope("Signal", ""); /* something comes: all is well again */
        assert_string_equal(entry()->observer_state, "ok");
        s->run.cursor = 1;
        s->stream_failures = 0;
        swap();
    }
}

/* Asked before the stream was lost: the answer may be about the life that is over. */
static void
test_streaming_old_answer_does_not_settle_a_doubt(void **state UNUSED)
{
    streaming();
    session_wake(s);
    end_stream(RT_UNAVAILABLE, "gone");
    s->reconnect_at_ms = clock_mono_ms();
    ANSWER(OPEN, 0);
    fire();
    assert_null(s->stream);
    answer_with(MACP__V1__SESSION_STATE__SESSION_STATE_OPEN, STARTED_MS + 1, 0,
                clock_wall_ms() + 600000);
    fire();
    assert_int_equal(stream()->after, 0);
    assert_int_equal(s->run.epoch, 1);
}

static void
test_streaming_doubt_without_an_answer_asks_again_later(void **state UNUSED)
{
    streaming();
    end_stream(RT_UNAVAILABLE, "gone");
    for (int i = 2; i <= 4; i++) {
        refuse(RT_UNAVAILABLE, "nobody there");
        assert_int_equal(s->stream_failures, i);
        assert_null(asked());
        assert_waits();
        s->reconnect_at_ms = clock_mono_ms();
        fire();
        assert_null(s->stream);
        assert_non_null(asked());
    }
}

static void
test_streaming_being_cut_for_lag_costs_no_time_three_times(void **state UNUSED)
{
    streaming();
    for (int i = 0; i < 3; i++) {
        end_stream(RT_RESOURCE_EXHAUSTED, "StreamSession receiver fell behind by 3 envelopes");
        assert_nothing_stored();
        assert_true(s->reconnect_at_ms <= clock_mono_ms());
        fire();
        swap();
    }
    end_stream(RT_RESOURCE_EXHAUSTED, "StreamSession receiver fell behind by 3 envelopes");
    assert_int_equal(s->stream_failures, 1);
    assert_string_equal(EVENTS, "session.stream.opened");
}

static void
test_streaming_oversize_message_is_left_out_as_a_gap(void **state UNUSED)
{
    streaming();
    end_stream(RT_RESOURCE_EXHAUSTED, "Received message larger than max (99 vs. 10)");
    assert_string_equal(column(BATCH_GAPS, 1), "oversize");
    assert_int_equal(s->run.cursor, 2);
    fire();
    assert_int_equal(stream()->after, 2);
}

static void
test_streaming_status_of_compaction_moves_on_but_never_in_circles(void **state UNUSED)
{
    static const char text[] = "session history before ordinal 9 was compacted; resume with";

    streaming();
    end_stream(RT_FAILED_PRECONDITION, text);
    assert_string_equal(column(BATCH_GAPS, 1), "compacted");
    fire();
    assert_int_equal(stream()->after, 9);
    swap();
    end_stream(RT_FAILED_PRECONDITION, text); /* nothing new: as any failure */
    assert_int_equal(rows(BATCH_GAPS), 0);
    assert_int_equal(s->stream_failures, 1);
    assert_waits();
}

static void
test_streaming_runtime_that_cannot_stream_is_only_asked(void **state UNUSED)
{
    streaming();
    end_stream(RT_UNIMPLEMENTED, "no");
    assert_string_equal(entry()->observer_state, "degraded");
    assert_non_null(asked());
    ANSWER(OPEN, 5);
    s->check_at_ms = clock_mono_ms();
    fire();
    assert_int_equal(n_streams, 1);
    assert_non_null(asked());
    assert_waits();
}

static void
test_streaming_denied_status_is_tried_after_a_minute(void **state UNUSED)
{
    streaming();
    end_stream(RT_PERMISSION_DENIED, "FORBIDDEN");
    assert_string_equal(entry()->observer_state, "forbidden");
    assert_true(s->reconnect_at_ms > clock_mono_ms() + 50000);
}

/* --- streaming: answers ------------------------------------------------------------------------
 */

static void
test_streaming_timer_asks_and_stays_armed(void **state UNUSED)
{
    streaming();
    s->check_at_ms = clock_mono_ms();
    fire();
    assert_non_null(asked());
    assert_waits();
    refuse(RT_UNAVAILABLE, "away");
    assert_waits();
    assert_nothing_stored();
    s->quiet_since_ms = clock_mono_ms() - cfg->stream_idle_timeout_ms;
    fire();
    assert_non_null(asked());
    assert_waits();
}

static void
test_streaming_suspends_and_resumes_with_the_session(void **state UNUSED)
{
    streaming();
    session_wake(s);
    ANSWER(SUSPENDED, 0);
    assert_string_equal(EVENTS, "session.state.changed,run.suspended");
    assert_string_equal(column(BATCH_RAW, 3), "snapshot");
    assert_int_equal(entry()->status, RUN_SUSPENDED);
    swap();
    session_wake(s);
    ANSWER(SUSPENDED, 0);
    assert_int_equal(rows(BATCH_CANONICAL), 0);
    session_wake(s);
    ANSWER(OPEN, 0);
    assert_string_equal(EVENTS, "session.state.changed,run.resumed");
    assert_int_equal(entry()->status, RUN_RUNNING);
}

static void
test_streaming_same_answer_stores_nothing(void **state UNUSED)
{
    int64_t expires = clock_wall_ms() + 600000;

    streaming();
    session_wake(s);
    answer_with(MACP__V1__SESSION_STATE__SESSION_STATE_OPEN, STARTED_MS, 0, expires);
    swap();
    session_wake(s);
    answer_with(MACP__V1__SESSION_STATE__SESSION_STATE_OPEN, STARTED_MS, 0, expires);
    assert_int_equal(rows(BATCH_CANONICAL) + rows(BATCH_RAW), 0);
    assert_false(writer.batch.n_runs && writer.batch.runs[0].observer);
}

static void
test_streaming_another_life_of_the_session_is_read_from_its_start(void **state UNUSED)
{
    streaming();
    session_wake(s);
    answer_with(MACP__V1__SESSION_STATE__SESSION_STATE_OPEN, STARTED_MS + 1, 2, 0);
    assert_string_equal(column(BATCH_GAPS, 1), "reset");
    assert_int_equal(entry()->epoch, 1);
    assert_int_equal(entry()->new_cursor, 0);
    fire();
    assert_int_equal(stream()->after, 0);
    swap();
    envelope("SessionStart", "m1"); /* the same id in another epoch is another envelope */
    assert_int_equal(int8_of(BATCH_RAW, 5, 0), 1);
}

/* The question at the limit is asked once, not as fast as the thread can. */
static void
test_streaming_behind_for_long_subscribes_again(void **state UNUSED)
{
    streaming();
    session_wake(s);
    ANSWER(OPEN, 5);
    assert_true(s->behind_since_ms > 0);
    s->behind_since_ms = s->check_at_ms = clock_mono_ms() - 5001;
    fire();
    assert_non_null(asked());
    assert_true(s->timer.due_ms > clock_mono_ms());
    ANSWER(OPEN, 5);
    assert_null(s->stream);
    fire();
    assert_int_equal(n_streams, 2);
    assert_int_equal(stream()->after, 1);
}

static void
test_streaming_behind_because_parked_keeps_the_stream(void **state UNUSED)
{
    streaming();
    writer.full = true;
    envelope("Proposal", "m2");
    session_wake(s);
    ANSWER(OPEN, 5);
    s->behind_since_ms = clock_mono_ms() - 6000;
    session_wake(s);
    ANSWER(OPEN, 5);
    assert_int_equal(n_streams, 1);
    assert_non_null(s->stream);
}

static void
forget(bool committed, int64_t expired_ago_ms)
{
    streaming();
    if (committed)
        envelope("Commitment", "m2");
    else
        session_wake(s);
    if (expired_ago_ms)
        s->run.session_expires_ms = clock_wall_ms() - expired_ago_ms;
    swap();
    for (int i = 0; i < 2; i++) {
        refuse(RT_NOT_FOUND, "");
        assert_int_equal(s->state, SESSION_STREAMING);
        assert_waits();
        s->check_at_ms = clock_mono_ms();
        fire();
    }
    s->missing_since_ms -= 5000;
    refuse(RT_NOT_FOUND, "");
    assert_int_equal(s->state, SESSION_ENDING);
}

static void
test_streaming_forgotten_session_ends_by_what_is_known(void **state UNUSED)
{
    forget(true, 0);
    assert_string_equal(EVENTS, "run.completed");
    assert_string_equal(column(BATCH_GAPS, 1), "forgotten");
    session_drop(s);
    swap();
    forget(false, 0);
    assert_string_equal(EVENTS, "run.failed");
    assert_string_equal(entry()->failure_reason, RUN_REASON_FORGOTTEN);
    session_drop(s);
    swap();
    forget(false, 1000);
    assert_string_equal(entry()->failure_reason, RUN_REASON_SESSION_EXPIRED);
}

static void
test_streaming_runtime_gone_for_ever_ends_a_session_that_must_be_dead(void **state UNUSED)
{
    streaming();
    s->run.session_expires_ms = clock_wall_ms() - 1000;
    session_wake(s);
    refuse(RT_UNAVAILABLE, "away");
    assert_int_equal(s->state, SESSION_STREAMING); /* it may be suspended */
    s->run.session_expires_ms = clock_wall_ms() - (int64_t)8 * 24 * 3600000;
    session_wake(s);
    refuse(RT_UNAVAILABLE, "away");
    assert_int_equal(s->state, SESSION_ENDING);
    assert_string_equal(entry()->failure_reason, RUN_REASON_SESSION_EXPIRED);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_streaming_envelope_gets_the_next_ordinal),
        T(test_streaming_duplicates_and_strangers_leave_no_trace),
        T(test_streaming_unreadable_envelope_is_stored_and_counts),
        T(test_streaming_hints_ask_even_when_an_older_question_is_on_its_way),
        T(test_streaming_full_batch_parks_the_stream),
        T(test_large_envelope_waits_until_the_ordinary_lane_is_past_the_run),
        T(test_held_envelope_is_recorded_when_its_stream_ends),
        T(test_held_envelope_is_recorded_when_the_program_stops),
        T(test_held_envelope_is_forgotten_with_a_lost_run),
        T(test_large_payload_is_decoded_elsewhere_and_its_text_is_used),
        T(test_large_payload_waits_for_lane_and_decoder_in_any_order),
        T(test_end_of_the_stream_does_not_wait_for_the_decoder),
        T(test_decoder_that_never_answers_is_not_waited_for),
        T(test_drain_waits_for_a_run_that_moves),
        T(test_streaming_stream_that_ends_while_parked_is_not_parked_any_more),
        T(test_streaming_compacted_history_is_a_gap_and_its_last_message_is_counted_once),
        T(test_streaming_refused_subscription_closes_and_is_tried_later),
        T(test_streaming_other_inline_error_is_stored_and_takes_no_ordinal),
        T(test_streaming_lost_stream_comes_back_at_the_cursor),
        T(test_streaming_old_answer_does_not_settle_a_doubt),
        T(test_streaming_doubt_without_an_answer_asks_again_later),
        T(test_streaming_being_cut_for_lag_costs_no_time_three_times),
        T(test_streaming_oversize_message_is_left_out_as_a_gap),
        T(test_streaming_status_of_compaction_moves_on_but_never_in_circles),
        T(test_streaming_runtime_that_cannot_stream_is_only_asked),
        T(test_streaming_denied_status_is_tried_after_a_minute),
        T(test_streaming_timer_asks_and_stays_armed),
        T(test_streaming_suspends_and_resumes_with_the_session),
        T(test_streaming_same_answer_stores_nothing),
        T(test_streaming_another_life_of_the_session_is_read_from_its_start),
        T(test_streaming_behind_for_long_subscribes_again),
        T(test_streaming_behind_because_parked_keeps_the_stream),
        T(test_streaming_forgotten_session_ends_by_what_is_known),
        T(test_streaming_runtime_gone_for_ever_ends_a_session_that_must_be_dead),
    };

    return cmocka_run_group_tests(tests, load_config, unload_config);
}
