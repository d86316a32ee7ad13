#!/usr/bin/env python3
"""The oracle of the golden tests: what a run's input must become, written a second time.

Payload decoding, normalization, LLM call extraction, redaction, projection and metrics, without
regard to speed and independent of the C code, so that a mistake has to be made twice to pass.

    macp_model.py run VECTOR.json   print canonical events, projection and metrics as JSON
    macp_model.py check DIR         verify every vector in DIR and DIR/unit
    macp_model.py gen SEED N        print N random session vectors, one JSON document per line

Python 3.11, standard library only.
"""
import base64
import copy
import datetime
import glob
import json
import math
import os
import random
import re
import struct
import sys

# --------------------------------------------------------------------------- value rules


ASCII_SPACE = " \t\n\r\v\f"


class _Absent:
    """The value of a key that does not exist."""

    def __repr__(self):
        return "ABSENT"

    def __deepcopy__(self, memo):
        return self


ABSENT = _Absent()


def get(obj, key):
    """Value of a key; ABSENT when obj is no object or has no such key."""
    return obj[key] if isinstance(obj, dict) and key in obj else ABSENT


def nullish(v):
    return v is ABSENT or v is None


def first(*values):
    """The operator `a ?? b ?? ...`."""
    for v in values[:-1]:
        if not nullish(v):
            return v
    return values[-1]


def first_key(obj, keys):
    """First value of obj under keys that is not nullish, else ABSENT."""
    return next((obj[k] for k in keys if not nullish(get(obj, k))), ABSENT)


def is_number(v):
    return isinstance(v, (int, float)) and not isinstance(v, bool)


def truthy(v):
    return not (nullish(v) or v is False or v == "" or (is_number(v) and (v == 0 or v != v)))


def format_number(v):
    """Shortest decimal that round-trips; exponent form from 1e21 and below 1e-6."""
    if v != v:
        return "NaN"
    if math.isinf(v):
        return "Infinity" if v > 0 else "-Infinity"
    if v == 0:
        return "0"
    mantissa, _, exponent = repr(float(v)).partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    point = len(whole) + int(exponent or 0)
    digits = (whole + fraction).lstrip("0")
    point -= len(whole + fraction) - len(digits)
    digits = digits.rstrip("0")
    if not -6 < point <= 21:
        tail = "." + digits[1:] if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{tail}e{point - 1:+d}"
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    if len(digits) <= point:
        return sign + digits + "0" * (point - len(digits))
    return f"{sign}{digits[:point]}.{digits[point:]}"


def text(v):
    """str(v): conversion to a string."""
    if v is ABSENT:
        return "undefined"
    if v is None:
        return "null"
    if isinstance(v, str):
        return v
    if isinstance(v, bool):
        return "true" if v else "false"
    if is_number(v):
        return format_number(v)
    if isinstance(v, list):
        return ",".join("" if nullish(x) else text(x) for x in v)
    return "[object Object]"


def number(v):
    """num(v): conversion to a number."""
    if v is ABSENT or isinstance(v, dict):
        return math.nan
    if v is None:
        return 0
    if isinstance(v, bool):
        return int(v)
    if is_number(v):
        return v
    s = (text(v) if isinstance(v, list) else v).strip(ASCII_SPACE)
    if not s:
        return 0
    if re.fullmatch(r"[+-]?Infinity", s):
        return -math.inf if s[0] == "-" else math.inf
    for prefix, digits, base in (("0x", "[0-9a-f]+", 16), ("0o", "[0-7]+", 8), ("0b", "[01]+", 2)):
        if s[:2].lower() == prefix and re.fullmatch(digits, s[2:].lower(), re.ASCII):
            return float(int(s[2:], base))
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", s, re.ASCII):
        return float(s)
    return math.nan


def ascii_lower(s):
    """Lower case for A to Z only."""
    return "".join(c.lower() if c.isascii() else c for c in s)


def finite(n):
    return n == n and not math.isinf(n)


def opt_number(v):
    """optNum(v): a finite number or ABSENT."""
    if nullish(v):
        return ABSENT
    n = number(v)
    return n if finite(n) else ABSENT


def compact(obj):
    """Drop absent keys; NaN and infinities become null, integral doubles integers."""
    if isinstance(obj, dict):
        return {k: compact(v) for k, v in obj.items() if v is not ABSENT}
    if isinstance(obj, list):
        return [None if v is ABSENT else compact(v) for v in obj]
    if isinstance(obj, float):
        if not finite(obj):
            return None
        return int(obj) if obj == int(obj) else obj
    return obj


def clean_text(s):
    """U+0000 and unpaired surrogates become U+FFFD."""
    return re.sub("[\x00\ud800-\udfff]", "\ufffd", s)


def sanitize(v):
    """clean_text for all keys and strings of a value."""
    if isinstance(v, str):
        return clean_text(v)
    if isinstance(v, list):
        return [sanitize(x) for x in v]
    if isinstance(v, dict):
        return {clean_text(k): sanitize(x) for k, x in v.items()}
    return v


def parse_json(s):
    """Any JSON value, or ABSENT.  Numbers are doubles, no NaN literals, no byte order mark."""

    def refuse(_):
        raise ValueError

    def integer(digits):
        return int(digits) if len(digits) < 16 else float(digits)

    try:
        return sanitize(compact(json.loads(s, parse_constant=refuse, parse_int=integer)))
    except (ValueError, RecursionError):
        return ABSENT


def write_json(v):
    """JSON text without white space, keys in order, numbers as in format_number."""
    if isinstance(v, dict):
        return "{" + ",".join(write_json(k) + ":" + write_json(x) for k, x in v.items()) + "}"
    if isinstance(v, list):
        return "[" + ",".join(write_json(x) for x in v) + "]"
    if is_number(v):
        return format_number(v)
    return json.dumps(v, ensure_ascii=False)


def b64(data):
    return base64.b64encode(data).decode()


def unb64(s):
    """Bytes of a base64 string (standard alphabet, padding optional) or ABSENT."""
    if not isinstance(s, str):
        return ABSENT
    s = re.sub(r"={1,2}\Z", "", s)
    if len(s) % 4 == 1 or not re.fullmatch(r"[A-Za-z0-9+/]*", s):
        return ABSENT
    return base64.b64decode(s + "=" * (-len(s) % 4))


# --------------------------------------------------------------------------- payload types

# One line per message: field numbers, names and types of the .proto files.  "*" = repeated.
_FIELD_TABLE = """
macp.v1.Root: 1 uri string, 2 name string
macp.v1.CommitmentRef: 1 session_id string, 2 commitment_hash string
macp.v1.SessionStartPayload: 1 intent string, 2 participants string*, 3 mode_version string, 4 configuration_version string, 5 policy_version string, 6 ttl_ms int64, 7 roots macp.v1.Root*, 8 context_id string, 9 extensions map, 10 max_suspend_ms int64
macp.v1.SessionCancelPayload: 1 reason string, 2 cancelled_by string
macp.v1.SessionSuspendPayload: 1 reason string, 2 suspended_by string
macp.v1.SessionResumePayload: 1 reason string, 2 resumed_by string, 3 banked_ms int64
macp.v1.CommitmentPayload: 1 commitment_id string, 2 action string, 3 authority_scope string, 4 reason string, 5 mode_version string, 6 policy_version string, 7 configuration_version string, 8 outcome_positive bool, 9 supersedes macp.v1.CommitmentRef
macp.v1.SignalPayload: 1 signal_type string, 2 data bytes, 3 confidence double, 4 correlation_session_id string
macp.v1.ProgressPayload: 1 progress_token string, 2 progress double, 3 total double, 4 message string, 5 target_message_id string
macp.modes.decision.v1.ProposalPayload: 1 proposal_id string, 2 option string, 3 rationale string, 4 supporting_data bytes
macp.modes.decision.v1.EvaluationPayload: 1 proposal_id string, 2 recommendation string, 3 confidence double, 4 reason string
macp.modes.decision.v1.ObjectionPayload: 1 proposal_id string, 2 reason string, 3 severity string
macp.modes.decision.v1.VotePayload: 1 proposal_id string, 2 vote string, 3 reason string
macp.modes.proposal.v1.ProposalPayload: 1 proposal_id string, 2 title string, 3 summary string, 4 details bytes, 5 tags string*
macp.modes.proposal.v1.CounterProposalPayload: 1 proposal_id string, 2 supersedes_proposal_id string, 3 title string, 4 summary string, 5 details bytes
macp.modes.proposal.v1.AcceptPayload: 1 proposal_id string, 2 reason string
macp.modes.proposal.v1.RejectPayload: 1 proposal_id string, 2 terminal bool, 3 reason string
macp.modes.proposal.v1.WithdrawPayload: 1 proposal_id string, 2 reason string
macp.modes.task.v1.TaskRequestPayload: 1 task_id string, 2 title string, 3 instructions string, 4 requested_assignee string, 5 input bytes, 6 deadline_unix_ms int64
macp.modes.task.v1.TaskAcceptPayload: 1 task_id string, 2 assignee string, 3 reason string
macp.modes.task.v1.TaskRejectPayload: 1 task_id string, 2 assignee string, 3 reason string
macp.modes.task.v1.TaskUpdatePayload: 1 task_id string, 2 status string, 3 progress double, 4 message string, 5 partial_output bytes
macp.modes.task.v1.TaskCompletePayload: 1 task_id string, 2 assignee string, 3 output bytes, 4 summary string
macp.modes.task.v1.TaskFailPayload: 1 task_id string, 2 assignee string, 3 error_code string, 4 reason string, 5 retryable bool
macp.modes.handoff.v1.HandoffOfferPayload: 1 handoff_id string, 2 target_participant string, 3 scope string, 4 reason string
macp.modes.handoff.v1.HandoffContextPayload: 1 handoff_id string, 2 content_type string, 3 context bytes
macp.modes.handoff.v1.HandoffAcceptPayload: 1 handoff_id string, 2 accepted_by string, 3 reason string, 4 implicit bool
macp.modes.handoff.v1.HandoffDeclinePayload: 1 handoff_id string, 2 declined_by string, 3 reason string
macp.modes.quorum.v1.ApprovalRequestPayload: 1 request_id string, 2 action string, 3 summary string, 4 details bytes, 5 required_approvals uint32
macp.modes.quorum.v1.ApprovePayload: 1 request_id string, 2 reason string
macp.modes.quorum.v1.RejectPayload: 1 request_id string, 2 reason string
macp.modes.quorum.v1.AbstainPayload: 1 request_id string, 2 reason string
macp.modes.multi_round.v1.ContributePayload: 1 value string
map.entry: 1 key string, 2 value bytes
"""


