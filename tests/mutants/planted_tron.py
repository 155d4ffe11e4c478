"""Bugs that believe of a Tron block what nothing covers, count what moved nothing, or take words for a block.

Data only, as `planted.py`.
"""

from __future__ import annotations

from tests.mutants.edits import Edit, Planted

BLOCK, ROWS, MESSAGES, WIRE = (
    "chains/tron/verify/block.py",
    "chains/tron/rows/blocks.py",
    "chains/tron/rows/messages.py",
    "chains/tron/rows/wire.py",
)
TRANSFERS, CONTRACTS, ANSWERS = (
    "chains/tron/value/transfers.py",
    "chains/tron/value/contracts.py",
    "chains/tron/rows/answers.py",
)
FETCH, NODE, SCHEDULE, ADDRESS, BASE58 = (
    "chains/tron/nodes/blocks.py",
    "chains/tron/nodes/node.py",
    "chains/tron/nodes/schedule.py",
    "chains/tron/address.py",
    "chains/base58.py",
)
ASKED = ("tests/unit/chains/tron",)


def _planted(name: str, file: str, old: str, new: str) -> Planted:
    return Planted(name, 5, (Edit(file, old, new),), asks=ASKED)


PLANTED_TRON = (
    _planted("a block's id is what it says", ROWS, "    if block_id != told:\n", "    if False:\n"),
    _planted(
        "a transaction's id is what it says", ROWS, "    if sha256(raw).digest() != tx_id:\n", "    if False:\n"
    ),
    _planted("a root need not come out", BLOCK, "    if written is None:\n        return None\n", "    if True:\n        return written\n"),
    _planted("fields beside everything known are no part of a transaction", BLOCK, "    if len(strange) == len(bodies):\n", "    if False:\n"),
    _planted("a node alone in its level is hashed with itself", BLOCK, "level[len(pairs) * 2 :]\n    return level[0]", "[sha256(one + one).digest() for one in level[len(pairs) * 2 :]]\n    return level[0]"),
    _planted("anybody may sign", BLOCK, "    if is_signed and witness in schedule.witnesses:\n", "    if witness in schedule.witnesses:\n"),
    _planted("any key may sign for the witness that is its own", BLOCK, "    if is_signed and witness in schedule.witnesses:\n", "    if is_signed:\n"),
    _planted("today's schedule holds for ever", BLOCK, "        return self.from_ms <= time_ms < self.until_ms\n", "        return True\n"),
    _planted("every schedule that was told is lost to the next block", SCHEDULE, "            await _learn_key(node, schedule, header, priority)\n", ""),
    _planted("unknown fields of a result are left out", MESSAGES, "for number in sorted(known)) + encode_unknown(said)", "for number in sorted(known))"),
    _planted("a run counts by its receipt alone", TRANSFERS, '    if transaction.outcome not in {"", told}:\n', "    if False:\n"),
    _planted("a run that failed counts", TRANSFERS, "    return told == SUCCESS and", "    return"),
    _planted("rejected calls moved TRX", TRANSFERS, "move.rejected or move.note", "move.note"),
    _planted("votes moved TRX", TRANSFERS, "move.note.lower() not in MOVING_NOTES or", ""),
    _planted("nothing is something", TRANSFERS, "    if amount_base_units:\n        decoded.transfers.add(place, step, TransferKind.TOKEN", "    if True:\n        decoded.transfers.add(place, step, TransferKind.TOKEN"),
    _planted("every event of a listed token is a transfer", TRANSFERS, "if log.topics and log.topics[0].lower() == TRANSFER_TOPIC:", "if log.topics:"),
    _planted("two contracts in one transaction are one", CONTRACTS, "        if len(contracts) != 1:\n", "        if not contracts:\n"),
    _planted("twenty bytes are an address", ADDRESS, "    return len(found) == ADDRESS_BYTES and found[0] == PREFIX\n", "    return len(found) >= 20\n"),
    _planted("an address's checksum is not looked at", BASE58, "    if _compute_check(data[:21]) != data[21:]:\n", "    if False:\n"),
    _planted("nothing is an empty block", FETCH, '        if told is None:\n            raise Missing(f"does not hold block {wanted}")\n        header,', "        assert told is not None\n        header,"),
    _planted("what a node leaves out is not in the block", "chains/tron/nodes/proof.py", "    bodies = encode_bodies(header, told.block, transactions, told.content)\n", "    bodies = [one.raw for one in transactions]\n"),
    _planted("a root nobody can recompute says what a block lacks", "chains/tron/verify/proof.py", "        return UNWRITABLE\n", "        bodies = []\n"),
    _planted("receipts are whatever block's", FETCH, "        if again is None or again.hash != header.header.hash:\n", "        if False:\n"),
    _planted("receipts may be fewer", FETCH, "not len(ordered) == len(transactions) == len(infos)", "len(ordered) != len(infos)"),
    _planted("what nothing covers holds nothing", FETCH, "        if rows.doubts or decoded.is_executed:\n", "        if rows.doubts:\n"),
    _planted("errors with status 200 are answers", ANSWERS, "            if len(content) <= SPOKEN_BYTES_MAX:\n", "            if False:\n"),
    _planted("a genesis block of any network will do", NODE, "        if height == 0 and not shown.hash.endswith(self._suffix):\n", "        if False:\n"),
    _planted("a number has no end", WIRE, "range(at, min(at + VARINT_BYTES_MAX, len(data)))", "range(at, len(data))"),
    _planted("a length may promise more than there is", WIRE, "            if length > end - at:\n", "            if False:\n"),
)  # fmt: skip
"""What a forged block, a lying receipt or a confused gateway would need."""
