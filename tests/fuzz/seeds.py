#!/usr/bin/env python3
"""Seeds for the fuzz targets that read what runtimes send, made of random sessions.

    seeds.py TARGET DIR    write files into DIR; nothing for a target that it does not know

The sessions come from the golden tests' oracle with a fixed seed, so a corpus can be made again.
A payload seed starts with the row of the payload table that fits it; should the orders of the
two tables ever part, seeds fit less well and nothing else happens.
"""
import base64
import hashlib
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden"))
sys.dont_write_bytecode = True
import macp_model as model  # noqa: E402

SEED = 20260301
SESSIONS = 60
NO_ROW = 255
ROWS = {key: row for row, key in enumerate(model.PAYLOAD_TYPES)}


def envelopes(vector):
    return [s["raw"]["envelope"] for s in vector["input"] if s["op"] == "raw" and "envelope" in s["raw"]]


def row(envelope):
    kind = envelope["messageType"]
    return ROWS.get((envelope["mode"], kind), ROWS.get(("", kind), NO_ROW))


def payload_seeds(vector):
    for e in envelopes(vector):
        yield bytes([row(e)]) + base64.b64decode(e["payloadBase64"])


def normalize_seeds(vector):
    """Message type, redaction on or off, length of the sender, sender, payload."""
    for i, e in enumerate(envelopes(vector)):
        sender = e["sender"].encode()
        yield bytes([row(e), i & 1, len(sender)]) + sender + base64.b64decode(e["payloadBase64"])


def fold_seeds(vector):
    """The events of a session: first eight at a time, which mutates well, then all of them."""
    events = model.compact(vector["canonical"])
    parts = [events[i : i + 8] for i in range(0, len(events), 8)]
    for part in [*parts, events]:
        yield json.dumps(part, separators=(",", ":")).encode()


TARGETS = {"fuzz_payload": payload_seeds, "fuzz_normalize": normalize_seeds, "fuzz_fold": fold_seeds}


def main(argv):
    if len(argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    make = TARGETS.get(argv[1])
    if not make:
        return 0
    os.makedirs(argv[2], exist_ok=True)
    generator = model.Generator(SEED)
    for i in range(SESSIONS):
        for seed in make(generator.vector(f"seed-{i}")):
            with open(os.path.join(argv[2], hashlib.sha1(seed).hexdigest()), "wb") as file:
                file.write(seed)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