def _camel(name):
    head, *tail = name.split("_")
    return head + "".join(w.capitalize() for w in tail)


def _parse_field_table():
    table = {}
    for line in _FIELD_TABLE.strip().splitlines():
        message, fields = line.split(": ")
        table[message] = {}
        for field in fields.split(", "):
            num, name, kind = field.split()
            table[message][int(num)] = (_camel(name), kind.rstrip("*"), kind.endswith("*"))
    return table


MESSAGES = _parse_field_table()
CONTRIBUTE = "macp.modes.multi_round.v1.ContributePayload"
JSON_MARKER = "__json__"

CORE_TYPES = ("SessionStart", "Commitment", "Signal", "Progress", "SessionCancel", "SessionSuspend", "SessionResume")
MODE_TYPES = {
    "decision": ("Proposal", "Evaluation", "Objection", "Vote"),
    "proposal": ("Proposal", "CounterProposal", "Accept", "Reject", "Withdraw"),
    "task": ("TaskRequest", "TaskAccept", "TaskReject", "TaskUpdate", "TaskComplete", "TaskFail"),
    "handoff": ("HandoffOffer", "HandoffContext", "HandoffAccept", "HandoffDecline"),
    "quorum": ("ApprovalRequest", "Approve", "Reject", "Abstain"),
}
PAYLOAD_TYPES = {("", t): f"macp.v1.{t}Payload" for t in CORE_TYPES}
PAYLOAD_TYPES |= {
    (f"macp.mode.{m}.v1", t): f"macp.modes.{m}.v1.{t}Payload" for m, types in MODE_TYPES.items() for t in types
}
PAYLOAD_TYPES["ext.multi_round.v1", "Contribute"] = CONTRIBUTE


def payload_type(mode, message_type):
    """Payload message name: mode table first, then the core table."""
    return PAYLOAD_TYPES.get((mode, message_type)) or PAYLOAD_TYPES.get(("", message_type), ABSENT)


# --------------------------------------------------------------------------- protobuf

VARINT, FIXED64, LEN, GROUP, END_GROUP, FIXED32 = range(6)
WIRE_TYPES = {"bool": VARINT, "uint32": VARINT, "int64": VARINT, "double": FIXED64}
MAX_GROUP_DEPTH = 100


class Malformed(Exception):
    """The bytes are no valid message of the expected type."""


def read_varint(buf, pos):
    value = 0
    for shift in range(0, 70, 7):
        if pos >= len(buf):
            raise Malformed
        byte = buf[pos]
        pos += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, pos
    raise Malformed


def read_tag(buf, pos):
    tag, pos = read_varint(buf, pos)
    if tag > 0xFFFFFFFF or tag >> 3 == 0:
        raise Malformed
    return tag >> 3, tag & 7, pos


def read_bytes(buf, pos, size):
    if pos + size > len(buf):
        raise Malformed
    return bytes(buf[pos : pos + size]), pos + size


def skip_field(buf, pos, num, wire, depth=0):
    if wire == VARINT:
        return read_varint(buf, pos)[1]
    if wire == LEN:
        size, pos = read_varint(buf, pos)
        return read_bytes(buf, pos, size)[1]
    if wire in (FIXED64, FIXED32):
        return read_bytes(buf, pos, 8 if wire == FIXED64 else 4)[1]
    if wire != GROUP or depth >= MAX_GROUP_DEPTH:
        raise Malformed
    while True:
        inner, inner_wire, pos = read_tag(buf, pos)
        if inner_wire == END_GROUP:
            if inner != num:
                raise Malformed
            return pos
        pos = skip_field(buf, pos, inner, inner_wire, depth + 1)


def read_value(buf, pos, kind):
    """One field value in its JSON form."""
    if kind == "double":
        raw, pos = read_bytes(buf, pos, 8)
        value = struct.unpack("<d", raw)[0]
        return (value if finite(value) else None), pos
    value, pos = read_varint(buf, pos)
    if kind == "bool":
        return value != 0, pos
    if kind == "uint32":
        return value & 0xFFFFFFFF, pos
    if kind == "int64":
        return float(value - (1 << 64) if value >> 63 else value), pos
    raw, pos = read_bytes(buf, pos, value)
    if kind == "bytes":
        return b64(raw), pos
    if kind == "string":
        try:
            return raw.decode("utf-8"), pos
        except UnicodeDecodeError:
            raise Malformed from None
    return decode_message("map.entry" if kind == "map" else kind, raw), pos


def decode_message(name, buf):
    """Strict protobuf decoding into the JSON form; raises Malformed."""
    fields, out, pos = MESSAGES[name], {}, 0
    while pos < len(buf):
        num, wire, pos = read_tag(buf, pos)
        key, kind, repeated = fields.get(num, (None, None, False))
        if key is None or wire != WIRE_TYPES.get(kind, LEN):
            pos = skip_field(buf, pos, num, wire)
            continue
        value, pos = read_value(buf, pos, kind)
        if kind == "map":
            out.setdefault(key, {})[value.get("key", "")] = value.get("value", "")
        elif repeated:
            out.setdefault(key, []).append(value)
        else:
            out[key] = value
    for key, kind, repeated in fields.values():
        if not repeated and kind != "map" and kind not in MESSAGES and key in out and out[key] in ("", 0, False):
            del out[key]
    if name == "macp.v1.CommitmentPayload":
        out.setdefault("outcomePositive", False)
    return out


def encode_varint(value):
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def encode_message(name, obj):
    """Standard proto3 encoding of the JSON form: defaults are left out, fields in number order."""
    out = bytearray()

    def put(num, kind, value):
        out.extend(encode_varint(num << 3 | WIRE_TYPES.get(kind, LEN)))
        if kind == "double":
            out.extend(struct.pack("<d", value))
        elif kind in WIRE_TYPES:
            out.extend(encode_varint(int(value)))
        else:
            if kind == "string":
                raw = value.encode("utf-8")
            elif kind == "bytes":
                raw = base64.b64decode(value)
            else:
                raw = encode_message("map.entry" if kind == "map" else kind, value)
            out.extend(encode_varint(len(raw)) + raw)

    for num, (key, kind, repeated) in sorted(MESSAGES[name].items()):
        value = obj.get(key)
        if kind == "map":
            for k, v in (value or {}).items():
                put(num, kind, {"key": k, "value": v})
        elif repeated:
            for v in value or []:
                put(num, kind, v)
        elif value is not None and (kind in MESSAGES or value not in ("", 0, False)):
            put(num, kind, value)
    return bytes(out)


# --------------------------------------------------------------------------- payload decoding


def decode_payload(mode, message_type, payload):
    """Return (decoded value or ABSENT, payload type name or ABSENT)."""
    name = payload_type(mode, message_type)
    contribute = name == CONTRIBUTE
    wrapper = decode_fallback(payload)
    if name is ABSENT or (payload[:1] in (b"{", b"[") and get(wrapper, "encoding") == "json"):
        return wrapper, JSON_MARKER if contribute else name
    try:
        message = sanitize(decode_message(name, payload))
        if not contribute or "value" in message:
            return message, name
    except Malformed:
        pass
    return wrapper, JSON_MARKER if contribute else name


def decode_fallback(payload):
    """JSON or text wrapper; ABSENT for zero bytes."""
    if not payload:
        return ABSENT
    content = payload.decode("utf-8", "replace")
    value = parse_json(content)
    if value is not ABSENT:
        return {"json": value, "encoding": "json"}
    return {"text": clean_text(content), "encoding": "text", "payloadBase64": b64(payload)}


def is_wrapper(decoded):
    return isinstance(decoded, dict) and decoded.get("encoding") in ("json", "text")


def unwrap(decoded):
    """The inner object of a JSON wrapper that holds an object, else the value itself."""
    if is_wrapper(decoded) and isinstance(decoded.get("json"), dict):
        return decoded["json"]
    return decoded


# --------------------------------------------------------------------------- LLM calls

TOKEN_KEYS = ("promptTokens", "prompt_tokens", "completionTokens", "completion_tokens")


