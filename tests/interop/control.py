#!/usr/bin/env python3
"""What people do to a run from outside, on the real runtime: discovery, cancel, suspend, resume, a restart.

    control.py --runtime HOST:PORT --api URL --key KEY --agent SENDER=TOKEN --state FILE discover|delegate|callback|before|after

Each scene is one of the last words. `before` and `after` are the two halves of a restart of the runtime: the first opens a
session and writes what it did to the state file, the second goes on with it. Prints what held, exits 1 with a reason when
something did not.
"""

import argparse
import json
import sys
import time
import urllib.error
import urllib.request

from macp_sdk import AuthConfig, DecisionSession, MacpClient, new_session_id
from macp_sdk.agent.cancel_callback import start_cancel_callback_server

MODE = "macp.mode.decision.v1"
OBSERVER = "macp-observer"
PEER = "agent://reviewer"  # declared, says nothing
PATIENCE = 30


class Failed(Exception):
    """Something does not hold."""


def demand(condition, message):
    if not condition:
        raise Failed(message)


class Api:
    """Our HTTP API."""

    def __init__(self, url, key):
        self.url = url
        self.key = key

    def call(self, method, path, body=None):
        """Status and parsed body."""
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as err:
            return err.code, json.loads(err.read() or b"null")

    def post_run(self, session_id, **metadata):
        status, body = self.call(
            "POST",
            "/runs",
            {
                "mode": "live",
                "runtime": {"kind": "rust"},
                "session": {
                    "sessionId": session_id,
                    "modeName": MODE,
                    "modeVersion": "1.0.0",
                    "configurationVersion": "config.default",
                    "ttlMs": 120000,
                    "participants": [{"id": "agent://planner"}, {"id": PEER}],
                    "metadata": metadata,
                },
            },
        )
        demand(status == 201, f"POST /runs: {status} {body}")
        return body["runId"]

    def run(self, run):
        status, body = self.call("GET", f"/runs/{run}")
        demand(status == 200, f"GET /runs/{run}: {status} {body}")
        return body

    def await_status(self, run, *wanted):
        deadline = time.monotonic() + PATIENCE
        while True:
            body = self.run(run)
            if body["status"] in wanted:
                return body
            demand(time.monotonic() < deadline, f"run {run} is {body['status']}, not {wanted}")
            time.sleep(0.5)

    def event_types(self, run):
        status, body = self.call("GET", f"/runs/{run}/events?limit=1000")
        demand(status == 200, f"events of {run}: {status}")
        return [event["type"] for event in body]


class Planner:
    """The agent that owns the sessions."""

    def __init__(self, target, pair):
        sender, token = pair.rsplit("=", 1)
        self.auth = AuthConfig.for_bearer(token, expected_sender=sender)
        self.sender = sender
        self.client = MacpClient(target=target, allow_insecure=True, auth=self.auth, default_timeout=10)

    def session(self, session_id, **more):
        return DecisionSession(self.client, session_id=session_id, auth=self.auth, **more)

    def open(self, session_id, **more):
        session = self.session(session_id, **more)
        ack = session.start(intent="be controlled", participants=[self.sender, PEER], ttl_ms=120_000)
        demand(ack.ok, f"SessionStart: {ack}")
        return session

    @staticmethod
    def commit(session):
        ack = session.commit(
            action="decision.selected", authority_scope="interop", reason="enough", commitment_id="c-1"
        )
        demand(ack.ok, f"Commitment: {ack}")


def discover(api, planner, _state):
    """Nobody posts the run: the session becomes one, with its own id."""
    session_id = new_session_id()
    session = planner.open(session_id)
    demand(session.propose("blue", "blue").ok, "Proposal")
    run = api.await_status(session_id, "running")
    demand(run["runtimeSessionId"] == session_id, f"the run is of session {run['runtimeSessionId']}")
    planner.commit(session)
    api.await_status(session_id, "completed")
    received = api.event_types(session_id).count("message.received")
    demand(received == 3, f"{received} of 3 envelopes are stored")
    print(f"  session {session_id} was discovered, run and completed: 3 envelopes")


