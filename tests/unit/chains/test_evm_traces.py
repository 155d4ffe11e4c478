"""Which frames of a trace move coins, on recorded and on built traces.

The recorded ones are go-ethereum's own tracer tests, beside the repository.
Traces of a real node are in `tests/live_evm/test_transfers.py`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chains.errors import Inconsistent, Missing, Refused
from chains.evm.value.traces import Frame, collect_moves, decode_trace, has_failed
from chains.rpc.jsonrpc import decode_nested
from tests.unit.chains.rows import PAYER, SHOP, BlockRows
from tests.unit.chains.verify.recorded import REASON, RECORDED, read_own

TRACER_CASES = RECORDED / "evm" / "geth_tracetest"

# Reckoned by hand from the recorded call trees: (from, to, value) of every inner move.
RECORDED_MOVES: dict[str, list[tuple[str, str, int]]] = {
    "call_tracer__selfdestruct": [
        (
            "0x3b873a919aa0512d5a0f09e6dcceaa4a6727fafe",
            "0x000000000000000000000000000000000000dead",
            0x4D87094125A369D9BD5,
        )
    ],
    "call_tracer__inner_throw_outer_revert": [],
    "call_tracer__revert": [],
    "call_tracer__throw": [],
    "call_tracer__inner_create_oog_outer_throw": [],
    "call_tracer__inner_revert_reason": [],
}


def recorded_cases() -> list[Path]:
    return sorted(TRACER_CASES.glob("call_tracer__*.json")) + sorted(
        TRACER_CASES.glob("call_tracer_withLog__*.json")
    )


def own_frames() -> list[Any]:
    """The call trees of our own recorded blocks, each under a name."""
    return [
        pytest.param(entry["result"], id=f"{name}-{position}")
        for name, kept in read_own()["blocks"].items()
        for position, entry in enumerate(kept.get("trace", ()))
    ]


def moves_by_the_slow_way(frame: dict[str, Any], *, depth: int = 0) -> list[tuple[str, str, int]]:
    """The rule written down again, recursively and without regard for speed."""
    if frame.get("error"):
        return []
    found = []
    value = int(frame.get("value") or "0x0", 16)
    if depth > 0 and value > 0 and frame["type"] in ("CALL", "CREATE", "CREATE2", "SELFDESTRUCT"):
        found.append((frame["from"], frame["to"], value))
    for child in frame.get("calls", ()):
        found += moves_by_the_slow_way(child, depth=depth + 1)
    return found


@pytest.mark.parametrize("recorded", own_frames())
def test_case_025_our_own_traces_give_the_moves_that_happened(recorded: dict[str, Any]) -> None:
    frame = msgspec.json.decode(json.dumps(recorded).encode(), type=Frame)
    moves = [
        (f"0x{(move.sender or b'').hex()}", f"0x{move.recipient.hex()}", move.amount_base_units)
        for move in collect_moves(frame, 0)
    ]
    assert moves == moves_by_the_slow_way(recorded)


@pytest.mark.parametrize("path", recorded_cases() or [None], ids=lambda path: path.stem if path else "none")
def test_case_025_recorded_traces_give_the_moves_that_happened(path: Path | None) -> None:
    if path is None:
        pytest.skip(REASON)
    recorded = json.loads(path.read_text())["result"]
    frame = msgspec.json.decode(json.dumps(recorded).encode(), type=Frame)
    moves = [
        (f"0x{(move.sender or b'').hex()}", f"0x{move.recipient.hex()}", move.amount_base_units)
        for move in collect_moves(frame, 0)
    ]
    assert moves == moves_by_the_slow_way(recorded)
    if path.stem in RECORDED_MOVES:
        assert moves == RECORDED_MOVES[path.stem]


def call(*calls: dict[str, Any], value: int = 5, kind: str = "CALL", **others: Any) -> dict[str, Any]:
    return {"type": kind, "from": PAYER, "to": SHOP, "value": hex(value), "calls": list(calls)} | others


def moves(outermost: dict[str, Any]) -> list[int]:
    frame = msgspec.json.decode(msgspec.json.encode(outermost), type=Frame)
    return [move.amount_base_units for move in collect_moves(frame, 0)]


def test_the_outermost_frame_is_the_transactions_own_and_not_counted_again() -> None:
    assert moves(call(value=9)) == []


def test_case_025_a_frame_counts_only_if_every_frame_above_it_succeeded() -> None:
    inner = call(call(value=3), value=2)
    assert moves(call(inner)) == [2, 3]
    assert moves(call(inner | {"error": "execution reverted"})) == []
    assert moves(call(inner | {"revertReason": "no"})) == []
    assert moves(call(inner) | {"error": "out of gas"}) == []
    assert moves(call(call(call(value=3, error="reverted"), value=2))) == [2]


@pytest.mark.parametrize("kind", ["DELEGATECALL", "CALLCODE", "STATICCALL", "callcode", "StaticCall"])
def test_case_026_frames_that_only_show_a_value_move_none(kind: str) -> None:
    assert moves(call(call(kind=kind))) == []
    assert moves(call(call(call(value=4), kind=kind))) == [4], "what they call may still move some"


@pytest.mark.parametrize(
    "kind", ["CALL", "CREATE", "CREATE2", "SELFDESTRUCT", "call", "Call", "create2", "suicide", "SUICIDE"]
)
def test_case_027_frames_that_move_value(kind: str) -> None:
    assert moves(call(call(kind=kind))) == [5]


def test_case_027_who_destroys_itself_to_itself_moves_nothing() -> None:
    assert moves(call(call(kind="SELFDESTRUCT", to=PAYER))) == []


def test_case_027_who_destroys_itself_to_itself_moves_nothing_in_any_case() -> None:
    assert moves(call(call(kind="selfdestruct", to=PAYER.upper().replace("0X", "0x")))) == []


@pytest.mark.parametrize("kind", ["CREATE3", "AUTHCALL", "INVALID", "EXTCALL", "", "reward", None])
def test_value_in_a_frame_of_an_unknown_kind_is_never_silence(kind: str | None) -> None:
    odd = call() | {"type": kind}
    with pytest.raises(Inconsistent, match="unknown kind"):
        moves(call(odd))
    assert moves(call(odd | {"value": "0x00"}, call(value=3))) == [3]
    assert moves(call(odd | {"error": "reverted"}, call(value=3))) == [3]
    del odd["type"]
    with pytest.raises(Inconsistent, match="unknown kind"):
        moves(call(odd))


def test_what_was_reverted_counts_nothing_at_all() -> None:
    rows = block_of("0x2")
    gone = call(call(kind="SELFDESTRUCT"), call(kind="AUTHCALL"), error="reverted")
    entry = {"txHash": rows.transactions[0]["hash"], "result": call(gone, call(value=3, calls=None))}
    traced = decode_trace(msgspec.Raw(msgspec.json.encode([entry])), rows.block(), rows.rows())
    assert [move.amount_base_units for move in traced.moves] == [3]
    assert traced.destroyed == frozenset()


def test_a_frames_value_may_be_a_number_and_never_a_fraction() -> None:
    rows = block_of("0x2")
    entry = {"txHash": rows.transactions[0]["hash"], "result": call(call() | {"value": 3}) | {"value": 5}}
    assert decode(rows, [entry]) == [3]
    for value in (3.5, 2**53 + 1, -3, True, "3", "0x" + "f" * 65):
        entry["result"] = call(call() | {"value": value})
        with pytest.raises(Inconsistent):
            decode(rows, [entry])


def test_a_successful_move_to_nowhere_is_a_contradiction() -> None:
    with pytest.raises(Inconsistent):
        moves(call(call(to=None)))


def test_frames_without_value_are_nothing() -> None:
    assert moves(call(call(value=0), call() | {"value": None})) == []


def test_a_trace_deeper_than_the_interpreter_recurses_is_read() -> None:
    frame = call(value=1)
    text = json.dumps(frame)
    for _ in range(1023):
        text = json.dumps(call(value=1)).replace('"calls": []', f'"calls": [{text}]')
    deep = decode_nested(msgspec.json.Decoder(Frame), text.encode())
    assert len(collect_moves(deep, 0)) == 1023


def block_of(*types: str | None) -> BlockRows:
    rows = BlockRows()
    for kind in types:
        rows.add(value=5, type=kind)
    return rows


def decode(rows: BlockRows, entries: list[dict[str, Any]]) -> list[int]:
    raw = msgspec.Raw(msgspec.json.encode(entries))
    return [move.amount_base_units for move in decode_trace(raw, rows.block(), rows.rows()).moves]


def test_case_028_every_signed_transaction_needs_its_trace() -> None:
    rows = block_of("0x2", "0x2")
    hashes = [one["hash"] for one in rows.transactions]
    both = [{"txHash": one, "result": call(call(value=1))} for one in hashes]
    assert decode(rows, both) == [1, 1]
    assert decode(rows, both[::-1]) == [1, 1], "named traces may come in any order"
    with pytest.raises(Missing):
        decode(rows, both[:1])
    with pytest.raises(Missing):
        decode(rows, [])
    with pytest.raises(Refused):
        decode(rows, [both[0], {"txHash": hashes[1], "error": "execution timeout"}])


def test_old_nodes_that_do_not_name_transactions_are_paired_by_place() -> None:
    rows = block_of("0x2", None)
    unnamed = [{"result": call(call(value=1))}, {"result": call(call(value=2))}]
    assert decode(rows, unnamed) == [1, 2]
    with pytest.raises(Missing):
        decode(rows, unnamed[:1])


def test_system_transactions_may_go_untraced_and_unchecked() -> None:
    rows = block_of("0x7e", "0x2")
    entry = {"txHash": rows.transactions[1]["hash"], "result": call()}
    assert decode(rows, [entry]) == []
    odd = {"txHash": rows.transactions[0]["hash"], "result": call(value=999)}
    assert decode(rows, [odd, entry]) == []


@pytest.mark.parametrize(
    "bend",
    [{"from": SHOP}, {"to": PAYER}, {"value": "0x6"}, {"error": "reverted"}, {"value": None}],
)
def test_an_outermost_frame_that_contradicts_its_transaction_is_refused(bend: dict[str, Any]) -> None:
    rows = block_of("0x2")
    with pytest.raises(Inconsistent):
        decode(rows, [{"txHash": rows.transactions[0]["hash"], "result": call() | bend}])


def test_a_trace_of_a_failed_transaction_must_have_failed() -> None:
    rows = BlockRows()
    rows.add(value=5, status="0x0")
    entry = {"txHash": rows.transactions[0]["hash"], "result": call(call())}
    with pytest.raises(Inconsistent):
        decode(rows, [entry])
    entry["result"]["error"] = "out of gas"
    assert decode(rows, [entry]) == []
    assert has_failed(msgspec.convert(entry["result"], Frame))