def extract_llm(decoded):
    """The LLM call described by an (unwrapped) payload, or None."""
    metadata, signal = get(decoded, "metadata"), ABSENT
    if first(get(decoded, "signalType"), get(decoded, "signal_type")) == "llm.call.completed":
        raw = unb64(get(decoded, "data"))
        if raw is not ABSENT:
            signal = parse_json(raw.decode("utf-8", "replace"))
    candidates = (
        get(decoded, "llmCall"),
        get(metadata, "llmCall"),
        get(decoded, "tokenUsage"),
        get(metadata, "tokenUsage"),
        signal,
        get(signal, "tokenUsage"),
    )
    for candidate in candidates:
        if isinstance(candidate, (dict, list)):
            call = read_llm_call(candidate)
            if call:
                return call
    return None


def read_llm_call(candidate):
    usage = get(candidate, "tokenUsage")
    if first_key(candidate, TOKEN_KEYS) is not ABSENT:
        usage = ABSENT

    def value(*keys):
        return first(first_key(candidate, keys), first_key(usage, keys), ABSENT)

    prompt, completion = (
        number(first(value(*TOKEN_KEYS[:2]), 0)),
        number(first(value(*TOKEN_KEYS[2:]), 0)),
    )
    if not finite(prompt) or not finite(completion):
        return None
    model, provider, artifact = value("model"), value("provider"), value("artifactId")
    if prompt == 0 and completion == 0 and not any(truthy(value(k)) for k in ("model", "prompt", "response")):
        return None
    latency = value("latencyMs", "latency_ms")
    return compact(
        {
            "promptTokens": prompt,
            "completionTokens": completion,
            "totalTokens": prompt + completion,
            "model": text(model) if truthy(model) else ABSENT,
            "latencyMs": ABSENT if nullish(latency) else number(latency),
            "prompt": value("prompt"),
            "response": value("response"),
            "provider": text(provider) if truthy(provider) else ABSENT,
            "estimatedCostUsd": opt_number(value("estimatedCostUsd")),
            "artifactId": text(artifact) if truthy(artifact) else ABSENT,
        }
    )


# --------------------------------------------------------------------------- redaction

MARKER = "[REDACTED]"


def translate_pattern(source):
    """JavaScript syntax to Python: `(?<name>` and `$` (end of text only)."""
    out, in_class, i = [], False, 0
    while i < len(source):
        ch = source[i]
        if ch == "\\":
            ch = source[i : i + 2]
        elif in_class:
            in_class = ch != "]"
        elif ch == "[":
            in_class = True
        elif ch == "$":
            out.append(r"\Z")
            i += 1
            continue
        elif re.match(r"\(\?<[^=!]", source[i:]):
            out.append("(?P<")
            i += 3
            continue
        out.append(ch)
        i += len(ch)
    return "".join(out)


def compile_patterns(patterns):
    """Compiled patterns; entries are trimmed, empty and invalid ones left out."""
    out = []
    for pattern in filter(None, (p.strip(ASCII_SPACE) for p in patterns)):
        try:
            out.append(re.compile(translate_pattern(pattern), re.ASCII))
        except re.error:
            pass
    return out


def rewrite(compiled, value):
    if isinstance(value, str):
        for pattern in compiled:
            value = pattern.sub(MARKER, value)
        return value
    if isinstance(value, list):
        return [rewrite(compiled, v) for v in value]
    if isinstance(value, dict):
        return {k: rewrite(compiled, v) for k, v in value.items()}
    return value


def redact(patterns, value):
    """Rewrite every string of a value; keys, numbers, booleans and nulls stay."""
    return rewrite(compile_patterns(patterns), value)


def rewrite_base64(compiled, encoded):
    """Redact inside a base64 value: JSON strings, else the text; binary content stays."""
    raw = unb64(encoded)
    if not raw:
        return encoded
    try:
        content = raw.decode("utf-8")
    except UnicodeDecodeError:
        return encoded
    value = parse_json(content)
    new = rewrite(compiled, content if value is ABSENT else value)
    if new == (content if value is ABSENT else value):
        return encoded
    return b64((new if value is ABSENT else write_json(new)).encode("utf-8"))


def rewrite_payload(compiled, payload, type_name):
    """Redact a decoded payload; type_name is its message type when it came from protobuf."""
    if get(payload, "encoding") == "text":
        payload = {k: v for k, v in payload.items() if k != "payloadBase64"}
    if not isinstance(payload, dict) or type_name not in MESSAGES:
        return rewrite(compiled, payload)
    kinds = {key: kind for key, kind, _ in MESSAGES[type_name].values()}
    out = {}
    for key, value in payload.items():
        if kinds.get(key) == "bytes":
            out[key] = rewrite_base64(compiled, value)
        elif kinds.get(key) == "map":
            out[key] = {k: rewrite_base64(compiled, v) for k, v in value.items()}
        else:
            out[key] = rewrite(compiled, value)
    return out


def redact_data(patterns, data, type_name=ABSENT):
    """Redact the data of one canonical event."""
    compiled = compile_patterns(patterns)
    if not compiled:
        return data
    out = {}
    for key, value in data.items():
        if key == "payload" and value == {"payloadBase64": ""}:
            out[key] = value
        elif key in ("payload", "decodedPayload"):
            out[key] = rewrite_payload(compiled, value, type_name)
        else:
            out[key] = rewrite(compiled, value)
    return out


# --------------------------------------------------------------------------- normalization

DERIVED_TYPES = {
    "Signal": "signal.emitted",
    "SignalAck": "signal.acknowledged",
    "SignalAcknowledged": "signal.acknowledged",
    "Commitment": "decision.finalized",
    "Progress": "progress.reported",
    "PolicyResolved": "policy.resolved",
    "PolicyCommitmentEvaluated": "policy.commitment.evaluated",
    "PolicyDenied": "policy.denied",
}
for _t in ("Proposal", "CounterProposal", "ApprovalRequest", "TaskRequest", "HandoffOffer"):
    DERIVED_TYPES[_t] = "proposal.created"
for _t in (
    "Evaluation Objection Vote Accept Reject Withdraw Approve Abstain TaskAccept TaskReject TaskUpdate "
    "TaskComplete TaskFail HandoffContext HandoffAccept HandoffDecline Contribute"
).split():
    DERIVED_TYPES[_t] = "proposal.updated"

PROPOSAL_KEYS = (
    "proposalId", "proposal_id", "requestId", "request_id",
    "taskId", "task_id", "handoffId", "handoff_id",
)  # fmt: skip
SUBJECTS = {
    "signal.emitted": ("signal", ()),
    "signal.acknowledged": ("signal", ("signalId", "signal_id")),
    "proposal.created": ("proposal", PROPOSAL_KEYS),
    "proposal.updated": ("proposal", PROPOSAL_KEYS),
    "decision.finalized": ("decision", ("commitmentId", "commitment_id", "decisionId", "decision_id")),
    "tool.called": ("tool", ("toolCallId", "tool_call_id", "requestId", "request_id")),
    "tool.completed": ("tool", ("toolCallId", "tool_call_id", "requestId", "request_id")),
}


def derived_type(message_type):
    """Canonical type derived from a message type, or None."""
    if message_type in DERIVED_TYPES:
        return DERIVED_TYPES[message_type]
    lower = ascii_lower(message_type)
    if lower in ("toolcall", "toolrequest"):
        return "tool.called"
    if lower in ("toolresult", "toolcompleted", "tooloutput"):
        return "tool.completed"
    return None


def derived_subject(event_type, message_id, payload):
    """Subject (kind, id) of the derived event."""
    kind, keys = SUBJECTS.get(event_type, ("message", ()))
    return kind, text(first(first_key(payload, keys), message_id))


def make_event(event_type, subject, data, raw_type):
    event = {"type": event_type}
    if subject[1]:
        event["subject"] = {"kind": subject[0], "id": subject[1]}
    event["source"] = {"kind": "runtime", "name": "rust-runtime", "rawType": raw_type}
    event["data"] = compact(data)
    return event


def percent(payload):
    """Fraction to percent; no value when the fraction is missing or null."""
    fraction = get(payload, "progress")
    return ABSENT if nullish(fraction) else number(fraction) * 100


def normalize_decoded(envelope, decoded, type_name, known, patterns=()):
    """Canonical events of an envelope whose payload is decoded already."""
    message_type, message_id, sender = envelope["messageType"], envelope["messageId"], envelope["sender"]
    head = {"modeName": envelope["mode"], "messageType": message_type, "sender": sender}
    base = {**head, "messageId": message_id, "sessionId": envelope["sessionId"]}
    present = decoded is not ABSENT
    from_protobuf = present and not is_wrapper(decoded) and type_name in MESSAGES
    payload = unwrap(decoded)
    events = []

    def emit(event_type, subject, data):
        data = redact_data(patterns, compact(data), type_name if from_protobuf else ABSENT)
        events.append(make_event(event_type, subject, data, message_type))
        return events[-1]

    if sender and sender not in known:
        known.add(sender)
        emit("participant.seen", ("participant", sender), {"participantId": sender})
    emit(
        "message.received",
        ("message", message_id),
        {**base, "payload": decoded if present else {"payloadBase64": ""}},
    )
    call = extract_llm(payload)
    if call:
        event = emit("llm.call.completed", ("message", message_id), {**base, "decodedPayload": call})
        event["costModel"] = call.get("model")
    specific = message_type == "PolicyDenied" or (
        present and message_type in ("Progress", "PolicyResolved", "PolicyCommitmentEvaluated")
    )
    derived = derived_type(message_type)
    if derived and not specific:
        emit(
            derived,
            derived_subject(derived, message_id, payload),
            {**base, "decodedPayload": payload, "payloadTypeName": type_name},
        )
    if message_type == "TaskUpdate" and get(payload, "progress") is not ABSENT:
        note = first(get(payload, "message"), get(payload, "status"), "")
        emit("progress.reported", ("message", message_id), {**head, "decodedPayload": {"percentage": percent(payload), "message": note}})
    if message_type == "TaskComplete":
        emit("progress.reported", ("message", message_id), {**head, "decodedPayload": {"percentage": 100, "message": "completed"}})
    if message_type == "TaskFail":
        note = first(get(payload, "reason"), "failed")
        emit("progress.reported", ("message", message_id), {**head, "decodedPayload": {"message": note}})
    policy_id, version = get(payload, "policyId"), get(payload, "policyVersion")
    commitment_id = get(payload, "commitmentId")
    if message_type == "PolicyResolved" and present:
        data = {**head, "policyVersion": first(version, policy_id, ABSENT), "decodedPayload": payload}
        emit("policy.resolved", ("policy", text(first(policy_id, version, ""))), data)
    if message_type == "PolicyCommitmentEvaluated" and present:
        subject = ("policy", text(first(commitment_id, "")))
        emit("policy.commitment.evaluated", subject, {**head, "decodedPayload": payload})
    if message_type == "PolicyDenied" or get(payload, "policyDenied") is True:
        subject = ("policy", text(first(commitment_id, policy_id, "")))
        emit("policy.denied", subject, {**head, "decodedPayload": payload if present else {}})
    if message_type == "Progress" and present:
        percentage = percent(payload)
        if from_protobuf and get(payload, "progress") is ABSENT:
            percentage = 0
        body = {
            "percentage": percentage,
            "message": text(first(get(payload, "message"), "")),
            "progressToken": get(payload, "progressToken"),
            "total": get(payload, "total"),
        }
        emit("progress.reported", ("participant", sender), {**head, "decodedPayload": body})
    return events


