"""Every parser we wrote takes time in proportion to what it is given, whatever a stranger makes up.

A new parser is one line in `PARSERS`; a new way to be nasty is one line in `NASTY`. What counts is this thread's own time,
so that a busy machine changes nothing: a length that takes noticeable time is held against a quarter of it.
"""

from __future__ import annotations

import ast
import ipaddress
import json
import re
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chains.base58 import parse_checked
from chains.bitcoin import addresses as bitcoin_addresses
from chains.bitcoin.coins import COINS
from chains.bitcoin.rows import blocks
from chains.errors import ChainError
from chains.evm.nodes import heads
from chains.evm.rows import structs as rows
from chains.evm.verify import bloom, rlp
from chains.families import parse_asset_id, rules_of
from chains.model import ChainId
from chains.rpc import jsonrpc, refusals, transport
from chains.traits import Family
from chains.tron.rows.answers import classify as classify_tron
from chains.tron.rows.answers import read_answer as read_tron_answer
from chains.tron.rows.blocks import BLOCK, RawTransaction, read_transaction
from chains.tron.rows.wire import read_fields
from chains.tron.value.contracts import read_asked
from gateway import apikeys, pull
from gateway.config import shapes as config
from gateway.http.edge import auth, clients, cursors, decoding, idempotency
from gateway.http.edge.problem import Problem
from gateway.http.resources import events
from gateway.http.shapes.addresses import AddressQuery, NewAddress, NewAddresses
from gateway.http.shapes.relay import NewEndpoint
from gateway.process import observe
from indexer.rows.spelling import decode_parts
from migrations import ids, queries
from relay import strict, verify, verify_log
from relay.keys import signing
from relay.kit import verify_deposit
from relay.log import eventlog as log
from relay.out import addresses, egress, excerpts, requests, targets, tunnel
from relay.out.answer import AnswerReader
from relay.proof import witnessing
from tests.tidy import tree

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LENGTH_MIN, LENGTH_MAX = 512, 512 * 1024
NOTICEABLE_S = 0.008
RATIO_MAX = 8.0
"""Four times the length: 4 where each byte is looked at once, 16 where each is held against each."""
TRIES = 4
TRUSTED = (ipaddress.ip_network("10.0.0.0/8"),)
BODY_SHAPES = (NewAddress | NewAddresses, NewEndpoint)
KEY = "whpk_" + "A" * 43 + "="
SEALED = {"X-Key": "0123456789abcdef" * 16}

Parser = Callable[[str], object]


def in_bytes(parse: Callable[[bytes], object]) -> Parser:
    """A parser of bytes, given a text's."""
    return lambda text: parse(text.encode())


def decode_body(body: bytes) -> None:
    """All that is done to a body before its handler sees it."""
    for shape in BODY_SHAPES:
        with suppress(Problem):
            decoding.check_depth(body)
            decoding.decode_body(body, decoding.choose_shape(shape, body))


def as_metadata(text: str) -> None:
    """A text inside a body that is taken, as a value and as a name."""
    for metadata in ({"a": text + "\0"}, {text: {"a": ["\0"] * 50}}, {text + "\0": 1}):
        body = msgspec.json.encode({"chain": "a", "address": "b", "metadata": metadata})
        decode_body(body.replace(b"\0", b"\\u0000"))


def as_unknown_member(text: str) -> None:
    """A text as the name of a member that no shape has."""
    decode_body(msgspec.json.encode({"chain": "a", "address": "b", text: 1}))


def verify_note(text: str) -> None:
    """A checkpoint, and its signatures."""
    for note in (
        text,
        f"chainbell/log/mer_{'0' * 26}\n1\n{'A' * 43}=\nepoch 1 after 0\ntime {text}Z\n\n— a b\n",
    ):
        with suppress(verify_log.ProofInvalid):
            verify_log.verify_checkpoint(note, merchant_id="mer_" + "0" * 26, public_key=KEY)


def read_answer(data: bytes) -> None:
    """What a receiver answers: all at once, a few bytes at a time, and behind a status or as a body in chunks."""
    for opening in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"):
        told = opening + data
        for piece in (len(told), 64):
            reader = AnswerReader()
            for at in range(0, len(told), piece):
                reader.feed(told[at : at + piece])
            reader.end()


