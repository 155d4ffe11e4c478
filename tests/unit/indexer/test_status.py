"""What a follower says of the blocks it applied: each doubt once, with its height and how often."""

from __future__ import annotations

from chains.model import Block, BlockHash, BlockRef, Doubt, Header, ListedTransfers, VerificationLevel
from indexer.follow.status import DOUBTS_MAX, Vitals


def block(height: int, *doubts: Doubt) -> Block:
    """An empty block with these doubts."""
    header = Header(
        height, BlockHash(bytes([height]) * 32), BlockRef(height - 1, BlockHash(bytes(32))), height
    )
    return Block(header, 0, 0, 0, VerificationLevel.FULL, "node", ListedTransfers(), doubts=doubts)


def test_a_doubt_is_new_once_and_counted_ever_after() -> None:
    vitals, odd = Vitals(list), Doubt("transfers", "0x70…: 4 topics and 0 bytes")
    assert vitals.note_blocks([block(1), block(2, odd), block(3, odd)]) == [odd]
    assert vitals.note_blocks([block(4, odd)]) == []
    assert vitals.detail(None)["doubts"] == [
        {"check": odd.check, "reason": odd.reason, "since_height": 2, "blocks_count": 3}
    ]


def test_invented_doubts_can_not_fill_the_memory() -> None:
    vitals = Vitals(list)
    for number in range(DOUBTS_MAX + 9):
        vitals.note_blocks([block(1, Doubt("receipts-root", f"field-unknown:{number}"))])
    assert len(vitals.doubts) == DOUBTS_MAX