def normalize_envelope(envelope, known, patterns):
    payload = base64.b64decode(envelope["payloadBase64"])
    decoded, type_name = decode_payload(envelope["mode"], envelope["messageType"], payload)
    return normalize_decoded(envelope, decoded, type_name, known, patterns)


def policy_denied_data(code, message, reasons, **extra):
    body = {"decision": "deny", "reasons": reasons}
    return {**extra, "errorCode": code, "errorMessage": message, "decodedPayload": body}


def normalize_ack(ack):
    subject = ("message", ack["messageId"])
    keys = ("messageId", "sessionId", "ok", "duplicate", "sessionState", "acceptedAtUnixMs")
    yield "message.sent", subject, {k: get(ack, k) for k in keys}
    error = ack.get("error") or {}
    if ack["ok"] or error.get("code") != "POLICY_DENIED":
        return
    reasons = error.get("reasons")
    if not reasons and error.get("detailsBase64"):
        details = parse_json(base64.b64decode(error["detailsBase64"]).decode("utf-8", "replace"))
        reasons = get(details, "reasons")
    if not isinstance(reasons, list) or not reasons:
        reasons = [error["message"]]
    ids = {"messageId": ack["messageId"], "sessionId": ack["sessionId"]}
    yield "policy.denied", ("policy", ack["messageId"]), policy_denied_data(error["code"], error["message"], reasons, **ids)


def normalize_inline_error(error):
    message_id, code, message = error.get("messageId") or "", error["code"], error["message"]
    ids = {"sessionId": get(error, "sessionId"), "messageId": get(error, "messageId")}
    yield "message.send_failed", ("message", message_id), {"errorCode": code, "errorMessage": message, **ids}
    if code == "POLICY_DENIED":
        yield "policy.denied", ("policy", message_id), policy_denied_data(code, message, [message])


def normalize_snapshot(snapshot):
    keys = ("sessionId", "state", "startedAtUnixMs", "expiresAtUnixMs", "modeVersion", "configurationVersion", "policyVersion")
    data = {k: get(snapshot, k) for k in keys}
    data["modeName"] = get(snapshot, "mode")
    for key in ("contextId", "extensionKeys"):
        if snapshot.get(key):
            data[key] = snapshot[key]
    yield "session.state.changed", ("session", snapshot["sessionId"]), data


def normalize(raw, context, known, patterns=()):
    """Canonical events (without id, seq and ts) of one raw event.

    known is the set of announced senders of the run and is extended.  An llm.call.completed
    event carries the transient key costModel: the model name before redaction.
    """
    raw = sanitize(raw)
    kind = raw["kind"]
    if kind == "stream-envelope":
        return normalize_envelope(raw["envelope"], known, patterns) if raw.get("envelope") else []
    if kind == "stream-status":
        status = raw.get("streamStatus") or {}
        data = {k: get(status, k) for k in ("status", "detail")}
        parts = [("session.stream.opened", ("session", context["runtimeSessionId"]), data)]
    elif kind == "session-snapshot" and raw.get("sessionSnapshot"):
        parts = normalize_snapshot(raw["sessionSnapshot"])
    elif kind == "send-ack" and raw.get("ack"):
        parts = normalize_ack(raw["ack"])
    elif kind == "stream-inline-error" and raw.get("inlineError"):
        parts = normalize_inline_error(raw["inlineError"])
    else:
        parts = []
    return [make_event(t, subject, redact_data(patterns, compact(data)), kind) for t, subject, data in parts]


# --------------------------------------------------------------------------- projection

TERMINAL_RUN = ("completed", "failed", "cancelled")
FINAL_PARTICIPANT = ("completed", "failed", "skipped")
NODE_RANK = ("idle", "waiting", "active", "completed", "failed")
SYNTHETIC_NODES = ("__start", "__proposal", "__decision", "__outcome")
MAX_ITEMS = 1000
SESSION_OUTCOMES = {
    "SESSION_STATE_RESOLVED": "completed",
    "SESSION_STATE_EXPIRED": "failed",
    "SESSION_STATE_CANCELLED": "cancelled",
}
POSITIVE_WORDS = ("approve", "approved", "accept", "accepted", "selected", "completed")
NEGATIVE_WORDS = ("reject", "rejected", "decline", "declined", "failed")


def empty_projection(run_id):
    """The initial state."""
    return {
        "run": {"runId": run_id, "status": "queued"},
        "participants": [],
        "graph": {"nodes": [], "edges": []},
        "decision": {},
        "signals": {"signals": []},
        "progress": {"entries": []},
        "timeline": {"latestSeq": 0, "totalEvents": 0, "recent": []},
        "trace": {"spanCount": 0, "linkedArtifacts": []},
        "outboundMessages": {"total": 0, "queued": 0, "accepted": 0, "rejected": 0},
        "policy": {"policyVersion": "", "commitmentEvaluations": []},
        "llm": {
            "calls": [],
            "totals": {"callCount": 0, "promptTokens": 0, "completionTokens": 0, "totalTokens": 0, "estimatedCostUsd": 0},
        },
    }


def fold(state, events):
    """Fold events into a copy of the state."""
    state = copy.deepcopy(state)
    for event in events:
        Reducer(state, event).apply()
    return state


def push(items, item, limit):
    items.append(item)
    del items[:-limit]


def find(items, key, value):
    return next((x for x in items if x[key] == value), None)


def put(obj, key, value):
    """Set a key; ABSENT removes it."""
    if value is ABSENT:
        obj.pop(key, None)
    else:
        obj[key] = value


def share_of_allow(contributions):
    votes = [c["vote"] for c in contributions if "vote" in c]
    return votes.count("allow") / len(votes) if votes else ABSENT


def infer_vote(message_type, payload):
    word = ascii_lower(text(first(get(payload, "vote"), get(payload, "recommendation"), "")))
    if word in ("approve", "accept", "allow", "yes"):
        return "allow"
    if word in ("reject", "deny", "block", "no"):
        return "deny"
    if message_type in ("Accept", "Approve", "TaskAccept", "HandoffAccept"):
        return "allow"
    if message_type in ("Reject", "TaskReject", "HandoffDecline"):
        return "deny"
    return ABSENT


def infer_action(message_type, payload):
    for keys in (("vote", "recommendation"), ("action", "option", "revisedAction")):
        value = first_key(payload, keys)
        if truthy(value):
            return text(value)
    return message_type or "contribution"


def infer_reasons(payload):
    values = [get(payload, k) for k in ("reason", "rationale", "summary")]
    if isinstance(get(payload, "reasons"), list):
        values += payload["reasons"]
    return [v for v in values if isinstance(v, str) and v]


def infer_outcome(action):
    word = ascii_lower(action).rpartition(".")[2]
    return True if word in POSITIVE_WORDS else False if word in NEGATIVE_WORDS else None