def place_url(text: str) -> None:
    """A URL's parts, of one that an endpoint may have."""
    url = "https://receiver.example/" + text
    if addresses.judge_url(url, allow_private_networks=False) is None:
        requests.parse_place(url)


def verify_webhook(text: str) -> None:
    """Each header of a webhook in turn."""
    usual = {"webhook-id": "evt_1", "webhook-timestamp": "1767225600", "webhook-signature": "v1a,AAAA"}
    for name in usual:
        with suppress(verify.WebhookInvalid):
            verify.verify(b"{}", {**usual, name: text}, secrets=["whsec_" + "A" * 44], now_s=1_767_225_600)


@cache
def read_proof() -> Any:
    """A proof that holds, and its block's hash."""
    return json.loads((tree.ROOT / "relay/kit/deposit_vectors.json").read_text())["proofs"][0]


def verify_proof(text: str) -> None:
    """A proof's bytes: its header, and its nodes, as what they are said to be and as they come."""
    good = read_proof()
    for member, value in (("header", text), ("transaction", [text]), ("receipt", [text] * 2)):
        with suppress(verify_deposit.ProofInvalid):
            verify_deposit.verify_deposit({**good["proof"], member: value}, good["block_hash"])


REFUSALS = (
    ValueError,
    Problem,
    ChainError,
    msgspec.MsgspecError,
    queries.QueryFileMalformed,
    verify.WebhookInvalid,
    verify_deposit.ProofInvalid,
)
CALLS = (jsonrpc.Call("eth_chainId"),)
AUXILIARY = b"\0\1" + bytes(78)
"""A header that says that another chain's work follows."""

