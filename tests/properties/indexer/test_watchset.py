"""The set in memory is never less than what was added, exact or compact; one set holds one family's addresses."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from indexer.rules.watchset import WatchSet, compute_fingerprints

evm = st.binary(min_size=20, max_size=20)
scripts = st.binary(min_size=1, max_size=40).filter(lambda script: len(script) != 20)


def fold(addresses: list[bytes]) -> list[int]:
    """Fingerprints of addresses of one length."""
    found: list[int] = compute_fingerprints(addresses).tolist()
    return found


@st.composite
def histories(draw: st.DrawFn) -> tuple[WatchSet, list[list[bytes]], list[bytes]]:
    """A set, what is added to it batch by batch, and strangers of the same family."""
    family = draw(st.sampled_from([evm, scripts]))
    watched = WatchSet(compact_above=draw(st.integers(0, 20)), merge_after=draw(st.integers(0, 5)))
    return (
        watched,
        draw(st.lists(st.lists(family, max_size=12), max_size=6)),
        draw(st.lists(family, max_size=20)),
    )


@given(histories())
def test_everything_added_is_found_and_little_else(
    history: tuple[WatchSet, list[list[bytes]], list[bytes]],
) -> None:
    watched, batches, others = history
    truth: set[bytes] = set()
    for number, batch in enumerate(batches, start=1):
        watched.add(batch, version=number)
        truth.update(batch)
        assert all(address in watched for address in truth)
    prints = set(fold(sorted(truth)))
    for address in others:
        if address in watched and address not in truth:
            assert watched.is_compact
            assert fold([address])[0] in prints


@given(histories())
def test_hits_are_the_indexes_of_what_the_set_contains(
    history: tuple[WatchSet, list[list[bytes]], list[bytes]],
) -> None:
    watched, batches, others = history
    for batch in batches:
        watched.add(batch, version=1)
    recipients = others + [address for batch in batches for address in batch] + others
    assert watched.hits(recipients) == [index for index, one in enumerate(recipients) if one in watched]


@given(st.lists(st.integers(0, 100), max_size=8))
def test_the_version_is_the_highest_that_was_added(versions: list[int]) -> None:
    watched = WatchSet()
    for version in versions:
        watched.add([], version=version)
    assert watched.version == max(versions, default=0)


@given(st.lists(evm, min_size=3, max_size=60, unique=True))
def test_a_compact_set_keeps_merging_what_comes_after(addresses: list[bytes]) -> None:
    watched = WatchSet(compact_above=1, merge_after=2)
    for address in addresses:
        watched.add([address], version=1)
        assert address in watched
    assert watched.is_compact
    assert len(watched) == len(addresses)
    assert all(address in watched for address in addresses)


def test_addresses_that_are_no_hashes_crowd_no_prefix_whose_spread_they_do_not_know() -> None:
    """Who may register any twenty bytes could else make every look-up walk through all of them."""
    for spread in (0xA24BAED4963EE407, 0x9FB21C651E98DF25):
        watched = WatchSet(compact_above=10, spread=spread)
        watched.add([number.to_bytes(20, "big") for number in range(20_000)], version=1)
        watched.add([number.to_bytes(20, "little") for number in range(20_000)], version=2)
        watched.add(
            [b"\0" * 10 + number.to_bytes(2, "big") + b"\0" * 8 for number in range(20_000)], version=3
        )
        assert watched._compact._widest <= 64
        assert all(number.to_bytes(20, "big") in watched for number in range(0, 20_000, 97))


def test_a_long_list_finds_each_of_its_own_and_hardly_a_stranger() -> None:
    rng = random.Random(7)
    mine = [rng.randbytes(20) for _ in range(30_000)]
    watched = WatchSet(compact_above=1_000, merge_after=7_000)
    for first in range(0, len(mine), 1_000):
        watched.add(mine[first : first + 1_000], version=first)
    assert len(watched) == len(mine)
    strangers = [rng.randbytes(20) for _ in range(30_000)]
    mixed = [one for pair in zip(mine, strangers, strict=True) for one in pair]
    assert watched.hits(mixed) == list(range(0, 60_000, 2))
