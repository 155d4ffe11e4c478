"""Hostile JSON is an error in every process, whatever its libraries do to the interpreter."""

from __future__ import annotations

import subprocess
import sys

ASKS_EVERY_DECODER = """
import json, sys
import msgspec
import gateway.compose, chains.evm.nodes.tokens
from gateway.http.edge.decoding import decode_body
from gateway.http.edge.problem import Problem
from gateway.http.shapes.merchants import NewMerchant
from chains.rpc.jsonrpc import decode_nested

print(sys.getrecursionlimit())
for depth in (2_000, 90_000, 500_000):
    body = b'{"name":' + b"[" * depth
    for decode in (
        lambda: decode_body(body, NewMerchant),
        lambda: msgspec.json.decode(body),
        lambda: decode_nested(msgspec.json.Decoder(), body),
        lambda: json.loads(body),
    ):
        try:
            decode()
        except (Problem, RecursionError, ValueError):
            continue
        sys.exit("it was taken for JSON")
"""


def test_a_program_that_knows_web3_survives_json_without_end() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", ASKS_EVERY_DECODER], capture_output=True, text=True, timeout=100, check=False
    )
    assert (ended.returncode, ended.stdout.strip()) == (0, "1000"), ended.stderr