PARSERS: dict[str, Parser] = {
    "address": partial(rules_of(Family.EVM).parse_address, ChainId("eip155:1")),
    "address: as webhooks' hosts": addresses.judge_address,
    "answer of a receiver": in_bytes(read_answer),
    "api key": apikeys.decode_api_key,
    "authorization": auth.read_token,
    "bitcoin: address": partial(bitcoin_addresses.parse_address, COINS["bitcoin"]),
    "bitcoin: block": in_bytes(lambda data: blocks.decode_block(data, COINS["litecoin"])),
    "bitcoin: block behind a header": in_bytes(
        lambda data: blocks.decode_block(bytes(80) + data, COINS["bitcoin"])
    ),
    "bitcoin: header": in_bytes(lambda data: blocks.decode_header(AUXILIARY + data, COINS["dogecoin"])),
    "bitcoin: transaction": in_bytes(lambda data: blocks.decode_transaction(data, COINS["bitcoin"])),
    "block hash": rules_of(Family.EVM).parse_block_hash,
    "bloom": bloom.parse_bloom,
    "body": in_bytes(decode_body),
    "body: metadata": as_metadata,
    "body: unknown member": as_unknown_member,
    "challenge": in_bytes(verify.challenge_of),
    "checkpoint": verify_note,
    "configuration: encryption key": config.decode_encryption_key,
    "conflict keys": in_bytes(decode_parts),
    "cursor": partial(cursors.decode_cursor, "deposits"),
    "cursor: numbered": partial(cursors.decode_numbered, "audit"),
    "event": in_bytes(verify.read_event),
    "event types": events.read_types,
    "excerpt: hidden secrets": in_bytes(lambda data: excerpts.hide_secrets(data, SEALED)),
    "excerpt: shown": in_bytes(excerpts.show_excerpt),
    "forwarded": lambda text: clients.find_client("10.0.0.1", [], [text], TRUSTED),
    "forwarded for": lambda text: clients.find_client("10.0.0.1", [text], [], TRUSTED),
    "hop of a proxy": clients.parse_hop,
    "header of a new block": heads.read_head,
    "headers of an endpoint": lambda text: targets.find_header_flaws({text: text, "X-A": text}),
    "id": lambda text: ids.decode_id("dep", text),
    "idempotency key": idempotency.read_key,
    "log line": observe.redact_value,
    "node: answer": in_bytes(lambda data: jsonrpc.decode_batch(data, CALLS)),
    "node: block": in_bytes(lambda data: rows.decode_block(msgspec.Raw(data))),
    "node: address": rows.parse_address_row,
    "node: header": in_bytes(lambda data: rows.decode_header(msgspec.Raw(data))),
    "node: word": rows.parse_word,
    "node: quantity": rows.parse_quantity,
    "node: receipts": in_bytes(lambda data: rows.decode_receipts(msgspec.Raw(data))),
    "node: refusal": lambda text: refusals.classify_error("eth_call", -32_000, text),
    "node: retry after": lambda text: transport.parse_retry_after(text, text),
    "notice of the log": log.decode_notice,
    "notice of the log: its hashes": log.decode_proofs,
    "page of the log": in_bytes(lambda data: pull.decode_page(data, after_sequence=0)),
    "proof of a deposit": verify_deposit.parse_proof,
    "proof of a deposit: nodes": verify_proof,
    "proxy url": tunnel.parse_proxy_url,
    "public keys": in_bytes(lambda data: verify.public_keys_at(data, 0)),
    "queries": lambda text: queries.parse_queries(text, source="test"),
    "query": lambda text: decoding.decode_query([("chain", text), ("after", text)], AddressQuery),
    "query: unknown name": lambda text: decoding.decode_query([(text, "1")], AddressQuery),
    "retry after": lambda text: egress.parse_retry_after(text, NOW),
    "rlp": rlp.encode_data,
    "kits: JSON": in_bytes(strict.parse_json),
    "kits: key": lambda text: strict.decode_key("whpk_" + text, "whpk_"),
    "kits: base64": strict.decode_base64,
    "listening address": config.parse_bind,
    "secret": signing.decode_secret,
    "signing key": signing.decode_signing_key,
    "transaction hash": rules_of(Family.EVM).parse_tx_hash,
    "base58": parse_checked,
    "tron: address": partial(rules_of(Family.TRON).parse_address, ChainId("tron:0x2b6653dc")),
    "tron: answer": in_bytes(lambda data: read_tron_answer("/wallet/getblock", data, BLOCK)),
    "tron: asset": parse_asset_id,
    "tron: asset of its own": lambda text: parse_asset_id(f"tron:0x2b6653dc/trc20:{text}"),
    "tron: contract": rules_of(Family.TRON).parse_contract,
    "tron: fields": in_bytes(read_fields),
    "tron: memo": rules_of(Family.TRON).parse_memo or str,
    "tron: result": in_bytes(
        lambda data: read_transaction(RawTransaction(sha256().hexdigest(), "", [], [msgspec.Raw(data)]))
    ),
    "tron: transaction": in_bytes(read_asked),
    "tron: words of a gateway": lambda text: classify_tron("/wallet/getblock", text, ChainError),
    "url": lambda text: addresses.judge_url("https://" + text, allow_private_networks=False),
    "url: its parts": place_url,
    "webhook": verify_webhook,
    "witness: its key": lambda text: witnessing.parse_verifier_key(text, b"\x04"),
    "witness: a submission": in_bytes(witnessing.parse_submission),
}


BY_ANOTHER = {
    "parse_page": "our own files, read by tomllib",
    "decode_after": "the same as decode_cursor",
    "decode_trace": "frames are msgspec's, and their words rows.parse_*",
    "decode_frame": "as decode_trace, for one transaction",
}
"""Parsers without a line of their own, and why."""