class Reducer:
    """Applies one event to a state in place."""

    def __init__(self, state, event):
        self.state, self.event = state, event
        self.type, self.ts, self.data = event["type"], event["ts"], event["data"]
        self.payload = get(self.data, "decodedPayload")
        subject = event.get("subject") or {}
        self.subject = subject if subject.get("kind") and subject.get("id") else None
        self.subject_id = self.subject["id"] if self.subject else ABSENT
        self.run, self.policy = state["run"], state["policy"]

    def d(self, *keys):
        """First non-nullish value of data under keys, else ABSENT."""
        return first_key(self.data, keys)

    def p(self, *keys):
        """First non-nullish value of decodedPayload under keys, else ABSENT."""
        return first_key(self.payload, keys)

    def apply(self):
        timeline, trace, event = self.state["timeline"], self.state["trace"], self.event
        timeline["latestSeq"] = max(timeline["latestSeq"], event["seq"])
        timeline["totalEvents"] += 1
        entry = {k: event[k] for k in ("id", "seq", "ts", "type")}
        if self.subject:
            entry["subject"] = self.subject
        push(timeline["recent"], entry, 50)
        stamp = event.get("trace") or {}
        if stamp.get("traceId"):
            trace["traceId"] = stamp["traceId"]
        if stamp.get("spanId"):
            trace["lastSpanId"] = stamp["spanId"]
            trace["spanCount"] += 1
        handler = self.HANDLERS.get(self.type)
        if handler:
            handler(self)

    # ---- helpers

    def terminal(self):
        return self.run["status"] in TERMINAL_RUN

    def set_status(self, status):
        """Set the run status unless the run has ended."""
        if not self.terminal():
            self.run["status"] = status

    def copy_to_run(self, *keys):
        for key in keys:
            if self.d(key) is not ABSENT:
                self.run[key] = self.data[key]

    def participant(self, pid):
        """Find or add a participant; None for reserved ids and when the list is full."""
        participants = self.state["participants"]
        known = find(participants, "participantId", pid)
        if known or pid in SYNTHETIC_NODES or len(participants) >= MAX_ITEMS:
            return known
        participants.append({"participantId": pid, "status": "idle"})
        self.state["graph"]["nodes"].append({"id": pid, "kind": "participant", "status": "idle"})
        return participants[-1]

    def set_participant_status(self, participant, status):
        participant["status"] = status
        node = find(self.state["graph"]["nodes"], "id", participant["participantId"])
        if node:
            node["status"] = status

    def acted(self, pid, summary):
        self.touch(pid, "active", summary)

    def addressed(self, pid):
        self.touch(pid, "waiting", "")

    def touch(self, pid, status, summary):
        participant = self.participant(pid) if pid else None
        if not participant:
            return
        if status == "active":
            participant["latestActivityAt"] = self.ts
            if summary:
                participant["latestSummary"] = summary
        if self.terminal():
            if participant["status"] in FINAL_PARTICIPANT:
                return
            status = "completed" if participant.get("latestActivityAt") else "skipped"
        self.set_participant_status(participant, status)

    def upsert_node(self, node_id, kind, status):
        nodes = self.state["graph"]["nodes"]
        node = find(nodes, "id", node_id)
        if not node:
            nodes.append({"id": node_id, "kind": kind, "status": status})
        elif node["status"] not in NODE_RANK or NODE_RANK.index(status) > NODE_RANK.index(node["status"]):
            node["status"] = status

    def upsert_edge(self, source, target, kind):
        if not source or not target or source == target:
            return
        edges = self.state["graph"]["edges"]
        for edge in edges:
            if (edge["from"], edge["to"], edge["kind"]) == (source, target, kind):
                edge["ts"] = self.ts
                return
        edges.append({"from": source, "to": target, "kind": kind, "ts": self.ts})

    def sweep(self, outcome):
        open_ones = [x for x in self.state["participants"] if x["status"] not in FINAL_PARTICIPANT]
        last = None
        if outcome == "failed":
            for x in open_ones:
                at = x.get("latestActivityAt")
                if at and (last is None or at >= last["latestActivityAt"]):
                    last = x
        for x in open_ones:
            status = "failed" if x is last else "completed" if x.get("latestActivityAt") else "skipped"
            self.set_participant_status(x, status)

    def count_vote(self, proposal_id, sender, message_type, vote):
        tallies = self.policy.setdefault("voteTally", [])
        tally = find(tallies, "commitmentId", proposal_id)
        if not tally:
            if len(tallies) >= MAX_ITEMS:
                return
            tally = {"commitmentId": proposal_id, "allow": 0, "deny": 0, "threshold": 0, "quorum": {"required": 0, "cast": 0}, "votes": []}
            tallies.append(tally)
        votes = tally.setdefault("votes", [])
        for old in votes:
            if old["participantId"] == sender and old["messageType"] == message_type:
                old["vote"] = vote
                break
        else:
            if len(votes) < MAX_ITEMS:
                votes.append({"participantId": sender, "messageType": message_type, "vote": vote})
        tally["allow"] = sum(v["vote"] == "allow" for v in votes)
        tally["deny"] = len(votes) - tally["allow"]
        participants = self.state["participants"]
        required = sum(x.get("role") == "voter" for x in participants) or len(participants)
        tally["quorum"] = {"required": required, "cast": len(votes)}
        tally["threshold"] = (required + 1) // 2
        self.policy.setdefault("quorumStatus", "pending")

    # ---- run and session

    def on_run(self):
        ending = self.type in ("run.completed", "run.failed", "run.cancelled")
        if self.d("status") is not ABSENT and (ending or not self.terminal()):
            self.run["status"] = self.data["status"]
        self.copy_to_run("runtimeSessionId", "startedAt", "endedAt", "traceId", "modeName")
        if self.type == "run.created" and isinstance(self.d("decisionPrompt"), str):
            current = self.state["decision"].setdefault("current", {"action": "", "finalized": False})
            current["prompt"] = self.data["decisionPrompt"]
        if ending:
            self.sweep(self.type[4:])
        if self.type in ("run.failed", "run.cancelled") and self.policy.get("quorumStatus") == "pending":
            allowed = any(x["decision"] == "allow" for x in self.policy["commitmentEvaluations"])
            self.policy["quorumStatus"] = "reached" if allowed else "failed"

    def on_pause(self):
        if self.d("status") is not ABSENT:
            self.set_status(self.data["status"])
        self.copy_to_run("runtimeSessionId", "traceId")

    def on_session(self):
        bound = self.type == "session.bound"
        if self.d("sessionId") is not ABSENT:
            self.run["runtimeSessionId"] = self.data["sessionId"]
        if isinstance(self.d("contextId"), str):
            self.run["contextId"] = self.data["contextId"]
        if isinstance(self.d("extensionKeys"), list):
            self.run["extensionKeys"] = self.data["extensionKeys"][:MAX_ITEMS]
        if bound and isinstance(self.d("expectedCommitments"), list):
            self.policy["expectedCommitments"] = self.data["expectedCommitments"]
            if self.data["expectedCommitments"]:
                self.policy.setdefault("quorumStatus", "pending")
        if bound and not self.policy["policyVersion"] and truthy(self.d("policyVersion")):
            self.policy["policyVersion"] = text(self.data["policyVersion"])
        if bound and self.run["status"] in ("queued", "starting"):
            self.run["status"] = "binding_session"
        session_state = self.d("state")
        if not isinstance(session_state, str):
            return
        if session_state in SESSION_OUTCOMES:
            outcome = SESSION_OUTCOMES[session_state]
            self.set_status(outcome)
            if self.run["status"] == outcome:
                self.sweep(outcome)
        elif session_state == "SESSION_STATE_SUSPENDED":
            self.set_status("suspended")
        elif session_state == "SESSION_STATE_OPEN" and not bound:
            if self.run["status"] in ("queued", "starting", "binding_session", "suspended"):
                self.run["status"] = "running"

    # ---- participants and messages

    def on_participant_seen(self):
        self.participant(text(first(self.d("participantId"), self.subject_id, "")))

    def on_message_sent(self):
        sender = text(first(self.d("sender", "from"), ""))
        recipients = self.recipients()
        self.acted(sender, text(first(self.d("messageType"), self.type)))
        for recipient in recipients:
            self.addressed(recipient)
        edges = self.state["graph"]["edges"]
        for recipient in recipients:
            if sender and recipient:
                edges.append({"from": sender, "to": recipient, "kind": self.type, "ts": self.ts})
        del edges[:-200]
        self.state["outboundMessages"]["total"] += 1
        self.state["outboundMessages"]["accepted"] += 1

    def on_send_failed(self):
        self.state["outboundMessages"]["total"] += 1
        self.state["outboundMessages"]["rejected"] += 1

    def recipients(self):
        to = self.d("to")
        return to if isinstance(to, list) else []

    def on_message_received(self):
        sender = text(first(self.d("sender", "from"), ""))
        message_type = text(first(self.d("messageType"), ""))
        kind = message_type or self.type
        self.acted(sender, kind)
        recipients = self.recipients()
        if not recipients and message_type == "SessionStart":
            named = first_key(unwrap(self.d("decodedPayload", "payload")), ("participants", "participantIds"))
            recipients = [x for x in named if isinstance(x, str) and x != sender] if isinstance(named, list) else []
        elif not recipients and message_type == "Proposal":
            recipients = [x["participantId"] for x in self.state["participants"] if x["participantId"] != sender]
        for recipient in recipients:
            self.addressed(recipient)
        self.upsert_node("__start", "start", "completed")
        if message_type == "SessionStart":
            self.upsert_edge("__start", sender, "session.bound")
            for recipient in recipients:
                self.upsert_edge(sender, recipient, "fanout")
        elif message_type == "Proposal":
            self.upsert_node("__proposal", "proposal", "completed")
            self.upsert_edge(sender, "__proposal", "proposes")
            for recipient in recipients:
                self.upsert_edge("__proposal", recipient, "review")
        elif message_type in ("Vote", "Evaluation", "Objection"):
            self.upsert_node("__decision", "decision", "active")
            self.upsert_edge(sender, "__decision", message_type.lower())
        elif message_type == "Commitment":
            self.upsert_node("__decision", "decision", "completed")
            self.upsert_node("__outcome", "output", "completed")
            self.upsert_edge("__decision", "__outcome", "commits")
        for recipient in recipients:
            self.upsert_edge(sender, recipient, kind)
        del self.state["graph"]["edges"][:-300]

    # ---- signals

    def on_signal(self):
        signal = {
            "id": first(self.subject_id, self.event["id"]),
            "name": text(first(self.p("signalType"), self.d("messageType"), "Signal")),
            "severity": get(self.payload, "severity"),
            "sourceParticipantId": get(self.data, "sender"),
            "ts": self.ts,
            "confidence": opt_number(self.p("confidence")),
            "payload": self.payload,
        }
        push(self.state["signals"]["signals"], compact(signal), 200)

    def on_signal_ack(self):
        target = text(first(self.p("signalId", "signal_id"), self.subject_id, ""))
        signal = find(self.state["signals"]["signals"], "id", target) if target else None
        if signal:
            signal["acknowledgedAt"] = self.ts
            if truthy(self.d("sender")):
                signal["acknowledgedBy"] = self.data["sender"]

    # ---- proposals and decision

    def on_proposal(self):
        message_type, sender = text(first(self.d("messageType"), "")), text(first(self.d("sender"), ""))
        explicit = opt_number(self.p("confidence"))
        vote = infer_vote(message_type, self.payload)
        contribution = {
            "participantId": sender,
            "action": infer_action(message_type, self.payload),
            "confidence": 1 if explicit is ABSENT and message_type == "Vote" else explicit,
            "reasons": infer_reasons(self.payload),
            "ts": self.ts,
            "vote": vote,
            "messageType": message_type or ABSENT,
        }
        current = self.state["decision"].setdefault("current", {})
        contributions = current.get("proposals", []) + [compact(contribution)]
        proposal_id = text(first(self.p(*PROPOSAL_KEYS), self.subject_id, ""))
        if current.get("finalized") is not True:
            confidence = first(share_of_allow(contributions), explicit, get(current, "confidence"))
            reason = text(first(self.p("reason", "summary", "rationale"), self.type))
            put(current, "action", proposal_id or text(first(self.subject_id, "proposal")))
            put(current, "confidence", confidence)
            put(current, "reasons", [reason] if reason else [])
            put(current, "finalized", False)
            put(current, "proposalId", proposal_id)
        current["proposals"] = contributions[-50:]
        if vote is not ABSENT and proposal_id:
            self.count_vote(proposal_id, sender, message_type, vote)

    def on_decision(self):
        current = self.state["decision"].setdefault("current", {})
        if current.get("finalized") is True:
            return
        action = text(first(self.p("action"), "resolved"))
        outcome = self.p("outcomePositive", "outcome_positive")
        outcome = infer_outcome(action) if outcome is ABSENT else truthy(outcome)
        confidence = first(
            opt_number(self.p("confidence")), share_of_allow(current.get("proposals", [])), get(current, "confidence")
        )
        put(current, "action", action)
        put(current, "confidence", confidence)
        put(current, "reasons", [text(first(self.p("reason"), "Commitment observed"))])
        put(current, "finalized", True)
        put(current, "proposalId", text(first(self.p("commitmentId"), get(current, "proposalId"), "")))
        put(current, "outcomePositive", outcome)
        put(current, "resolvedAt", self.ts)
        put(current, "resolvedBy", self.d("sender"))
        supersedes = self.p("supersedes")
        if isinstance(supersedes, (dict, list)):
            session = text(first(first_key(supersedes, ("sessionId", "session_id")), ""))
            digest = text(first(first_key(supersedes, ("commitmentHash", "commitment_hash")), ""))
            if session or digest:
                current["supersedes"] = {"sessionId": session, "commitmentHash": digest}
        self.set_status("completed")
        self.policy["outcomePositive"] = outcome
        self.policy.setdefault("resolvedAt", self.ts)
        if self.policy.get("quorumStatus") in (None, "pending"):
            self.policy["quorumStatus"] = "failed" if outcome is False else "reached"

    # ---- the rest

    def on_progress(self):
        entry = {
            "participantId": text(first(self.d("sender"), "")),
            "percentage": opt_number(first(self.p("percentage"), percent(self.payload))),
            "message": text(first(self.p("message", "status"), "")),
            "ts": self.ts,
        }
        push(self.state["progress"]["entries"], compact(entry), 100)

    def on_artifact(self):
        artifact, linked = text(first(self.subject_id, self.event["id"])), self.state["trace"]["linkedArtifacts"]
        if artifact not in linked and len(linked) < MAX_ITEMS:
            linked.append(artifact)

    def on_policy_resolved(self):
        version = text(first(self.p("policyVersion"), self.d("policyVersion"), ""))
        description = text(first(self.p("description"), ""))
        if version:
            self.policy["policyVersion"] = version
        if description:
            self.policy["policyDescription"] = description
        self.policy["resolvedAt"] = self.ts

    def on_policy_evaluated(self):
        decision = self.p("decision")
        if decision not in ("allow", "deny"):
            return
        entry = {
            "commitmentId": text(first(self.p("commitmentId"), self.subject_id, "")),
            "decision": decision,
            "reasons": first(self.p("reasons"), []),
            "ts": self.ts,
        }
        push(self.policy["commitmentEvaluations"], entry, 50)
        if decision == "allow":
            self.policy["quorumStatus"] = "reached"

    def on_llm_call(self):
        if not truthy(self.payload):
            return
        prompt, completion = (first(opt_number(self.p(k)), 0) for k in ("promptTokens", "completionTokens"))
        total = first(opt_number(self.p("totalTokens")), prompt + completion)
        cost = opt_number(self.p("estimatedCostUsd"))
        call = {
            "participantId": text(first(self.d("sender"), "")),
            "model": get(self.payload, "model"),
            "promptTokens": prompt,
            "completionTokens": completion,
            "totalTokens": total,
            "latencyMs": opt_number(self.p("latencyMs")),
            "ts": self.ts,
            "messageId": get(self.data, "messageId"),
            "artifactId": get(self.payload, "artifactId"),
            "estimatedCostUsd": cost,
        }
        push(self.state["llm"]["calls"], compact(call), 100)
        totals = self.state["llm"]["totals"]
        totals["callCount"] += 1
        totals["promptTokens"] += prompt
        totals["completionTokens"] += completion
        totals["totalTokens"] += total
        totals["estimatedCostUsd"] += first(cost, 0)

    HANDLERS = {
        "run.created": on_run,
        "run.started": on_run,
        "run.completed": on_run,
        "run.failed": on_run,
        "run.cancelled": on_run,
        "run.suspended": on_pause,
        "run.resumed": on_pause,
        "session.bound": on_session,
        "session.state.changed": on_session,
        "participant.seen": on_participant_seen,
        "message.sent": on_message_sent,
        "message.send_failed": on_send_failed,
        "message.received": on_message_received,
        "signal.emitted": on_signal,
        "signal.acknowledged": on_signal_ack,
        "proposal.created": on_proposal,
        "proposal.updated": on_proposal,
        "decision.finalized": on_decision,
        "progress.reported": on_progress,
        "artifact.created": on_artifact,
        "policy.resolved": on_policy_resolved,
        "policy.commitment.evaluated": on_policy_evaluated,
        "llm.call.completed": on_llm_call,
    }


