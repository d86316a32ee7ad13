#!/usr/bin/env python3
"""Three agents that hold one decision session on a MACP runtime.

A planner opens the session and proposes; a reviewer and a tester, each with its own identity, connection and thread,
follow the session's stream, evaluate the proposal and vote when both evaluations are in; the planner commits when both
votes are in. What the reviewer and the tester send is concurrent: the runtime decides the order. In between the planner
sends a signal and a progress report, which are not part of the session's history.

Prints one JSON object per envelope on standard output: first the session's, in the order in which the runtime accepted
them as all three subscriptions agree, after checking that this is exactly what the agents sent; then the signal and the
progress report. Exits 1 with a reason when anything else was seen, a message of somebody else included.
"""

import argparse
import json
import os
import sys
import threading
import time

import grpc
from macp.v1 import core_pb2
from macp_sdk import AuthConfig, DecisionSession, MacpClient

PROPOSAL = "option-blue"
MODE = "macp.mode.decision.v1"


class Agent:
    """One identity: a connection, a session helper and a log of what the runtime acknowledged."""

    def __init__(self, target, session_id, sender, token, deadline):
        auth = AuthConfig.for_bearer(token, expected_sender=sender)
        self.sender = sender
        self.deadline = deadline
        self.client = MacpClient(target=target, allow_insecure=True, auth=auth, default_timeout=10)
        self.session = DecisionSession(self.client, session_id=session_id, auth=auth)
        self.auth = auth
        self.acked = []  # message ids, in the order in which this agent sent them
        self.history = []  # envelopes as the subscription delivered them

    def left(self):
        seconds = self.deadline - time.monotonic()
        if seconds <= 0:
            raise TimeoutError(f"{self.sender}: the session did not finish in time")
        return seconds

    def sent(self, ack):
        if not ack.ok or ack.duplicate:
            raise RuntimeError(f"{self.sender}: message not accepted: {ack}")
        self.acked.append(ack.message_id)

    def await_session(self):
        """Participants are told the session id, not when the planner opens it."""
        while True:
            try:
                self.session.metadata()
                return
            except grpc.RpcError as err:
                if err.code() != grpc.StatusCode.NOT_FOUND:
                    raise
            self.left()
            time.sleep(0.02)

    def follow(self):
        """Yield the accepted envelopes of the session up to and including the Commitment."""
        stream = self.client.open_stream()
        try:
            stream.send_subscribe(self.session.session_id)
            while True:
                envelope = stream.read(timeout=self.left())
                if envelope is None:
                    raise RuntimeError(f"{self.sender}: the runtime ended the stream")
                self.history.append(envelope)
                yield envelope
                if envelope.message_type == "Commitment":
                    return
        finally:
            stream.cancel()


class Ambient:
    """Everything that the runtime broadcasts outside of sessions, and what of it is ours."""

    def __init__(self, agent):
        self.agent = agent
        self.acked = []
        self.seen = []
        self.call = agent.client.stub.WatchSignals(core_pb2.WatchSignalsRequest(), metadata=agent.auth.metadata())
        self.call.initial_metadata()  # returns when the watch has begun
        threading.Thread(target=self.collect, daemon=True).start()

    def collect(self):
        try:
            for response in self.call:
                self.seen.append(response.envelope)
        except grpc.RpcError:
            pass  # cancelled; a watch that ended early shows as a missing envelope

    def send(self):
        session_id = self.agent.session.session_id
        client = self.agent.client
        for ack in (
            client.send_signal(
                signal_type="interop.thinking", data=b'{"step":1}', confidence=0.5, correlation_session_id=session_id
            ),
            client.send_progress(
                session_id=session_id, mode=MODE, progress_token="interop", progress=0.5, total=1.0, message="half way"
            ),
        ):
            if not ack.ok:
                raise RuntimeError(f"{self.agent.sender}: not accepted: {ack}")
            self.acked.append(ack.message_id)

    def settle(self):
        """The broadcast of our own envelopes, once it is complete; anything else is an error."""
        while len(self.seen) < len(self.acked):
            self.agent.left()
            time.sleep(0.02)
        self.call.cancel()
        if [envelope.message_id for envelope in self.seen] != self.acked:
            raise RuntimeError(f"signals nobody of us sent: {self.seen}")
        return self.seen


