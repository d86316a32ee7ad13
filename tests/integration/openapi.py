#!/usr/bin/python3
"""The API against its own description: openapi.py BUILD.

Starts a stack with runs of the ids that the samples use, reads /docs-json and checks: that it is an OpenAPI 3.1
document with correct schemas; that every sample gets the status, type and shape it promises; that every operation
refuses callers without a key, broken ids, wrong types and NUL, and answers HEAD like GET; that all times are ISO.
Schemas are held closed: a member that is not described is a fault, as one that is missing.
The last line is "N passed, N failed".
"""

import atexit
import copy
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.parse

import jsonschema

HERE = os.path.dirname(os.path.abspath(__file__))
UNKNOWN = "00000000-0000-4000-8000-000000000000"
RUN = "3f2b7c1e-5d14-4b7e-9a53-0c1d2e3f4a51"
OTHER = "8a6d2f47-1b3c-4e5d-8f90-a1b2c3d4e5f6"
LIVE = "c4e1b9a2-7d68-4f03-b215-9e8d7c6b5a41"
OLD = "1d9f0e8b-2c4a-4d6e-a7b8-5f6e7d8c9b0a"
WEBHOOK = "5e7a9c3b-6f2d-4a18-9b0c-d1e2f3a4b5c6"
IDLE = "7b2c4d6e-8f0a-4b1c-9d3e-5f7a9b1c3d5e"
DELIVERY = "2c8e5a71-3d4f-4e6b-8a9c-0b1d2e3f4a5b"
UNSENT = "9d5f7a31-6b8c-4d0e-a2f4-1c3e5a7b9d2f"
SESSION = "session-of-another-run"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ISO = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
TIME_LIKE = re.compile(r"^\d{4}-\d\d-\d\d[ T]\d\d:\d\d")
WAIT_S = 40