# --------------------------------------------------------------------------- metrics

RATES = {
    "gpt-4o": (2.5, 10),
    "gpt-4o-mini": (0.15, 0.6),
    "gpt-4-turbo": (10, 30),
    "claude-3-opus": (15, 75),
    "claude-3-sonnet": (3, 15),
    "claude-3-haiku": (0.25, 1.25),
}
DEFAULT_RATE = (1, 3)
COUNTERS = ("eventCount", "messageCount", "signalCount", "proposalCount", "toolCallCount", "decisionCount", "streamReconnectCount")
TOKEN_SUMS = ("promptTokens", "completionTokens", "totalTokens", "estimatedCostUsd")


def empty_metrics(run_id):
    """Initial metrics row; frozen and ended are internal."""
    return {"runId": run_id, "frozen": False, "ended": False, **dict.fromkeys(COUNTERS + TOKEN_SUMS, 0)}


def metrics(row, events):
    """New metrics row after one batch of events."""
    row = dict(row)
    for event in events:
        kind, data, ts = event["type"], event["data"], event["ts"]
        row["eventCount"] += 1
        row["messageCount"] += kind.startswith("message.")
        row["signalCount"] += kind == "signal.emitted"
        row["proposalCount"] += kind.startswith("proposal.")
        row["toolCallCount"] += kind.startswith("tool.")
        row["decisionCount"] += kind in ("decision.finalized", "decision.proposed")
        row["streamReconnectCount"] += kind == "session.stream.opened" and get(data, "status") == "reconnecting"
        ending = kind in ("run.completed", "run.failed", "run.cancelled")
        row.setdefault("firstEventAt", ts)
        if not row["frozen"] or (ending and not row["ended"]):
            row["lastEventAt"] = ts
        if kind == "session.state.changed" and isinstance(get(data, "state"), str):
            row["sessionState"] = data["state"]
            row["frozen"] = row["frozen"] or data["state"] in SESSION_OUTCOMES
        if ending:
            row["frozen"] = row["ended"] = True
        if kind == "llm.call.completed":
            call = get(data, "decodedPayload")
            prompt, completion = (first(opt_number(get(call, k)), 0) for k in ("promptTokens", "completionTokens"))
            if prompt > 0 or completion > 0:
                model = first(event.get("costModel"), get(call, "model"))
                prompt_rate, completion_rate = RATES.get(model, DEFAULT_RATE)
                row["promptTokens"] += prompt
                row["completionTokens"] += completion
                row["totalTokens"] += prompt + completion
                row["estimatedCostUsd"] += (prompt * prompt_rate + completion * completion_rate) / 1000000
    return row