def plan(agent, participants, opened, may_propose, ambient):
    """The planner: open, propose, commit when everybody else has voted."""
    agent.sent(agent.session.start(intent="choose a colour", participants=participants, ttl_ms=120_000))
    opened()
    may_propose()

    votes = 0
    for envelope in agent.follow():
        if envelope.message_type == "SessionStart":
            agent.sent(agent.session.propose(PROPOSAL, "blue", rationale="it is calm"))
        if envelope.message_type == "Evaluation" and not ambient.acked:
            ambient.send()
        if envelope.message_type == "Vote":
            votes += 1
            if votes == len(participants) - 1:
                agent.sent(
                    agent.session.commit(
                        action="decision.selected",
                        authority_scope="interop",
                        reason="both voters approve",
                        commitment_id="commitment-1",
                    )
                )


def judge(agent, voters):
    """A participant: evaluate the proposal, vote when all voters have evaluated."""
    agent.await_session()
    evaluations = 0
    for envelope in agent.follow():
        if envelope.message_type == "Proposal":
            agent.sent(agent.session.evaluate(PROPOSAL, "APPROVE", confidence=0.9, reason="no objection"))
        if envelope.message_type == "Evaluation":
            evaluations += 1
            if evaluations == voters:
                agent.sent(agent.session.vote(PROPOSAL, "APPROVE", reason="fits"))


def wait_for_file(path, agent):
    while path and not os.path.exists(path):
        agent.left()
        time.sleep(0.02)


def run_all(jobs):
    """Run every job in a thread of its own; the first exception is the result."""
    failures = []

    def guarded(job):
        try:
            job()
        except BaseException as err:  # reported by the main thread
            failures.append(err)

    threads = [threading.Thread(target=guarded, args=(job,), daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) and not failures:
        for thread in threads:
            thread.join(0.05)
    if failures:
        raise failures[0]


def report(planner, others, ambient):
    """Write what was accepted, in order, once it is proven to be what was sent."""
    accepted = [envelope.message_id for envelope in planner.history]
    sent = planner.acked + [message for agent in others for message in agent.acked]

    if sorted(accepted) != sorted(sent) or len(set(accepted)) != len(accepted):
        raise RuntimeError(f"the runtime's history {accepted} is not what the agents sent {sent}")
    for agent in others:
        if [envelope.message_id for envelope in agent.history] != accepted:
            raise RuntimeError(f"{agent.sender} was shown another order than {planner.sender}")
    for stream, envelopes in (("session", planner.history), ("signals", ambient.settle())):
        for ordinal, envelope in enumerate(envelopes, start=1):
            line = {
                "stream": stream,
                "ordinal": ordinal,
                "messageType": envelope.message_type,
                "messageId": envelope.message_id,
                "sender": envelope.sender,
            }
            print(json.dumps(line))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runtime", required=True, metavar="HOST:PORT")
    parser.add_argument("--session", required=True, help="id of the session to open")
    parser.add_argument("--agent", action="append", required=True, metavar="SENDER=TOKEN", help="planner first")
    parser.add_argument("--opened", metavar="FILE", help="created when the runtime has accepted the SessionStart")
    parser.add_argument("--go", metavar="FILE", help="propose only when this file exists")
    parser.add_argument("--timeout", type=float, default=60, metavar="SECONDS")
    options = parser.parse_args()

    deadline = time.monotonic() + options.timeout
    agents = []
    for pair in options.agent:
        sender, token = pair.rsplit("=", 1)
        agents.append(Agent(options.runtime, options.session, sender, token, deadline))
    planner, others = agents[0], agents[1:]
    participants = [agent.sender for agent in agents]

    def opened():
        if options.opened:
            with open(options.opened, "w", encoding="ascii"):
                pass

    try:
        ambient = Ambient(planner)
        jobs = [lambda agent=agent: judge(agent, len(others)) for agent in others]
        jobs.append(lambda: plan(planner, participants, opened, lambda: wait_for_file(options.go, planner), ambient))
        run_all(jobs)
        report(planner, others, ambient)
    except Exception as err:
        print(f"agents: {type(err).__name__}: {err}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
