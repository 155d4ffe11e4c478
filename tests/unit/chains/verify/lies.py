"""
The table of lies: ways to bend an answer about a block so that more could be credited.

Each takes fresh rows and says whether the block had anything to bend; what an answer comes to is `fate_of`. What a
liar shows or leaves out beside a lie is `excuses`, whom lies are told about `samples`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from enum import StrEnum

import msgspec

from chains.errors import Inconsistent
from chains.evm.nodes.reading import Reading, compute_reading
from chains.evm.rows.consistency import check_block
from chains.evm.rows.structs import decode_block, decode_receipts
from chains.evm.value.decode import decode_transfers
from chains.evm.verify import PROFILES, BlockVerifier
from chains.model import Hold, Transfer, VerificationLevel
from tests.unit.chains.verify.made import TRANSFER, Part, append, number_logs, place, signed, word
from tests.unit.chains.verify.networks import Sample
from tests.unit.chains.verify.recorded import Rows, hex_data, keccak

VICTIM = "0x" + "5e" * 20
FORTUNE = hex(10**21)
FORTUNE_WORD = f"0x{10**21:064x}"

Lie = Callable[[Rows, list[Rows]], bool]
"""Bends an answer; False where this block has nothing to bend."""

Honest = AbstractSet[tuple[object, ...]]
"""What the honest answer tells, in full."""

Told = tuple[Hold, VerificationLevel, list[Transfer]]


class Fate(StrEnum):
    """What became of an answer that was bent."""

    REFUSED = "refused"
    HELD = "held"
    ASKED = "asked"
    """Known gaps, and chains that are not hashed: with two operators nothing is credited before the second shows it."""

    SAME = "same"
    WRONG = "wrong"


def reading_of(sample: Sample) -> Reading:
    """How the network's answers are read, by a verifier that has seen nothing yet."""
    return compute_reading(sample.traits, BlockVerifier(sample.profile))


def read(reading: Reading, block: Rows, receipts: list[Rows]) -> Told:
    """What an answer comes to, from JSON to transfers; raises `Inconsistent` where it is refused."""
    built = decode_block(msgspec.Raw(msgspec.json.encode(block)), reading.rows)
    raw = msgspec.Raw(msgspec.json.encode(receipts))
    built.receipts_raw = (raw,)
    rows = decode_receipts(raw)
    check_block(reading.rules, None, built, rows)
    verdict = reading.verifier(built, rows)
    table = decode_transfers(reading.assets, built, rows, (), reading.types).transfers
    transfers = [table.at(index) for index in range(len(table.recipients))]
    return verdict.hold, verdict.level, transfers


def plain(transfers: list[Transfer]) -> set[tuple[object, ...]]:
    """What could be credited, in full."""
    return {(t.tx_hash, t.kind, t.asset, t.recipient, t.senders, t.n, t.amount_base_units) for t in transfers}


def fate_of(reading: Reading, honest: Honest, block: Rows, receipts: list[Rows]) -> Fate:
    """What becomes of this answer where the honest one would tell these transfers."""
    try:
        hold, level, told = read(reading, block, receipts)
    except Inconsistent:
        return Fate.REFUSED
    if hold is Hold.CHAIN:
        return Fate.HELD
    if plain(told) == honest:
        return Fate.SAME
    return Fate.ASKED if level is not VerificationLevel.FULL else Fate.WRONG


def transfers_in(receipts: list[Rows]) -> Iterator[Rows]:
    for one in (log for receipt in receipts for log in receipt["logs"]):
        if len(one["topics"]) == 3 and len(one["data"]) == 66 and one["topics"][0] == TRANSFER:
            yield one


def of_log(**fields: object) -> Lie:
    """The first transfer that was logged, with other fields."""

    def lie(_block: Rows, receipts: list[Rows]) -> bool:
        one = next(transfers_in(receipts), None)
        if one is not None:
            one.update(fields)
        return one is not None

    return lie