def parse_ts(ts):
    return round(datetime.datetime.fromisoformat(ts.replace("Z", "+00:00")).timestamp() * 1000)


def metrics_summary(row):
    """The summary shown to clients."""
    out = {k: v for k, v in row.items() if k not in ("frozen", "ended")}
    if "firstEventAt" in out:
        out["durationMs"] = parse_ts(out["lastEventAt"]) - parse_ts(out["firstEventAt"])
    return compact(out)


# --------------------------------------------------------------------------- pipeline


def run_vector(vector):
    """Run a session vector's input; returns its expectation keys."""
    context, patterns = vector["context"], vector["config"]["redactPatterns"]
    run_id, stamp = context["runId"], context["traceContext"]
    known, stored = set(context["knownParticipants"]), set()
    seq, raw_seqs, canonical = 0, [], []
    state, row = empty_projection(run_id), empty_metrics(run_id)
    for item in vector["input"]:
        if item["op"] == "raw":
            raw = item["raw"]
            envelope = raw.get("envelope")
            if envelope and envelope["messageId"]:
                key = tuple(clean_text(envelope[k]) for k in ("messageId", "messageType", "sender"))
                if key in stored:
                    raw_seqs.append(None)
                    continue
                stored.add(key)
            seq += 1
            raw_seqs.append(seq)
            events = [{"ts": raw["receivedAt"], **e} for e in normalize(raw, context, known, patterns)]
        else:
            events = [{**e, "data": redact_data(patterns, e["data"])} for e in copy.deepcopy(item["events"])]
        batch = []
        for event in events:
            seq += 1
            full = {"id": None, "runId": run_id, "seq": seq, "schemaVersion": 3, **event}
            if stamp and "trace" not in full:
                full["trace"] = dict(stamp)
            batch.append(full)
        row = metrics(row, batch)
        for event in batch:
            event.pop("costModel", None)
        state = fold(state, batch)
        canonical += batch
    return {"rawSeqs": raw_seqs, "canonical": canonical, "projection": state, "metrics": metrics_summary(row)}


# --------------------------------------------------------------------------- checking


def differences(actual, expected, path=""):
    """Human readable differences of two JSON values; numbers compare as doubles."""
    if is_number(actual) and is_number(expected):
        return [] if float(actual) == float(expected) else [f"{path}: {actual!r} instead of {expected!r}"]
    if type(actual) is not type(expected):
        return [f"{path}: {actual!r} instead of {expected!r}"[:300]]
    if isinstance(actual, dict):
        out = [f"{path}/{k}: unexpected {actual[k]!r}"[:300] for k in actual if k not in expected]
        out += [f"{path}/{k}: missing {expected[k]!r}"[:300] for k in expected if k not in actual]
        return out + [d for k in actual if k in expected for d in differences(actual[k], expected[k], f"{path}/{k}")]
    if isinstance(actual, list):
        out = [] if len(actual) == len(expected) else [f"{path}: length {len(actual)} instead of {len(expected)}"]
        return out + [d for i, (a, b) in enumerate(zip(actual, expected)) for d in differences(a, b, f"{path}/{i}")]
    return [] if actual == expected else [f"{path}: {actual!r} instead of {expected!r}"[:300]]


def null_if_absent(v):
    return None if v is ABSENT else compact(v)


def unit_decode(case):
    payload = base64.b64decode(case["payloadBase64"])
    decoded, name = decode_payload(case["mode"], case["messageType"], payload)
    return {"typeName": null_if_absent(name), "decoded": null_if_absent(decoded)}


def unit_normalize_decoded(case):
    decoded = ABSENT if case["decoded"] is None else case["decoded"]
    name = ABSENT if case["payloadTypeName"] is None else case["payloadTypeName"]
    known = {case["sender"]} if case["senderKnown"] else set()
    events = normalize_decoded(case, decoded, name, known, case["redactPatterns"])
    for event in events:
        event.pop("costModel", None)
    return {"events": events}


def unit_reduce(case):
    return {"projection": compact(fold(case["initial"] or empty_projection("run-1"), case["events"]))}


def unit_metrics(case):
    row = empty_metrics("run-1")
    for batch in case["batches"]:
        row = metrics(row, batch)
    return {"summary": metrics_summary(row)}


def unit_subject(case):
    kind, ident = derived_subject(case["type"], case["messageId"], case["decoded"])
    return {"subject": {"kind": kind, "id": ident}}


def unit_redact_data(case):
    name = ABSENT if case["payloadTypeName"] is None else case["payloadTypeName"]
    return {"output": redact_data(case["patterns"], case["data"], name)}


# file name under unit/ -> function from a case to its expectation keys
UNITS = {
    "decode": unit_decode,
    "decode_hostile": unit_decode,
    "derive": lambda case: {"derivedType": derived_type(case["messageType"])},
    "subject": unit_subject,
    "llm_extract": lambda case: {"expected": extract_llm(ABSENT if case["decoded"] is None else case["decoded"])},
    "redaction": lambda case: {"output": redact(case["patterns"], case["input"])},
    "redact_data": unit_redact_data,
    "normalize_decoded": unit_normalize_decoded,
    "reduce": unit_reduce,
    "reduce_caps": unit_reduce,
    "metrics": unit_metrics,
}


def check(directory):
    """Verify all vectors below a directory; returns the number of failures."""
    failures = total = 0

    def report(name, result, expected):
        nonlocal failures, total
        total += 1
        found = [d for key in result for d in differences(result[key], expected.get(key), key)]
        if found:
            failures += 1
            print("FAIL", name, *found[:5], sep="\n    ")

    for path in sorted(glob.glob(os.path.join(directory, "*.json"))):
        with open(path, encoding="utf-8") as file:
            vector = json.load(file)
        report(vector["name"], run_vector(vector), vector)
    for path in sorted(glob.glob(os.path.join(directory, "unit", "*.json"))):
        name = os.path.basename(path)[:-5]
        with open(path, encoding="utf-8") as file:
            cases = json.load(file)["cases"]
        for i, case in enumerate(cases):
            report(f"unit/{name} #{i} {case.get('name', '')}", UNITS[name](case), case)
    print(f"{total} checked, {failures} failed")
    return failures


# --------------------------------------------------------------------------- random vectors

RANDOM_WORDS = (
    "p1", "p2", "r1", "APPROVE", "reject", "No", "abstain", "decision.rejected", "task.completed", "accepted", "deploy",
    "", "é€😀", "a\x00b", "line\nbreak", "secret sk-abc123", "agent://a", "m-1", "m-2", "gpt-4o", "0.5", "12", "true", "__start",
)  # fmt: skip
RANDOM_PATTERNS = ("sk-[A-Za-z0-9]+", r"\b\d{3}-\d{4}\b", "secret", "[invalid(", "(?<=agent://)a", "é")
OTHER_TYPES = (
    "SignalAck", "SignalAcknowledged", "PolicyResolved", "PolicyCommitmentEvaluated", "PolicyDenied",
    "ToolCall", "toolresult", "TOOLOUTPUT", "ContextUpdate", "Custom",
)  # fmt: skip


