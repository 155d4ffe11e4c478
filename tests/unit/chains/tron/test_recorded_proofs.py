"""Every transfer of the recorded mainnet block that shows itself is proven by this program and believed by the kit."""

from __future__ import annotations

import msgspec
import pytest

from chains.model import TxHash
from chains.proofs import WitnessedProof
from chains.tron.rows.blocks import BLOCK, read_header, read_transactions
from chains.tron.value.transfers import shows_itself
from chains.tron.verify.block import encode_bodies, recover_signer
from chains.tron.verify.proof import build_proof
from relay.kit.verify_deposit import verify_deposit
from tests.unit.chains.tron.listed import NUMBERED, USDT, assets
from tests.unit.chains.tron.oracle import count_transfers, list_calls, print_block, read_recorded
from tests.unit.chains.verify.recorded import IS_RECORDED, REASON
from tests.unit.relay.signed_cases import NATIVE, name_token, write_proof

if not IS_RECORDED:
    pytest.skip(REASON, allow_module_level=True)

CHAIN = "tron:0x2b6653dc"


def test_every_transfer_that_shows_itself_is_proven_from_the_recorded_block() -> None:
    recorded = read_recorded()
    content = msgspec.json.encode(print_block(recorded))
    block = BLOCK.decode(content)
    header, transactions = read_header(block), read_transactions(block)
    bodies = encode_bodies(header, block, transactions, content)
    signer = recover_signer(header)
    assert bodies == recorded.transactions
    assert signer == header.witness
    claims = [
        (
            tx,
            "native" if asset == "trx" else "trc10",
            NATIVE if asset == "trx" else f"trc10:{asset}",
            to,
            amount,
        )
        for tx, asset, _, to, amount in count_transfers(recorded, NUMBERED)
    ]
    claims += [
        (tx, "token", name_token(USDT), to, amount)
        for tx, _, to, amount, has_succeeded in list_calls(recorded, USDT)
        if has_succeeded
    ]
    places = {one.id.hex(): place for place, one in enumerate(transactions)}
    proven = 0
    for tx, kind, asset, to, amount in claims:
        tx_hash = TxHash(bytes.fromhex(tx))
        built = build_proof(header, transactions, bodies, lambda one: shows_itself(assets(), one), tx_hash)
        if not isinstance(built, WitnessedProof):
            continue
        written = write_proof(
            CHAIN, recorded.block_id, header.raw, header.signature, header.witness, signer, bodies,
            places[tx], tx_hash, kind, asset, bytes.fromhex(to), amount,
        )  # fmt: skip
        assert ["0x" + one.hex() for one in built.branch] == written["branch"]
        found = verify_deposit(written, recorded.block_id, signers=[signer.hex()])
        assert (found.amount_base_units, found.witness) == (amount, header.witness.hex())
        proven += 1
    assert proven == 420
