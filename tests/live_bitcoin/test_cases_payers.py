"""What payers do that shops do not expect, over a real node: locks, dust, and addresses of long ago."""

from __future__ import annotations

import pytest

from indexer.follow.mempools.look import Looked, MempoolLooker
from indexer.rules.waiting import MempoolBoard
from tests.devnet.anvil import RpcFailure
from tests.devnet.bitcoind import needs_bitcoind
from tests.live_bitcoin.world import TILL, open_world, spell
from tests.unit.chains.bitcoin.making import Tx

pytestmark = [pytest.mark.live, needs_bitcoind]

ISSUED = 30
"""Addresses, more than a wallet that stops after twenty unused ones would look at."""

DUST_BELOW = 1_000


def lock(tx: Tx, height: int) -> bytes:
    """The same transaction, not to be mined at this height or below (BIP 65's field, as every node reads it)."""
    return tx.bare[:-4].replace(b"\xff\xff\xff\xff", b"\xfe\xff\xff\xff") + height.to_bytes(4, "little")


async def test_case_066_what_is_locked_into_the_future_is_nobodys_deposit_until_a_node_takes_it(
    database_url: str,
) -> None:
    async with open_world(database_url) as world:
        await world.watch(spell(TILL))
        await world.settle()
        (pool,) = world.source.mempools
        looker = MempoolLooker(world.desk, pool, MempoolBoard())
        locked = lock(await world.node.pay((TILL, 70_000)), await world.node.height() + 1)
        with pytest.raises(RpcFailure, match="non-final"):
            await world.node.call("sendrawtransaction", locked.hex())
        with pytest.raises(RpcFailure, match="nonfinal"):
            await world.node.mine(txs=[locked.hex()])
        assert isinstance(await looker.step(world.now, is_whole=True), Looked)
        assert await world.told() == []
        await world.node.mine(2)
        await world.settle()
        await world.node.call("sendrawtransaction", locked.hex())
        await looker.step(world.now, is_whole=True)
        assert [kind for kind, *_ in await world.told_briefly()] == ["seen"]


async def test_case_073_dust_is_recorded_and_told_to_nobody(database_url: str) -> None:
    async with open_world(database_url, confirmations=1, min_base_units=DUST_BELOW) as world:
        await world.watch(spell(TILL))
        await world.settle()
        dust = await world.node.pay(*[(TILL, 546)] * 40)
        await world.node.mine(txs=[dust])
        await world.settle()
        assert await world.told() == []
        async with world.pool.acquire() as conn:
            assert await conn.fetchval("select count(*) from deposits where not published") == 40
        await world.node.mine(txs=[await world.node.pay((TILL, DUST_BELOW))])
        await world.settle()
        assert [credit for _, credit, _ in await world.told_briefly()] == [str(DUST_BELOW)]


async def test_case_077_an_issued_address_is_watched_however_many_came_before_and_how_long_ago(
    database_url: str,
) -> None:
    async with open_world(database_url, confirmations=1) as world:
        scripts = [b"\x00\x14" + bytes([number]) * 20 for number in range(ISSUED)]
        for script in scripts:
            await world.watch(spell(script))
        await world.settle()
        await world.node.mine(60)
        await world.settle()
        await world.node.mine(txs=[await world.node.pay((scripts[-1], 70_000), (scripts[0], 80_000))])
        await world.settle()
        assert sorted(credit for _, credit, _ in await world.told_briefly()) == ["70000", "80000"]