def delegate(api, planner, _state):
    """A policy gives the observer authority: it suspends, resumes and cancels by calls to the runtime."""
    policy = "policy.interop.delegated"
    status, body = api.call(
        "POST",
        "/runtime/policies",
        {
            "policyId": policy,
            "mode": MODE,
            "description": "the observer may end sessions",
            "rules": {"commitment": {"authority": "designated_role", "designated_roles": [OBSERVER, planner.sender]}},
            "schemaVersion": 1,
        },
    )
    demand(status in (200, 201), f"policy: {status} {body}")
    status, body = api.call("GET", f"/runtime/policies/{policy}")
    demand(status == 200 and body["policyId"] == policy, f"the policy is not listed: {status} {body}")

    session_id = new_session_id()
    run = api.post_run(session_id, cancellationDelegated=True)
    session = planner.open(session_id, policy_version=policy)
    api.await_status(run, "running")
    for verb, wanted in (("suspend", "suspended"), ("resume", "running"), ("cancel", "cancelled")):
        status, body = api.call("POST", f"/runs/{run}/{verb}", {"reason": "interop"})
        demand(status in (201, 202), f"{verb}: {status} {body}")
        api.await_status(run, wanted)
    state = session.metadata().metadata.state
    types = api.event_types(run)
    demand([t for t in types if t in ("run.suspended", "run.resumed", "run.cancelled")]
           == ["run.suspended", "run.resumed", "run.cancelled"], f"events: {types}")
    status, body = api.call("POST", f"/runs/{run}/cancel")
    demand(status == 201 and body["status"] == "cancelled", f"a repeat: {status} {body}")
    print(f"  run {run} was suspended, resumed and cancelled by delegation; the runtime says state {state}")

    status, body = api.call("DELETE", f"/runtime/policies/{policy}")
    demand(status in (200, 204), f"policy removal: {status} {body}")


def callback(api, planner, _state):
    """The SDK's cancel callback: one agent cancels its session, another one only says that it has heard."""
    sessions = {}

    def cancel(run_id, reason):
        if reason == "do it":
            sessions[run_id].cancel(reason=reason)

    server = start_cancel_callback_server(host="127.0.0.1", port=0, path="/cancel", on_cancel=cancel)
    url = f"http://127.0.0.1:{server.port}/cancel"
    runs = []
    for _ in range(2):
        session_id = new_session_id()
        run = api.post_run(session_id, cancelCallback={"url": url})
        sessions[run] = planner.open(session_id)
        api.await_status(run, "running")
        runs.append(run)
    status, body = api.call("POST", f"/runs/{runs[0]}/cancel", {"reason": "do it"})
    demand(status in (201, 202), f"cancel: {status} {body}")
    api.await_status(runs[0], "cancelled")
    print(f"  run {runs[0]} was cancelled by its agent's callback (answered {status})")

    status, body = api.call("POST", f"/runs/{runs[1]}/cancel", {"reason": "just listen"})
    demand(status == 202 and body["status"] == "running", f"cancel that nobody carries out: {status} {body}")
    demand(sessions[runs[1]].propose("blue", "blue").ok, "Proposal")
    Planner.commit(sessions[runs[1]])
    api.await_status(runs[1], "completed")
    print(f"  run {runs[1]}: asked for, never confirmed, observed to its own end")
    server.close()


def before(api, planner, state):
    """A session with some history, then the runtime goes."""
    session_id = new_session_id()
    run = api.post_run(session_id)
    session = planner.open(session_id)
    demand(session.propose("blue", "blue").ok, "Proposal")
    api.await_status(run, "running")
    with open(state, "w", encoding="ascii") as file:
        json.dump({"run": run, "session": session_id}, file)


def after(api, planner, state):
    """The runtime is back with what it had on disk: the run goes on where it was."""
    with open(state, encoding="ascii") as file:
        saved = json.load(file)
    run, session = saved["run"], planner.session(saved["session"])
    api.await_status(run, "running")
    demand(session.propose("green", "green").ok, "Proposal after the restart")
    planner.commit(session)
    api.await_status(run, "completed")
    received = api.event_types(run).count("message.received")
    demand(received == 4, f"{received} of 4 envelopes are stored once")
    status, body = api.call("GET", f"/runs/{run}/export")
    demand(status == 200 and not body.get("gaps"), f"gaps: {status} {body.get('gaps')}")
    print(f"  run {run}: 2 envelopes before and 2 after the runtime's restart, each stored once, no gap")


SCENES = {f.__name__: f for f in (discover, delegate, callback, before, after)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("runtime", "api", "key", "agent", "state"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("scene", choices=SCENES)
    options = parser.parse_args()
    try:
        SCENES[options.scene](Api(options.api, options.key), Planner(options.runtime, options.agent), options.state)
    except Exception as err:  # a failed check, a refused call, a lost connection
        print(f"control: {options.scene}: {type(err).__name__}: {err}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