def skip_index(_block: Rows, receipts: list[Rows]) -> bool:
    logs = [one for receipt in receipts for one in receipt["logs"]]
    if logs:
        logs[-1]["logIndex"] = hex(len(logs))
    return bool(logs)


def redirect_log(_block: Rows, receipts: list[Rows]) -> bool:
    for one in transfers_in(receipts):
        one["topics"][2] = word(VICTIM)
        return True
    return False


def pose_as_listed(_block: Rows, receipts: list[Rows]) -> bool:
    """A foreign contract's log under a listed one's address."""
    listed = next(transfers_in(receipts), None)
    foreign = [
        one
        for receipt in receipts
        for one in receipt["logs"]
        if listed and one["address"] != listed["address"]
    ]
    for one in foreign:
        assert listed is not None
        one |= {"address": listed["address"], "topics": listed["topics"], "data": FORTUNE_WORD}
        return True
    return False


def drop_log(_block: Rows, receipts: list[Rows]) -> bool:
    for receipt in receipts:
        if receipt["logs"]:
            receipt["logs"].pop(0)
            number_logs(receipts)
            return True
    return False


def invent_log(at: int) -> Lie:
    def lie(block: Rows, receipts: list[Rows]) -> bool:
        one = next(transfers_in(receipts), None)
        if one is None:
            return False
        receipts[at]["logs"].append({**copy.deepcopy(one), "data": FORTUNE_WORD})
        number_logs(receipts)
        place(block, receipts)
        return True

    return lie


def swap_receipts(block: Rows, receipts: list[Rows]) -> bool:
    """The logs of one transaction under another's name."""
    if len(receipts) < 2 or receipts[0]["logs"] == receipts[1]["logs"]:
        return False
    for name in ("logs", "status", "logsBloom"):
        receipts[0][name], receipts[1][name] = receipts[1].get(name), receipts[0].get(name)
    number_logs(receipts)
    place(block, receipts)
    return True


def lend_receipts(block: Rows, receipts: list[Rows]) -> bool:
    """Receipts of another block of the chain, under this block's names."""
    if not any(receipt["logs"] for receipt in receipts):
        return False
    for one in transfers_in(receipts):
        one["data"] = FORTUNE_WORD
    for receipt in receipts:
        receipt["logsBloom"] = "0x" + "ff" * 256
        receipt["cumulativeGasUsed"] = hex(int(receipt["cumulativeGasUsed"], 16) + 1)
    return True


def name_another_block(_block: Rows, receipts: list[Rows]) -> bool:
    for receipt in receipts:
        receipt["blockHash"] = "0x" + "01" * 32
    return bool(receipts)


def is_signed(transaction: Rows) -> bool:
    return int(transaction.get("r") or "0x0", 16) > 0


def positions(
    block: Rows, receipts: list[Rows], *, is_own: bool = False, status: str = "0x1"
) -> Iterator[tuple[int, Rows]]:
    """Transactions that ran so: signed ones, or the protocol's own."""
    for at, one in enumerate(block["transactions"]):
        if is_signed(one) is not is_own and receipts[at].get("status", "0x1") == status:
            yield at, one


def of_signed(which: int, **fields: object) -> Lie:
    """One of the signed payments, with other fields."""

    def lie(block: Rows, receipts: list[Rows]) -> bool:
        paid = [
            one for _, one in positions(block, receipts) if one["to"] is not None and int(one["value"], 16)
        ]
        if which < len(paid):
            paid[which] |= fields
        return which < len(paid)

    return lie


def of_system(spelling: str, which: int, **fields: object) -> Lie:
    """A transaction of the protocol's own in another spelling of its type, with fields of ours."""

    def lie(block: Rows, receipts: list[Rows]) -> bool:
        found = list(positions(block, receipts, is_own=True))
        if which >= len(found):
            return False
        at, one = found[which]
        one |= {"type": spelling.format(kind=int(one["type"], 16)), **fields}
        receipts[at]["type"] = one["type"]
        return True

    return lie