class Generator:
    """Random but valid session vectors; the same seed gives the same vectors."""

    def __init__(self, seed):
        self.rnd = random.Random(seed)

    def word(self):
        return self.rnd.choice(RANDOM_WORDS)

    def plain_word(self):
        return self.word().replace("\x00", "")

    def real(self):
        choices = (0.0, 0.5, 1.0, 0.07, 0.1 + 0.2, -3.25, 1e21, 5e-7, math.nan, math.inf)
        return self.rnd.choice(choices) if self.rnd.random() < 0.5 else self.rnd.random()

    def integer(self):
        return self.rnd.choice((0, 1, -5, 60000, 1772362800000, 2**53 + 1, self.rnd.randrange(1 << 31)))

    def blob(self):
        content = (b"", b"\x00\xff\xfe", b'{"note":"secret","n":1.50}', b"plain secret text", self.rnd.randbytes(5))
        return b64(self.rnd.choice(content))

    def message(self, name):
        """Random JSON form of a payload message."""
        out = {}
        for key, kind, repeated in MESSAGES[name].values():
            if self.rnd.random() < 0.25:
                continue
            make = {
                "string": self.plain_word if self.rnd.random() < 0.9 else self.word,
                "bytes": self.blob,
                "double": self.real,
                "bool": lambda: self.rnd.random() < 0.5,
                "uint32": lambda: self.rnd.randrange(1 << 32),
                "int64": self.integer,
                "map": lambda: {self.plain_word(): self.blob()},
            }.get(kind) or (lambda kind=kind: self.message(kind))
            out[key] = [make() for _ in range(self.rnd.randrange(4))] if repeated else make()
        return out

    def value(self, depth=0):
        """Random JSON value."""
        simple = (None, True, False, 0, -0.0, 1.5, 42, 1e300, self.word(), self.word(), "\\u0041", self.rnd.random())
        if depth > 2 or self.rnd.random() < 0.6:
            return self.rnd.choice(simple)
        if self.rnd.random() < 0.4:
            return [self.value(depth + 1) for _ in range(self.rnd.randrange(3))]
        return {self.plain_word(): self.value(depth + 1) for _ in range(self.rnd.randrange(4))}

    def llm_call(self):
        call = {k: self.rnd.choice((0, 3, 12.5, "7", None, "x", -1)) for k in self.rnd.sample(TOKEN_KEYS, self.rnd.randrange(3))}
        if self.rnd.random() < 0.6:
            call |= {"model": self.rnd.choice((*RATES, "other", "", 4)), "prompt": self.value(1), "latencyMs": self.rnd.choice((5, "6.5", "fast", None))}
        if self.rnd.random() < 0.4:
            call |= {"estimatedCostUsd": self.rnd.choice((0.25, "0.5", "?")), "artifactId": self.word(), "provider": self.word()}
        if self.rnd.random() < 0.3:
            call["tokenUsage"] = {"promptTokens": 10, "completion_tokens": "4", "model": "gpt-4o-mini"}
        return call

    def json_object(self):
        keys = (
            *PROPOSAL_KEYS, "signalId", "signal_id", "commitmentId", "policyId", "policyVersion", "description", "decision",
            "vote", "recommendation", "option", "reason", "rationale", "summary", "reasons", "confidence", "progress", "message",
            "status", "action", "outcomePositive", "outcome_positive", "participants", "toolCallId", "policyDenied", "severity",
        )  # fmt: skip
        out = {k: self.value(1) for k in self.rnd.sample(keys, self.rnd.randrange(7))}
        if self.rnd.random() < 0.3:
            out["decision"] = self.rnd.choice(("allow", "deny", "maybe", None))
        if self.rnd.random() < 0.3:
            out[self.rnd.choice(("llmCall", "tokenUsage", "metadata"))] = self.llm_call()
        if self.rnd.random() < 0.1:
            out["policyDenied"] = True
        return out

    def payload(self, mode, message_type):
        name, dice = payload_type(mode, message_type), self.rnd.random()
        if dice < 0.65 and name in MESSAGES:
            form = self.message(name)
            if message_type == "Signal" and self.rnd.random() < 0.5:
                form["signalType"] = "llm.call.completed"
                form["data"] = b64(json.dumps(self.llm_call()).encode())
            encoded = encode_message(name, form)
            if self.rnd.random() < 0.1 and encoded:
                cut = self.rnd.randrange(len(encoded))
                encoded = encoded[:cut] + self.rnd.randbytes(self.rnd.randrange(3)) + encoded[cut + self.rnd.randrange(2) :]
            return encoded
        if dice < 0.9:
            value = self.json_object() if self.rnd.random() < 0.8 else self.value()
            return json.dumps(value, ensure_ascii=self.rnd.random() < 0.5).encode()
        return self.rnd.choice((b"", b"plain text", b"\xef\xbb\xbf{}", b'{"a":"\\ud800"}', b"\n{}", b"[1,2", self.rnd.randbytes(9)))

    def envelope(self, mode, senders, session_id, count):
        types = MODE_TYPES.get(mode.removeprefix("macp.mode.").removesuffix(".v1"), ("Contribute",))
        dice = self.rnd.random()
        if dice < 0.6:
            message_type = self.rnd.choice(types)
        elif dice < 0.85:
            message_type = self.rnd.choice(CORE_TYPES)
        else:
            message_type = self.rnd.choice(OTHER_TYPES)
        ambient = message_type in ("Signal", "Progress") and self.rnd.random() < 0.7
        envelope = {
            "macpVersion": "1.0",
            "mode": "" if ambient else mode,
            "messageType": message_type,
            "messageId": f"m-{count}",
            "sessionId": "" if ambient else session_id,
            "sender": self.rnd.choice(senders),
            "timestampUnixMs": 1772359200000 + count,
        }
        envelope["payloadBase64"] = b64(self.payload(envelope["mode"], message_type))
        return "signals" if ambient else "session", envelope

    def other_raw(self, mode, session_id):
        """A raw event that is no envelope."""
        dice = self.rnd.random()
        if dice < 0.5:
            states = ("UNSPECIFIED", "OPEN", "OPEN", "SUSPENDED", "RESOLVED", "EXPIRED", "CANCELLED")
            snapshot = {"sessionId": session_id, "mode": mode, "state": "SESSION_STATE_" + self.rnd.choice(states), "startedAtUnixMs": 1772359200000}
            if self.rnd.random() < 0.3:
                snapshot |= {"contextId": self.plain_word(), "extensionKeys": [self.plain_word() for _ in range(self.rnd.randrange(3))]}
            return {"kind": "session-snapshot", "sessionSnapshot": snapshot}
        if dice < 0.7:
            return {"kind": "stream-status", "streamStatus": {"status": self.rnd.choice(("opened", "reconnecting", "closed")), "detail": self.word()}}
        code = self.rnd.choice(("POLICY_DENIED", "FORBIDDEN"))
        message_id = self.rnd.choice(("", "m-1"))
        if dice < 0.85:
            return {"kind": "stream-inline-error", "inlineError": {"code": code, "message": self.word(), "sessionId": session_id, "messageId": message_id}}
        ack = {"ok": self.rnd.random() < 0.4, "duplicate": False, "messageId": message_id, "sessionId": session_id, "acceptedAtUnixMs": 1, "sessionState": "SESSION_STATE_OPEN"}
        if not ack["ok"]:
            ack["error"] = {"code": code, "message": "no", "sessionId": session_id, "messageId": message_id, "detailsBase64": self.rnd.choice(("", b64(b'{"reasons":["r1"]}')))}
        return {"kind": "send-ack", "ack": ack}

    def vector(self, name):
        rnd = self.rnd
        mode = rnd.choice([f"macp.mode.{m}.v1" for m in MODE_TYPES] + ["ext.multi_round.v1", "ext.custom.v1"])
        hexa = f"{rnd.getrandbits(48):012x}"
        run_id, session_id = f"00000000-0000-4000-8000-{hexa}", f"11111111-1111-4111-8111-{hexa}"
        participants = [f"agent://{c}" for c in "abcd"[: rnd.randrange(5)]]
        senders = participants + ["agent://late", "é😀"] + rnd.choice(([], [""], ["__start"], ["x\x00y"]))
        clock = 1772359200000

        def now():
            nonlocal clock
            clock += rnd.choice((0, 0, 5, 250))
            moment = datetime.datetime.fromtimestamp(clock / 1000, datetime.timezone.utc)
            return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{clock % 1000:03d}Z"

        def emit(event_type, subject_kind, ident, **data):
            source = {"kind": "macp-control-plane", "name": "run-manager"}
            return {"ts": now(), "type": event_type, "source": source, "subject": {"kind": subject_kind, "id": ident}, "data": data}

        def batch(*events):
            steps.append({"op": "emit", "events": list(events)})

        def lifecycle(event_type, status, **data):
            batch(emit(event_type, "run", run_id, status=status, runtimeSessionId=session_id, **data))

        steps = []
        batch(emit("run.created", "run", run_id, status="queued", modeName=mode, sessionId=session_id))
        batch(emit("run.started", "run", run_id, status="starting", startedAt="2026-03-01T10:00:00.000Z", modeName=mode))
        bound = {"state": "SESSION_STATE_OPEN", "policyVersion": rnd.choice(("", "policy.default")), "participants": participants}
        if rnd.random() < 0.2:
            bound["expectedCommitments"] = rnd.choice(([], [{"id": "x"}]))
        seen = [emit("participant.seen", "participant", p, participantId=p, status="idle") for p in participants]
        batch(emit("session.bound", "session", session_id, sessionId=session_id, **bound), *seen)
        batch(emit("session.state.changed", "session", session_id, sessionId=session_id, state="SESSION_STATE_OPEN"))
        length, ending, sent = rnd.randrange(5, 40), rnd.randrange(5, 45), []
        for i in range(length):
            dice = rnd.random()
            if i == ending:
                status = rnd.choice(TERMINAL_RUN)
                lifecycle("run." + status, status, endedAt=now())
            elif dice < 0.82:
                if sent and rnd.random() < 0.08:
                    consumer, envelope = rnd.choice(sent)
                else:
                    consumer, envelope = self.envelope(mode, senders, session_id, i)
                    sent.append((consumer, envelope))
                raw = {"kind": "stream-envelope", "receivedAt": now(), "envelope": envelope}
                steps.append({"op": "raw", "consumer": consumer, "raw": raw})
            elif dice < 0.94:
                raw = self.other_raw(mode, session_id)
                steps.append({"op": "raw", "consumer": "session", "raw": {**raw, "receivedAt": now()}})
            elif dice < 0.97:
                batch(emit("artifact.created", "artifact", f"art-{rnd.randrange(3)}", kind="trace"))
            else:
                lifecycle(*rnd.choice((("run.suspended", "suspended"), ("run.resumed", "running"))))
        stamp = {"traceId": f"{rnd.getrandbits(128):032x}", "spanId": f"{rnd.getrandbits(64):016x}"}
        vector = {
            "name": name,
            "description": "random session",
            "config": {"redactPatterns": rnd.sample(RANDOM_PATTERNS, rnd.randrange(1, 4)) if rnd.random() < 0.25 else []},
            "context": {
                "runId": run_id,
                "runtimeSessionId": session_id,
                "knownParticipants": participants,
                "traceContext": stamp if rnd.random() < 0.2 else None,
            },
            "input": steps,
        }
        return vector | run_vector(vector)


def main(argv):
    command = argv[1:2]
    if command == ["run"] and len(argv) == 3:
        with open(argv[2], encoding="utf-8") as file:
            print(json.dumps(compact(run_vector(json.load(file))), ensure_ascii=False, indent=1))
        return 0
    if command == ["check"] and len(argv) == 3:
        return 1 if check(argv[2]) else 0
    if command == ["gen"] and len(argv) == 4:
        generator = Generator(int(argv[2]))
        for i in range(int(argv[3])):
            print(json.dumps(compact(generator.vector(f"random-{argv[2]}-{i}"))))
        return 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv))
