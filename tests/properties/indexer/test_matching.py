"""Transfers against registrations: the quick way finds what the plain way finds."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from chains.model import Address, Block, ListedTransfers, Transfer, VerificationLevel
from indexer.rules.identity import AddressId, DepositId, MerchantId
from indexer.rules.matching import (
    ListedAsset,
    MatchRules,
    Registration,
    find_hits,
    match_hits,
    parties,
    possible_ids,
)
from indexer.rules.watchset import WatchSet
from tests.unit.indexer.making import CHAIN, COIN, TOKEN, depth, header, transfer

ADDRESSES = [Address(b"address-%012d" % number) for number in range(4)]
MEMOS = [None, b"7", b"8"]
MERCHANTS = [MerchantId(UUID(int=number)) for number in (1, 2)]
START = 3

transfers = st.builds(
    lambda moved, senders, memo: replace(moved, senders=senders, memo=memo),
    st.builds(
        transfer,
        amount=st.integers(1, 50),
        tx=st.sampled_from(["a", "b", "c"]),
        n=st.integers(0, 1),
        recipient=st.sampled_from(ADDRESSES),
        asset=st.sampled_from([COIN, TOKEN]),
    ),
    st.lists(st.sampled_from(ADDRESSES), unique=True, max_size=3).map(tuple),
    st.sampled_from(MEMOS),
)
registrations = st.lists(
    st.builds(
        Registration,
        st.integers(10, 20).map(lambda number: AddressId(UUID(int=number))),
        st.sampled_from(MERCHANTS),
        st.sampled_from(ADDRESSES),
        st.integers(0, 12),
        st.none() | st.integers(0, 12),
        st.sampled_from(MEMOS[:2]),
    ),
    max_size=8,
    unique_by=lambda one: one.address_id,
)


def deposit_id(merchant_id: MerchantId, moved: Transfer) -> DepositId:
    return DepositId(
        UUID(
            bytes=repr(
                (merchant_id.int, moved.tx_hash[:1], moved.asset[-2:], moved.recipient, moved.n)
            ).encode()[-24:-8]
        )
    )


RULES = MatchRules(
    chain=CHAIN,
    assets={COIN.asset_id: ListedAsset(COIN, 0), TOKEN.asset_id: ListedAsset(TOKEN, START)},
    deposit_id=deposit_id,
    requirement=lambda asset, amount: depth(3),
)


def block_at(height: int, moved: list[Transfer]) -> Block:
    return Block(header(height), 1, 0, 0, VerificationLevel.FULL, "node", ListedTransfers(tuple(moved)))


@given(
    st.lists(st.lists(transfers, max_size=4), max_size=4), registrations, st.integers(0, 10), st.booleans()
)
def test_what_is_matched_is_what_a_plain_reading_finds(
    content: list[list[Transfer]], watches: list[Registration], lowest: int, compact: bool
) -> None:
    blocks = [block_at(lowest + offset, moved) for offset, moved in enumerate(content)]
    watched = WatchSet(compact_above=0 if compact else 100)
    watched.add([one.address for one in watches], version=1)
    hits = find_hits(blocks, watched)
    by_address: dict[Address, list[Registration]] = {}
    for one in watches:
        by_address.setdefault(one.address, []).append(one)
    found = match_hits(hits, by_address, {}, RULES)
    plain = [
        (block.header.height, moved, merchant)
        for block in blocks
        for moved in block.transfers.transfers  # type: ignore[attr-defined]  # these tables are lists
        for merchant in MERCHANTS
        if (moved.asset == COIN.asset_id or block.header.height >= START)
        and any(
            one.merchant_id == merchant
            and one.address == moved.recipient
            and one.counts_at(block.header.height)
            and one.memo in (None, moved.memo)
            for one in watches
        )
    ]
    assert sorted((one.header.height, repr(one.transfer), one.merchant_id) for one in found) == sorted(
        (height, repr(moved), merchant) for height, moved, merchant in plain
    )
    assert {one.deposit_id for one in found} <= possible_ids(hits, by_address, RULES)
    for seen in found:
        chosen = next(watch for watch in watches if watch.address_id == seen.address_id)
        assert chosen.counts_at(seen.header.height)
        assert (chosen.merchant_id, chosen.address) == (seen.merchant_id, seen.transfer.recipient)
        if chosen.memo != seen.transfer.memo:
            assert chosen.memo is None, "the whole address, and nobody watches this memo"
            assert not any(
                watch.memo == seen.transfer.memo and watch.counts_at(seen.header.height)
                for watch in by_address[chosen.address]
                if watch.merchant_id == chosen.merchant_id
            )
        own = bool(seen.transfer.senders) and (
            seen.transfer.recipient in seen.transfer.senders
            or any(
                watch.merchant_id == seen.merchant_id
                and watch.address in seen.transfer.senders
                and watch.counts_at(seen.header.height)
                for watch in watches
            )
        )
        assert seen.own_transfer == own


@given(st.permutations(ADDRESSES), st.integers(1, 3), st.integers(0, 2))
def test_any_watched_one_of_several_senders_makes_it_an_own_transfer(
    addresses: list[Address], count: int, watched_sender: int
) -> None:
    shop, *payers = addresses
    moved = replace(transfer(recipient=shop), senders=tuple(payers[:count]))
    watches = {
        address: [Registration(AddressId(UUID(int=number)), MERCHANTS[0], address, 0, None)]
        for number, address in enumerate((shop, payers[watched_sender]))
    }
    watched = WatchSet()
    watched.add([shop], version=1)
    (seen,) = match_hits(find_hits([block_at(START, [moved])], watched), watches, {}, RULES)
    assert seen.own_transfer == (watched_sender < count)


@given(st.lists(transfers, max_size=4), registrations, st.integers(0, 10))
def test_a_known_deposit_runs_on_under_its_own_registration(
    moved: list[Transfer], watches: list[Registration], height: int
) -> None:
    watched = WatchSet()
    watched.add([one.address for one in watches], version=1)
    hits = find_hits([block_at(height, moved)], watched)
    by_address: dict[Address, list[Registration]] = {}
    for one in watches:
        by_address.setdefault(one.address, []).append(one)
    known = {deposit: AddressId(UUID(int=77)) for deposit in possible_ids(hits, by_address, RULES)}
    found = match_hits(hits, by_address, known, RULES)
    assert {one.address_id for one in found} <= {AddressId(UUID(int=77))}
    assert len(found) == sum(
        len(
            {
                one.merchant_id
                for one in by_address[hit.transfer.recipient]
                if one.effective_start <= height and one.memo in (None, hit.transfer.memo)
            }
        )
        for hit in hits
        if RULES.assets[hit.transfer.asset].start_height <= height
    )
    assert parties(hits) >= {hit.transfer.recipient for hit in hits}


@given(st.sampled_from(MEMOS), st.permutations(range(3)))
def test_who_watches_the_memo_goes_before_who_watches_the_whole_address(
    carried: bytes | None, order: list[int]
) -> None:
    """And one that was deleted before, or begins later, does not."""
    shop = ADDRESSES[0]
    own = Registration(AddressId(UUID(int=1)), MERCHANTS[0], shop, 9, None, b"7")
    whole = Registration(AddressId(UUID(int=2)), MERCHANTS[0], shop, 0, None)
    gone = Registration(AddressId(UUID(int=3)), MERCHANTS[0], shop, 0, 2, b"7")
    watches = [(own, whole, gone)[place] for place in order]
    watched = WatchSet()
    watched.add([shop], version=1)
    moved = replace(transfer(recipient=shop), memo=carried)
    for height, for_own in ((START, False), (9, carried == b"7")):
        (seen,) = match_hits(find_hits([block_at(height, [moved])], watched), {shop: watches}, {}, RULES)
        assert seen.address_id == (own if for_own else whole).address_id