def retype(kind: str, *, receipt_too: bool = False) -> Lie:
    """A signed payment under a type that has other rules, with an amount of ours."""

    def lie(block: Rows, receipts: list[Rows]) -> bool:
        at, one = len(block["transactions"]) - 1, block["transactions"][-1]
        one |= {"type": kind, "to": VICTIM, "value": FORTUNE, "mint": FORTUNE}
        if receipt_too:
            receipts[at]["type"] = kind
        return True

    return lie


def replace_payment(block: Rows, receipts: list[Rows]) -> bool:
    """A payment of our own making, true to its own hash, where another of its type stood."""
    found = [at for at, one in positions(block, receipts) if one.get("type") == "0x2" and one["to"]]
    if not found:
        return False
    donor = block["transactions"][found[0]]
    donor |= forge_payment(donor)
    receipts[found[0]]["transactionHash"] = donor["hash"]
    place(block, receipts)
    return True


def hide_behind(kind: str) -> Lie:
    """The same beside a payment whose type leaves the root open."""

    def lie(block: Rows, receipts: list[Rows]) -> bool:
        found = [one for _, one in positions(block, receipts) if one.get("type") == "0x2" and one["to"]]
        if len(found) < 2:
            return False
        found[1]["type"] = kind
        return replace_payment(block, receipts)

    return lie


def forge_payment(donor: Rows) -> Rows:
    """A 0x2 that pays the victim a fortune, signed by a stranger, with its own right hash."""
    row = signed(PROFILES["full"], int(donor["chainId"], 16), "0x2", to=VICTIM, value=FORTUNE)
    return {name: row[name] for name in row if name not in {"blockHash", "blockNumber", "transactionIndex"}}


def add_payment(block: Rows, receipts: list[Rows]) -> bool:
    """One more transaction than the roots cover."""
    donor = next((one for one in block["transactions"] if one.get("type") == "0x2"), None)
    if donor is None:
        return False
    append(block, receipts, Part(forge_payment(donor), b""))
    return True


def repeat_payment(block: Rows, receipts: list[Rows]) -> bool:
    """One transaction in two places, its second name in another case."""
    for at, one in positions(block, receipts):
        name = "0x" + one["hash"][2:].upper()
        block["transactions"].append({**one, "hash": name})
        receipts.append({**copy.deepcopy(receipts[at]), "transactionHash": name})
        number_logs(receipts)
        place(block, receipts)
        return True
    return False


def swap_payments(block: Rows, receipts: list[Rows]) -> bool:
    """Two transactions in each other's place: the failed one under the other's success."""
    failed = next(positions(block, receipts, status="0x0"), None)
    paid = next(positions(block, receipts), None)
    if failed is None or paid is None or not int(failed[1]["value"], 16):
        return False
    rows = block["transactions"]
    rows[failed[0]], rows[paid[0]] = rows[paid[0]], rows[failed[0]]
    for at, _ in (failed, paid):
        receipts[at]["transactionHash"] = rows[at]["hash"]
    place(block, receipts)
    return True


def add_state_sync(value: str) -> Lie:
    """A bridge transaction made up at any height, its name as Bor derives it, with a log and this value."""

    def lie(block: Rows, receipts: list[Rows]) -> bool:
        log = next(transfers_in(receipts), None)
        if log is None or not block["transactions"]:
            return False
        height = int(block["number"], 16).to_bytes(8, "big")
        name = hex_data(keccak(b"matic-bor-receipt-" + height + bytes.fromhex(block["hash"][2:])))
        row = {**block["transactions"][0], "type": "0x0", "hash": name, "to": VICTIM, "value": value}
        row |= {"from": "0x" + "00" * 20, "nonce": "0x0", "input": "0x", "v": "0x0", "r": "0x0", "s": "0x0"}
        append(block, receipts, Part(row, b"", ({**copy.deepcopy(log), "data": FORTUNE_WORD},)))
        return True

    return lie


def status_up(block: Rows, receipts: list[Rows]) -> bool:
    """A failure as a success, spelled in another way."""
    for receipt in receipts:
        if receipt.get("status") == "0x0":
            receipt["status"] = "0x01"
            return True
    return False