def repeat(unit: str, *, first: str = "", last: str = "") -> Callable[[int], str]:
    """A text of about a length."""
    return lambda length: first + unit * (length // len(unit)) + last


NASTY: dict[str, Callable[[int], str]] = {
    "letters": repeat("a"),
    "digits": repeat("9"),
    "negative digits": repeat("9", first="-"),
    "hex": repeat("f", first="0x"),
    "zeros": repeat("0", first="0x"),
    "spaces": repeat(" "),
    "spaces, then a word": repeat(" ", last="x"),
    "words": repeat("ab "),
    "lines": repeat("\n"),
    "dots": repeat("a."),
    "colons": repeat(":"),
    "commas": repeat(","),
    "semicolons": repeat("for=a;"),
    "ats": repeat("@"),
    "percents": repeat("%"),
    "brackets": repeat("["),
    "pairs of brackets": repeat("[]"),
    "objects": repeat("{},", first="[", last="{}]"),
    "nested members": repeat('{"a":'),
    "deep, then escapes": repeat('\\"', first="{" * 33 + '"'),
    "deep, then quotes": repeat('"', first="{" * 33),
    "quotes": repeat('"'),
    "escaped backslashes": repeat("\\\\", first='{"a":"'),
    "a string without its end": repeat("a", first='"'),
    "escapes": repeat("\\u0000", first='["', last='"]'),
    "numbers": repeat("1,", first="[", last="1]"),
    "a long number": repeat("9", first='{"sequence":', last="}"),
    "a long fraction": repeat("9", first='{"from_height":0.', last="e1}"),
    "dashes": repeat(" - at `"),
    "back quotes": repeat("`"),
    "unknown fields": repeat("unknown field `"),
    "base64": repeat("A", last="="),
    "a secret": repeat("A", first="whsec_"),
    "signatures": repeat("v1,AAAA "),
    "signatures without a comma": repeat("v1"),
    "note lines": repeat("— a AAAA\n", first="\n\n"),
    "half a secret": repeat("0123456789abcde"),
    "names of events": repeat("deposit.seen,"),
    "words of nodes": repeat("batch method block history state "),
    "dates": repeat("Wed, 21 Oct 2015 07:28:00 GMT"),
    "characters beyond ASCII": repeat("é☃"),
    "surrogate escapes": repeat("\\ud800", first='"', last='"'),
    "queries": repeat("-- name: a :one\nselect 1;\n"),
}


def seconds(parse: Parser, text: str) -> float:
    """What one reading of it costs this thread."""
    started_s = time.thread_time()
    with suppress(*REFUSALS):
        parse(text)
    return time.thread_time() - started_s


def find_growth(parse: Parser, make: Callable[[int], str]) -> float:
    """How much longer four times the length takes, where it is noticeable at all; the best of a few tries."""
    length = LENGTH_MIN
    while (taken_s := seconds(parse, make(length))) < NOTICEABLE_S:
        length *= 4
        if length > LENGTH_MAX:
            return 1.0
    long, short = make(length), make(length // 4)
    ratio = float("inf")
    for _ in range(TRIES):
        ratio = min(ratio, taken_s / max(seconds(parse, short), 1e-6))
        if ratio <= RATIO_MAX:
            break
        taken_s = seconds(parse, long)
    return ratio


@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_takes_time_in_proportion(name: str) -> None:
    growth = {nasty: find_growth(PARSERS[name], make) for nasty, make in NASTY.items()}
    assert {nasty: ratio for nasty, ratio in growth.items() if ratio > RATIO_MAX} == {}


def reads_text(node: ast.FunctionDef) -> bool:
    """Whether a function is called as parsers are, and is given a text."""
    first = next((one for one in node.args.args if one.arg != "self"), None)
    if first is None or first.annotation is None or not node.name.startswith(("parse_", "decode_")):
        return False
    return bool(
        {"str", "bytes", "Raw"} & set(re.findall(r"\w+", ast.unparse(first.annotation).split("[")[0]))
    )


def test_every_parser_of_a_text_is_in_the_table() -> None:
    told = Path(__file__).read_text()
    missing = [
        f"{path}: give {node.name} a line in PARSERS"
        for path in tree.python_files(*tree.ROOMS)
        for node in ast.walk(tree.syntax(path))
        if isinstance(node, ast.FunctionDef) and reads_text(node) and node.name not in told
    ]
    assert missing == []


def test_what_looks_at_each_byte_for_each_byte_is_found() -> None:
    def compare_all(text: str) -> int:
        return sum(text[:at].count("a") for at in range(len(text)))

    assert find_growth(compare_all, NASTY["letters"]) > RATIO_MAX
