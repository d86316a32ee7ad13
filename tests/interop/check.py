#!/usr/bin/env python3
"""Compares what the agents sent with what the observer stored and with what the runtime says it was sent.

    check.py session OBSERVER RUN EVENTS SENT         one run: its record, its events, the agents' own account
    check.py runtime OBSERVER METRICS LOG SENT...     the runtime's counters and log after all sessions

RUN and EVENTS are answers of the HTTP API, SENT is the output of agents.py, METRICS and LOG come from the runtime.
Exit status: 0 all holds, 1 something does not, 3 only signals or progress reports are not stored yet.
"""

import json
import re
import sys

AMBIENT_MISSING = 3


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def load_sent(path):
    with open(path, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    session = [line for line in lines if line["stream"] == "session"]
    return session, [line for line in lines if line["stream"] == "signals"]


def demand(condition, message):
    if not condition:
        sys.exit(f"check: {message}")


def brief(envelope):
    return (envelope["messageId"], envelope["messageType"], envelope["sender"])


def check_session(observer, run_path, events_path, sent_path):
    run, events = load(run_path), load(events_path)
    session, ambient = load_sent(sent_path)
    demand(len(session) >= 7, f"the agents report only {len(session)} envelopes: nothing to compare")
    demand(len(ambient) == 2, f"the agents report {len(ambient)} signals instead of 2")

    demand(run["status"] == "completed", f"the run ended {run['status']}: {run.get('errorMessage')}")
    numbers = [event["seq"] for event in events]
    demand(numbers == sorted(set(numbers)), f"event numbers do not ascend: {numbers}")
    demand(events[-1]["seq"] <= run["lastEventSeq"], "there are events behind the run's last number")

    received = [event["data"] for event in events if event["type"] == "message.received"]
    from_us = [brief(data) for data in received if data["sender"] == observer]
    demand(not from_us, f"the runtime delivered envelopes of the observer: {from_us}")

    ambient_ids = {line["messageId"] for line in ambient}
    stored = [brief(data) for data in received if data["messageId"] not in ambient_ids]
    wanted = [brief(line) for line in session]
    demand(stored == wanted, "stored events are not the accepted envelopes\n stored   %s\n accepted %s" % (stored, wanted))

    ends = [event for event in events if event["type"] in ("decision.finalized", "run.completed")]
    demand([event["type"] for event in ends] == ["decision.finalized", "run.completed"], f"end of the run: {ends}")
    decision = ends[0]["data"]
    demand(decision["messageId"] == session[-1]["messageId"], "decision.finalized is not the agents' Commitment")
    payload = decision["decodedPayload"]
    demand(
        (payload["action"], payload["outcomePositive"]) == ("decision.selected", True),
        f"the Commitment was stored as {payload}",
    )
    print(f"  {len(stored)} session envelopes stored in acceptance order, run completed, decision finalized")

    stored_ambient = [brief(data) for data in received if data["messageId"] in ambient_ids]
    if sorted(stored_ambient) != sorted(map(brief, ambient)):
        print(f"check: signals stored {stored_ambient}, sent {list(map(brief, ambient))}", file=sys.stderr)
        return AMBIENT_MISSING
    print(f"  {len(stored_ambient)} envelopes outside of the history stored (Signal, Progress)")
    return 0


def counter(metrics, name):
    return sum(int(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? (\d+)$", metrics, re.MULTILINE))


def check_runtime(observer, metrics_path, log_path, *sent_paths):
    with open(metrics_path, encoding="utf-8") as file:
        metrics = file.read()
    with open(log_path, encoding="utf-8") as file:
        log = re.sub(r"\x1b\[[0-9;]*m", "", file.read()).splitlines()
    sent = [envelope for path in sent_paths for envelope in load_sent(path)[0]]
    starts = [envelope for envelope in sent if envelope["messageType"] == "SessionStart"]

    # The counters name no sender, so they must add up to the agents' messages alone.
    totals = {
        "macp_sessions_started_total": len(starts),
        "macp_messages_accepted_total": len(sent) - len(starts),
        "macp_messages_rejected_total": 0,
        "macp_sessions_resolved_total": len(starts),
    }
    for name, wanted in totals.items():
        demand(counter(metrics, name) == wanted, f"{name} is {counter(metrics, name)}, the agents account for {wanted}")

    # The log names the sender of each accepted envelope.
    def lines(what, sender):
        return [line for line in log if what in line and re.search(rf"\bsender={re.escape(sender)}(\s|$)", line)]

    logged = sum(
        len(lines(what, sender))
        for what in ("session started", "message accepted")
        for sender in {envelope["sender"] for envelope in sent}
    )
    demand(logged == len(sent), f"the log shows {logged} envelopes of the agents, they sent {len(sent)}")
    subscriptions = lines("passive subscribe", observer)
    demand(len(subscriptions) >= len(starts), f"the log shows {len(subscriptions)} subscriptions of {observer}")
    ours = [line for what in ("session started", "message accepted") for line in lines(what, observer)]
    demand(not ours, f"the runtime accepted envelopes of {observer}: {ours}")
    print(f"  runtime counted {len(sent)} accepted and 0 rejected envelopes, all of the agents; 0 of {observer},")
    print(f"  which it knows only as a subscriber ({len(subscriptions)} subscriptions)")
    return 0


CHECKS = {"session": check_session, "runtime": check_runtime}

if __name__ == "__main__":
    if len(sys.argv) < 6 or sys.argv[1] not in CHECKS:
        sys.exit(__doc__)
    sys.exit(CHECKS[sys.argv[1]](*sys.argv[2:]))