def of_creation(is_own: bool, **fields: object) -> Lie:
    """A creation whose contract is said to lie with the victim, with other fields."""

    def lie(block: Rows, receipts: list[Rows]) -> bool:
        for at, one in positions(block, receipts, is_own=is_own):
            if one["to"] is None:
                receipts[at]["contractAddress"] = VICTIM
                one.update(fields)
                return True
        return False

    return lie


def move_places(where: str) -> Lie:
    """Rows that say another place than where they stand."""

    def lie(block: Rows, receipts: list[Rows]) -> bool:
        rows = {
            "transaction": block["transactions"],
            "receipt": receipts,
            "log": [one for receipt in receipts for one in receipt["logs"]],
        }[where]
        if rows:
            rows[-1]["transactionIndex"] = hex(len(rows) + 77)
        return bool(rows)

    return lie


OWN_FIELDS: dict[str, dict[str, object]] = {
    "its recipient": {"to": VICTIM},
    "its value": {"value": FORTUNE},
    "both": {"to": VICTIM, "value": FORTUNE},
    "a mint": {"mint": FORTUNE, "from": VICTIM},
}
SPELLED = {"": "{kind:#x}", ", its type in upper case": "0x{kind:X}", ", its type in zeros": "0x00{kind:x}"}
OWN_COUNT_MAX, SIGNED_COUNT_MAX = 7, 6
"""Of the protocol's own transactions and of signed payments in one sample."""

LIES: dict[str, Lie] = {
    "an altered amount": of_log(data=FORTUNE_WORD),
    "a log sent elsewhere": redirect_log,
    "a foreign log as a listed token's": pose_as_listed,
    "a log left out": drop_log,
    "a log invented": invent_log(-1),
    "a log invented before the others": invent_log(0),
    "logs under another transaction": swap_receipts,
    "receipts of another block": lend_receipts,
    "receipts that name another block": name_another_block,
    "a removed log": of_log(removed=True),
    "a log that skips an index": skip_index,
    **{f"payment #{which} of a fortune": of_signed(which, value=FORTUNE) for which in range(SIGNED_COUNT_MAX)},
    **{f"payment #{which} to the victim": of_signed(which, to=VICTIM) for which in range(SIGNED_COUNT_MAX)},
    **{f"payment #{which} by another": of_signed(which, **{"from": VICTIM}) for which in range(SIGNED_COUNT_MAX)},
    "a payment too many": add_payment,
    "a payment replaced": replace_payment,
    "a payment twice": repeat_payment,
    "payments in each other's place": swap_payments,
    "a failure shown as success": status_up,
    "a creation elsewhere": of_creation(False, value=FORTUNE),
    "a creation by somebody else": of_creation(False, **{"from": VICTIM}),
    "a creation at another nonce": of_creation(False, nonce="0x1"),
    "the protocol's creation elsewhere": of_creation(True),
    "the protocol's creation of a fortune": of_creation(True, value=FORTUNE),
    "the protocol's creation at another nonce": of_creation(True, nonce="0x1"),
    "a made-up state sync": add_state_sync("0x0"),
    "a made-up state sync with value": add_state_sync(FORTUNE),
    **{f"a transaction in another place ({where})": move_places(where) for where in ("transaction", "receipt", "log")},
    **{f"a payment as type {kind}": retype(kind) for kind in ("0x55", "0x7e", "0x69", "0x6a", "0x64", "0x7f", "0x7b")},
    **{f"both rows as type {kind}": retype(kind, receipt_too=True) for kind in ("0x55", "0x7e", "0x69", "0x7f")},
    **{f"a forged payment behind type {kind}": hide_behind(kind) for kind in ("0x55", "0x7e", "0x6a", "0x7f")},
    **{
        f"{field} of the protocol's own #{which}{spelled}": of_system(text, which, **fields)
        for which in range(OWN_COUNT_MAX)
        for field, fields in OWN_FIELDS.items()
        for spelled, text in SPELLED.items()
    },
}  # fmt: skip
"""Everything a provider may lie about that could come to credit."""
