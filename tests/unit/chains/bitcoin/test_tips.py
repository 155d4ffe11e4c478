"""What a publisher's messages mean, and what a gap in its count does to the belief in it."""

from __future__ import annotations

import pytest

from chains.bitcoin.nodes.tips import TipWatch, read_tip
from chains.rpc.listening import HintsLost
from tests.unit.chains.bitcoin.making import REGTEST, make_block, twice

TIP = bytes(range(32))
RAW = make_block(REGTEST)


@pytest.mark.parametrize(
    ("topic", "body", "tip"),
    [
        (b"hashblock", TIP, TIP.hex()),
        (b"rawblock", RAW, twice(RAW[:80])[::-1].hex()),
        (b"sequence", TIP + b"C", TIP.hex()),
        (b"sequence", TIP + b"A" + bytes(8), None),
        (b"sequence", TIP + b"R" + bytes(8), None),
        (b"sequence", TIP + b"D", None),
        (b"sequence", b"", None),
        (b"hashblock", TIP[1:], None),
        (b"rawblock", RAW[:79], None),
        (b"rawtx", TIP, None),
    ],
)
def test_a_tip_is_named_by_its_hash_as_people_read_it(topic: bytes, body: bytes, tip: str | None) -> None:
    assert read_tip(topic, body) == tip


def listen(*messages: tuple[bytes, bytes, int]) -> tuple[list[str], TipWatch]:
    """What a watch does with these, each with its count."""
    done: list[str] = []
    watch = TipWatch(
        "regtest",
        [],
        lambda tip: done.append(tip[:2]),
        lambda: done.append("left"),
        lambda: done.append("lost"),
        lambda: done.append("open"),
    )
    counts: dict[bytes, int] = {}
    for topic, body, count in messages:
        watch._note((topic, body, count.to_bytes(4, "little")), counts)
    return done, watch


def test_case_075_a_gap_in_the_count_ends_the_belief_and_wakes() -> None:
    block = (b"hashblock", TIP)
    assert listen((*block, 7), (*block, 8))[0] == ["00", "00"]
    done, watch = listen((*block, 7), (*block, 9), (*block, 10))
    assert done == ["00", "lost", "open", "left", "00", "00"]
    assert watch.gaps_count == 1


def test_the_count_of_each_topic_is_its_own_and_begins_anew_behind_its_last_number() -> None:
    done, watch = listen(
        (b"hashblock", TIP, 2**32 - 1),
        (b"sequence", TIP + b"C", 4),
        (b"hashblock", TIP, 0),
        (b"sequence", TIP + b"D", 5),
    )
    assert done == ["00", "00", "00", "left"]
    assert watch.gaps_count == 0


@pytest.mark.parametrize(
    "frames",
    [
        (),
        (b"hashblock",),
        (b"hashblock", TIP, b"\0\0"),
        (b"hello", TIP, bytes(4)),
        (b"hashblock", TIP, bytes(4), b""),
    ],
)
def test_what_is_no_message_of_a_node_ends_the_connection(frames: tuple[bytes, ...]) -> None:
    watch = TipWatch("regtest", [], lambda _: None)
    with pytest.raises(HintsLost):
        watch._note(frames, {})


def test_case_065_what_a_node_put_away_is_told_apart_from_what_came_in_and_from_bent_messages() -> None:
    came: list[bytes] = []
    left: list[bytes] = []
    watch = TipWatch("regtest", [], lambda _: None, on_entered=came.append, on_put_away=left.append)
    bodies = (
        TIP + b"R" + bytes(8),
        TIP + b"A" + bytes(8),
        TIP + b"R",
        TIP + b"R" + bytes(9),
        b"R" * 40,
        b"R" * 41,
        b"R",
    )
    for count, body in enumerate(bodies):
        watch._note((b"sequence", body, count.to_bytes(4, "little")), {})
    assert (came, left) == ([TIP], [TIP, b"R" * 32])


async def test_without_a_publisher_nobody_listens() -> None:
    await TipWatch("regtest", [], lambda _: None).run()