class Stack:
    """The whole path on loopback, ended with this program."""

    def __init__(self, build):
        ready = tempfile.mktemp(prefix="macp-openapi-")
        self.process = subprocess.Popen(
            [f"{build}/tests/stack", "--ready-file", ready, "--bearer", "tok-operator"], stdout=subprocess.DEVNULL
        )
        atexit.register(self.stop)
        self.wait("the stack is there", lambda: os.path.exists(ready) and os.path.getsize(ready))
        with open(ready, encoding="utf-8") as file:
            told = json.load(file)
        os.unlink(ready)
        self.build, self.control, self.database = build, told["control"], told["databaseUrl"]
        self.key, self.address = told["apiKey"], told["apiUrl"].removeprefix("http://")

    def stop(self):
        self.process.terminate()
        self.process.wait(60)

    def wait(self, what, holds):
        end = time.monotonic() + WAIT_S
        while not holds():
            if time.monotonic() > end or self.process.poll() is not None:
                sys.exit(f"not in time: {what}")
            time.sleep(0.05)

    def tell(self, **command):
        subprocess.run(
            [f"{self.build}/tests/scripted-runtime", "--ctl", self.control, json.dumps(command)],
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def sql(self, text):
        subprocess.run(["psql", "-qAtX", "-v", "ON_ERROR_STOP=1", self.database, "-c", text], check=True)

    def call(self, method, target, body=None, key=True, content_type="application/json"):
        """Status, headers, body; of an event stream what comes first: it may have no end."""
        connection = http.client.HTTPConnection(self.address, timeout=30)
        headers = {"Authorization": f"Bearer {self.key}"} if key else {}
        if body is not None:
            headers["Content-Type"] = content_type
        elif method == "POST":
            headers["Content-Length"] = "0"
        connection.putrequest(method, target, skip_accept_encoding=True)
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        for name, value in headers.items():
            connection.putheader(name, value)
        if data is not None:
            connection.putheader("Content-Length", str(len(data)))
        connection.endheaders(data)
        answer = connection.getresponse()
        is_stream = answer.getheader("Content-Type", "").startswith("text/event-stream")
        content = answer.read1(65536) if is_stream else answer.read()
        result = answer.status, dict((k.lower(), v) for k, v in answer.getheaders()), content
        connection.close()
        return result

    def get(self, target):
        return json.loads(self.call("GET", target)[2])


def make_runs(stack):
    """Runs of discovery have the ids of their sessions."""
    for session in (RUN, OTHER, OLD):
        stack.tell(cmd="play", script="decision.hosted", session=session)
    stack.tell(
        cmd="send", session=LIVE, mode="macp.mode.decision.v1", type="SessionStart", sender="macp-operator",
        payload={
            "intent": "stay", "participants": ["agent://planner"], "mode_version": "1.0.0",
            "configuration_version": "config.default", "ttl_ms": 600000,
        },
    )
    descriptor = {
        "mode": "live", "runtime": {"kind": "rust"},
        "session": {
            "sessionId": SESSION, "modeName": "macp.mode.decision.v1", "modeVersion": "1.0.0",
            "configurationVersion": "config.default", "ttlMs": 60000, "participants": [{"id": "a"}],
        },
    }
    stack.call("POST", "/runs", descriptor)
    for run in (RUN, OTHER, OLD):
        stack.wait(f"{run} completes", lambda run=run: stack.get(f"/runs/{run}").get("status") == "completed")
    for webhook, delivery, active in ((WEBHOOK, DELIVERY, True), (IDLE, UNSENT, False)):
        stack.sql(
            "with w as (insert into macp.webhooks (id, url, events, secret, active) values "
            f"('{webhook}', 'http://127.0.0.1:9/macp', '{{}}', 'secret', {active}) returning webhook_key) "
            "insert into macp.webhook_deliveries (public_id, webhook_key, run_key, run_version, event, body, status) "
            f"select '{delivery}', w.webhook_key, r.run_key, 100, 'run.completed', '{{}}', 'failed' "
            f"from w, macp.runs r where r.id = '{RUN}'"
        )
    stack.wait("the live run runs", lambda: stack.get(f"/runs/{LIVE}").get("status") == "running")
    for kind in ("modes", "roots", "policies"):
        stack.wait(f"{kind} are known", lambda kind=kind: stack.call("GET", f"/runtime/{kind}")[0] == 200)


# --- the document --------------------------------------------------------------------------------


def close_schemas(node):
    """Objects have the members that are described and no others."""
    if isinstance(node, dict):
        if "properties" in node and "additionalProperties" not in node:
            node["additionalProperties"] = False
        for value in node.values():
            close_schemas(value)
    elif isinstance(node, list):
        for value in node:
            close_schemas(value)


class Contract:
    def __init__(self, document):
        self.document = document
        closed = copy.deepcopy(document)
        close_schemas(closed["components"]["schemas"])
        self.resolver = jsonschema.RefResolver("", closed)
        self.checker = jsonschema.FormatChecker()

    def problem(self, schema, value):
        validator = jsonschema.Draft202012Validator(schema, resolver=self.resolver, format_checker=self.checker)
        error = jsonschema.exceptions.best_match(validator.iter_errors(value))
        if not error:
            return None
        return f"at {'/'.join(map(str, error.absolute_path)) or 'the top'}: {error.message[:300]}"

    def operations(self):
        for path, operations in self.document["paths"].items():
            for method, operation in operations.items():
                yield path, method.upper(), operation

    def samples(self):
        """Each sample with its request and the place where its answer is described."""
        for path, method, operation in self.operations():
            bodies = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("examples", {})
            for status, response in operation["responses"].items():
                places = [(None, {}, response.get("x-examples", {}))]
                for kind, media in response.get("content", {}).items():
                    places.append((kind, media["schema"], media.get("examples", {})))
                for kind, schema, examples in places:
                    for name, example in examples.items():
                        yield method, path, name, example, bodies.get(name, {}).get("value"), int(status), kind, schema


def times_in(value, where=""):
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from times_in(inner, f"{where}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from times_in(inner, f"{where}[]")
    elif isinstance(value, str) and TIME_LIKE.match(value):
        yield where, value


def check_value(contract, schema, value):
    problem = contract.problem(schema, value)
    for where, text in times_in(value):
        if not ISO.match(text):
            problem = problem or f"{where} is {text}"
    return problem


# --- checks: each yields sentences about what does not hold ----------------------------------------


def check_document(contract):
    with open(f"{HERE}/openapi_subset.json", encoding="utf-8") as file:
        subset = json.load(file)
    validator = jsonschema.Draft202012Validator(subset)
    for error in validator.iter_errors(contract.document):
        yield f"{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}"
    for name, schema in contract.document["components"]["schemas"].items():
        try:
            jsonschema.Draft202012Validator.check_schema(schema)
        except jsonschema.SchemaError as error:
            yield f"{name}: {error.message}"
    ids = [operation["operationId"] for _, _, operation in contract.operations()]
    if len(ids) != len(set(ids)):
        yield "operationIds repeat"


def check_samples_fit(contract):
    """What the documentation shows is what it describes."""
    for method, path, name, example, _, status, kind, schema in contract.samples():
        if kind:
            problem = check_value(contract, schema, example.get("value"))
            if problem:
                yield f"{method} {path} {status} {name}: {problem}"


def shape_problem(contract, kind, schema, headers, content):
    if not headers.get("content-type", "").startswith(kind):
        return f"content type {headers.get('content-type')}"
    if kind in ("text/plain", "text/event-stream"):
        return None if content else "no content"
    if kind == "application/x-ndjson":
        for line in content.decode().splitlines():
            value = json.loads(line)
            problem = contract.problem({"type": "object", "properties": schema_of_line(contract)}, value)
            if problem:
                return problem
        return None
    return check_value(contract, schema, json.loads(content))


def schema_of_line(contract):
    return contract.document["components"]["schemas"]["ExportLine"]["properties"]


def without_ids(value):
    return UUID.sub("<id>", json.dumps(value, sort_keys=True))


def check_replay(contract, stack):
    ordered = sorted(contract.samples(), key=lambda sample: sample[0] == "DELETE")
    for method, path, name, example, body, status, kind, schema in ordered:
        what = f"{method} {path} {name}"
        got, headers, content = stack.call(method, example["x-target"], body)
        if got != status:
            yield f"{what}: {got} instead of {status}: {content[:300]!r}"
            continue
        if not kind:
            if content:
                yield f"{what}: a body"
            continue
        problem = shape_problem(contract, kind, schema, headers, content)
        if not problem and status >= 400 and without_ids(json.loads(content)) != without_ids(example["value"]):
            problem = f"says {content.decode()}"
        if problem:
            yield f"{what}: {problem}"


def fill(path, value):
    return re.sub(r"\{[^}]*\}", urllib.parse.quote(value, safe=""), path)


def check_keys(contract, stack):
    for path, method, operation in contract.operations():
        status, _, content = stack.call(method, fill(path, UNKNOWN), key=False)
        public = operation.get("security") == []
        if public != (status != 401):
            yield f"{method} {path} without a key: {status}"
        if status == 401:
            problem = contract.problem({"$ref": "#/components/schemas/Refusal"}, json.loads(content))
            if problem:
                yield f"{method} {path}: {problem}"


def check_hostile_ids(contract, stack):
    for path, method, operation in contract.operations():
        if "{" not in path:
            continue
        parameter = next(p for p in operation["parameters"] if p["in"] == "path")
        body = sample_body(operation)
        for value in ("'; drop table runs;--", "..", "a/b", "%", "x" * 3000, "\u202e", RUN + "0", "{" + RUN + "}"):
            status, _, content = stack.call(method, fill(path, value), body)
            # A policy's id may be any text: there is none of that name.
            if status not in ((400,) if parameter["schema"].get("format") == "uuid" else (400, 404, 409)):
                yield f"{method} {path} with {value[:20]!r}: {status} {content[:200]!r}"
        for target in (fill(path, "@").replace("%40", "%00"), fill(path, "@").replace("%40", "%ff")):
            status, _, content = stack.call(method, target, body)
            if status != 400:
                yield f"{method} {target}: {status} {content[:200]!r}"


def sample_body(operation):
    """The body of some sample that succeeds."""
    examples = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("examples", {})
    for status, response in operation["responses"].items():
        if status.startswith("2"):
            for media in response.get("content", {}).values():
                for name in media.get("examples", {}):
                    if name in examples:
                        return examples[name]["value"]
    return None


def bad_query_values(parameter):
    schema, doc = parameter["schema"], parameter.get("description", "")
    if doc.startswith("Anything but true"):
        return
    if "enum" in schema or schema.get("format") == "uuid" or "anyOf" in schema:
        yield from ("nonsense", "a&{0}=b")
    elif schema["type"] in ("integer", "number"):
        yield from ("x", "1e999")
        if "minimum" in schema:
            yield str(schema["minimum"] - 1)
        if schema.get("maximum", 1 << 62) < 1 << 53:
            yield str(schema["maximum"] + 1)
    elif schema["type"] == "boolean":
        yield from ("maybe", "")
    yield "%00"


def check_hostile_queries(contract, stack):
    for path, method, operation in contract.operations():
        for parameter in operation.get("parameters", []):
            if parameter["in"] != "query" or operation.get("security") == []:
                continue
            name = parameter["name"]
            for value in bad_query_values(parameter):
                target = f"{fill(path, RUN)}?{name}={value.format(name)}"
                status, _, content = stack.call(method, target)
                if status != 400 or name not in content.decode():
                    yield f"{method} {target}: {status} {content[:200]!r}"


def bad_bodies(schema, body):
    """The good body with one member of another type, or with NUL, at any depth."""
    for name, member in schema.get("properties", {}).items():
        kind = member.get("type")
        if not kind:
            continue
        bad = [1 if kind != "integer" and kind != "number" else "1"]
        if kind == "string" and "format" not in member and "enum" not in member:
            bad.append("a\0b")
        if "maxLength" in member:
            bad.append("x" * (member["maxLength"] + 1))
        if kind == "array":
            bad.append([{}] if member["items"].get("type") == "string" else [1])
        for value in bad:
            yield name, {**body, name: value}
        if kind == "object" and member.get("properties"):
            for inner, value in bad_bodies(member, body.get(name, {})):
                yield f"{name}.{inner}", {**body, name: value}
    if schema.get("additionalProperties") is False:
        yield "surplus", {**body, "surplus": 1}


def check_hostile_bodies(contract, stack):
    for path, method, operation in contract.operations():
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if not content:
            continue
        target, good = fill(path, RUN), sample_body(operation) or {}
        for member, body in bad_bodies(content["schema"], good):
            status, _, answer = stack.call(method, target, body)
            if status != 400:
                yield f"{method} {path} with a bad {member}: {status} {answer[:200]!r}"
        for raw, kind, wanted in (
            (b"{", "application/json", 400),
            (b'"text"', "application/json", 400),
            (b"\xff\xfe", "application/json", 400),
            (b"[" * 100000, "application/json", 400),
            (b" " * (1 << 20) + b"{}", "application/json", 413),
            (b"{}", "application/json; charset=utf-16", 415),
        ):
            status, _, answer = stack.call(method, target, raw, content_type=kind)
            if status != wanted:
                yield f"{method} {path} with {raw[:10]!r} as {kind}: {status} {answer[:200]!r}"


def check_head(contract, stack):
    for path, method, operation in contract.operations():
        target = fill(path, "policy.default" if "policyId" in path else WEBHOOK if "webhooks" in path else RUN)
        status, headers, content = stack.call("HEAD", target)
        if method == "GET":
            got = stack.call("GET", target)
            if (status, headers.get("content-type")) != (got[0], got[1].get("content-type")) or content:
                yield f"HEAD {target}: {status} {headers.get('content-type')} {len(content)}, GET {got[0]}"
        elif "get" not in contract.document["paths"][path] and status not in (400, 404):
            yield f"HEAD {target}: {status}"


def check_page(stack):
    status, headers, content = stack.call("GET", "/docs", key=False)
    page = content.decode()
    if status != 200 or not headers["content-type"].startswith("text/html"):
        yield f"{status} {headers['content-type']}"
    if "default-src 'none'" not in headers.get("content-security-policy", "") or "unsafe" in headers["content-security-policy"]:
        yield f"policy {headers.get('content-security-policy')}"
    for outside in ("<script", "src=", "http-equiv", "@import", "url("):
        if outside in page.split("</head>")[0] or "<script" in page:
            yield f"the page has {outside}"
    for needed in ("/runs/{id}/state", "Fetch one run", "ENDPOINT_REMOVED"):
        if needed not in page:
            yield f"the page lacks {needed}"
    if json.loads(stack.call("GET", "/docs-yaml", key=False)[2]) != json.loads(stack.call("GET", "/docs-json", key=False)[2]):
        yield "the YAML is another document"


def main():
    stack = Stack(sys.argv[1])
    make_runs(stack)
    contract = Contract(json.loads(stack.call("GET", "/docs-json", key=False)[2]))
    checks = {
        "the document is OpenAPI 3.1 with correct schemas": check_document(contract),
        "samples fit what is described": check_samples_fit(contract),
        "operations need a key unless they are public": check_keys(contract, stack),
        "broken ids are refused": check_hostile_ids(contract, stack),
        "broken query values are refused by name": check_hostile_queries(contract, stack),
        "broken bodies are refused": check_hostile_bodies(contract, stack),
        "HEAD answers like GET": check_head(contract, stack),
        "the page is whole and needs nothing from elsewhere": check_page(stack),
        "every sample gets what it promises": check_replay(contract, stack),
    }
    failed = 0
    for what, problems in checks.items():
        problems = list(problems)
        failed += bool(problems)
        print(f"{'FAILED' if problems else 'ok    '} {what}")
        for problem in problems:
            print(f"  ERROR {problem}")
    print(f"{len(checks) - failed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
