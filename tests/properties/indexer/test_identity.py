"""Who a deposit is: the lines of CONTRACT 2 and nothing else."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from chains.model import Address, AssetId, ChainId, TransferKind, format_position
from indexer.rules.identity import compute_deposit_id
from migrations.ids import encode_id
from tests.unit.indexer.making import transfer

CHAIN = ChainId("eip155:1")
MERCHANT = "mer_01jq0000000000000000000000"
TX = "0x" + "ab" * 32
TO = "0x" + "cd" * 20


def test_one_identity_is_written_down_for_every_later_version() -> None:
    moved = replace(
        transfer(n=2),
        kind=TransferKind.TOKEN,
        asset=AssetId("eip155:1/erc20:0xdac17f958d2ee523a2206206994597c13d831ec7"),
    )
    deposit_id = compute_deposit_id(MERCHANT, CHAIN, moved, tx_hash_text=TX, recipient_text=TO)
    lines = (
        "chainbell-deposit-1\nmer_01jq0000000000000000000000\neip155:1\n"
        "0xabababababababababababababababababababababababababababababababab\ntoken\n"
        "eip155:1/erc20:0xdac17f958d2ee523a2206206994597c13d831ec7\n"
        "0xcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd\n2"
    )
    assert deposit_id.bytes == hashlib.sha256(lines.encode()).digest()[:16]
    assert encode_id("dep", deposit_id) == "dep_6ncncmy79drzs60kfmtzpnq8xd"


parts = st.tuples(
    st.sampled_from(["mer_a", "mer_b"]),
    st.sampled_from(["eip155:1", "eip155:10"]),
    st.sampled_from(["0x01", "0x02"]),
    st.sampled_from(list(TransferKind)),
    st.sampled_from(["x/erc20:0xaa", "x/erc20:0xbb"]),
    st.sampled_from(["0x0a", "0x0b"]),
    st.integers(0, 2),
)


@given(parts, parts)
def test_two_deposits_are_one_only_if_every_line_is_the_same(
    one: tuple[str, str, str, TransferKind, str, str, int],
    other: tuple[str, str, str, TransferKind, str, str, int],
) -> None:
    def identity(line: tuple[str, str, str, TransferKind, str, str, int]) -> object:
        merchant, chain, tx, kind, asset, recipient, n = line
        moved = replace(transfer(n=n), kind=kind, asset=AssetId(asset))
        return compute_deposit_id(merchant, ChainId(chain), moved, tx_hash_text=tx, recipient_text=recipient)

    assert (identity(one) == identity(other)) == (one == other)


@given(st.integers(1, 10**30), st.integers(0, 500), st.integers(0, 500), st.binary(min_size=20, max_size=20))
def test_amount_place_and_sender_are_no_part_of_it(
    amount: int, tx_index: int, log_index: int, sender: bytes
) -> None:
    moved = transfer()
    elsewhere = replace(
        moved,
        amount_base_units=amount,
        position=format_position(tx_index, log_index),
        senders=(Address(sender),),
        memo=sender,
        conflict_keys=(),
    )
    assert compute_deposit_id(
        MERCHANT, CHAIN, moved, tx_hash_text=TX, recipient_text=TO
    ) == compute_deposit_id(MERCHANT, CHAIN, elsewhere, tx_hash_text=TX, recipient_text=TO)


def test_the_asset_is_spelled_in_lower_case() -> None:
    lower = replace(transfer(), asset=AssetId("eip155:1/erc20:0xab"))
    upper = replace(transfer(), asset=AssetId("eip155:1/erc20:0xAB"))
    assert compute_deposit_id(
        MERCHANT, CHAIN, lower, tx_hash_text=TX, recipient_text=TO
    ) == compute_deposit_id(MERCHANT, CHAIN, upper, tx_hash_text=TX, recipient_text=TO)
