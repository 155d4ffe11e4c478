"""Payments that wait, told by the whole service on a real database: quickly, once, and never in the way of blocks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest

from chains.model import Address
from chains.scripted.chain import ScriptedChain, ScriptedTx
from chains.scripted.mempool import ScriptedMempool
from indexer.move.registration import RegistrationRequest, register
from indexer.rows.spelling import decode_deposit
from indexer.rules.deposits import Deposit
from indexer.service import IndexerService
from migrations.ids import new_id
from migrations.queries import load_queries
from tests.database.indexer.scene import NOW, SHOP
from tests.database.indexer.test_surprises import House, Line, open_house
from tests.simulation.setups import STRANGERS, WATCHABLE

TILL, OTHER_TILL, PAYER = WATCHABLE[0], WATCHABLE[1], STRANGERS[0]
MEMPOOLS = load_queries("indexer", "mempools.sql")
SPENDS = load_queries("indexer", "spends.sql")
PATIENCE_S = 60.0
"""For machines that are busy: on an idle one each of these takes a second at most."""


@dataclass(slots=True)
class Shop:
    """A running service, and a till on the chain that is looked at."""

    house: House
    running: asyncio.Task[None]

    @property
    def line(self) -> Line:
        return self.house.sick

    @property
    def chain(self) -> ScriptedChain:
        return self.line.chain

    @property
    def mempool(self) -> ScriptedMempool:
        mempool = self.line.followed.mempools[0]
        assert isinstance(mempool, ScriptedMempool)
        return mempool

    async def watch(self, till: Address = TILL) -> None:
        request = RegistrationRequest(new_id(1), SHOP, self.chain.traits.chain, till)
        await register(self.house.around.pool, [request], now=NOW)

    async def deposits(self) -> list[Deposit]:
        rows = await self.house.around.pool.fetch("select * from deposits order by first_seen_at, id")
        return [decode_deposit(row) for row in rows]

    async def states(self) -> list[str]:
        return sorted(one.state.value for one in await self.deposits())

    async def becomes(self, *states: str, within_s: float = PATIENCE_S) -> None:
        async def holds() -> bool:
            return await self.states() == sorted(states)

        await soon(holds, within_s)

    async def told(self) -> list[str]:
        rows = await self.house.around.pool.fetch("select type from events order by sequence")
        return [row["type"] for row in rows]


async def soon(holds: Callable[[], Awaitable[bool]], within_s: float) -> None:
    deadline_s = asyncio.get_running_loop().time() + within_s
    while not await holds():
        assert asyncio.get_running_loop().time() < deadline_s, f"not within {within_s} s"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def open_shop(database_url: str) -> AsyncIterator[Shop]:
    async with open_house(database_url) as house, asyncio.TaskGroup() as group:
        house.around.clock = lambda: datetime.now(UTC)  # a fork is seen twice, some time apart
        service = IndexerService(house.around, [house.sick.followed])
        shop = Shop(house, group.create_task(service.run()))

        async def is_at_head() -> bool:
            return await shop.line.tip_height() == shop.chain.head.height

        await soon(is_at_head, PATIENCE_S)
        await shop.watch()
        yield shop
        house.around.stop.set()
        await shop.running


def payment(shop: Shop, *, nonce: int = 1, to: Address = TILL, amount: int = 500) -> ScriptedTx:
    return shop.chain.pay(to, amount, sender=PAYER, nonce=nonce)


async def test_a_payment_is_seen_soon_then_included_then_confirmed(database_url: str) -> None:
    async with open_shop(database_url) as shop:
        tx = payment(shop)
        shop.chain.broadcast(tx)
        await shop.becomes("seen")
        (seen,) = await shop.deposits()
        shop.chain.mine(tx)
        await shop.becomes("included")
        (included,) = await shop.deposits()
        assert included.id == seen.id
        assert included.fees is None
        assert await shop.told() == ["deposit.seen", "deposit.included"]


async def test_without_hints_it_is_seen_by_the_next_look(database_url: str) -> None:
    async with open_shop(database_url) as shop:
        shop.mempool.is_deaf = True
        shop.chain.broadcast(payment(shop))
        await shop.becomes("seen")


async def test_a_rival_in_a_block_replaces_it_by_name(database_url: str) -> None:
    async with open_shop(database_url) as shop:
        tx, rival = payment(shop), payment(shop, to=PAYER)
        shop.chain.broadcast(tx)
        await shop.becomes("seen")
        shop.chain.mine(rival)
        await shop.becomes("replaced")
        (deposit,) = await shop.deposits()
        assert deposit.replaced_by == rival.tx_hash
        assert deposit.replaced_height == shop.chain.head.height
        shop.chain.reorg(1, (), ())
        shop.chain.broadcast(tx)

        async def is_rewound() -> bool:
            shop.chain.mine()  # each is one more look at the fork
            await asyncio.sleep(0.2)
            return await shop.states() == ["seen"]

        await soon(is_rewound, PATIENCE_S)
        (deposit,) = await shop.deposits()
        assert (deposit.replaced_by, deposit.replaced_height) == (None, None)


async def test_an_address_that_is_registered_later_is_told_between_two_blocks(database_url: str) -> None:
    async with open_shop(database_url) as shop:
        shop.chain.broadcast(payment(shop, to=OTHER_TILL))
        shop.chain.broadcast(payment(shop, nonce=2))
        await shop.becomes("seen")
        await shop.watch(OTHER_TILL)
        await shop.becomes("seen", "seen")


async def test_a_mempool_that_hangs_delays_no_block(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_shop(database_url) as shop:

        async def hang(*_: object) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(ScriptedMempool, "fetch_waiting_txs", hang)
        tx = payment(shop)
        shop.chain.broadcast(tx)
        shop.chain.mine(tx)
        await shop.becomes("included")
        assert await shop.told() == ["deposit.included"]


async def test_a_mempool_that_is_down_says_nothing_and_is_looked_at_again(database_url: str) -> None:
    async with open_shop(database_url) as shop:
        shop.mempool.is_down = True
        shop.chain.broadcast(payment(shop))

        async def is_counted() -> bool:
            return (shop.line.alias, "mempool-Unreachable") in shop.house.operator.failures

        await soon(is_counted, PATIENCE_S)
        assert await shop.states() == []
        shop.mempool.is_down = False
        await shop.becomes("seen")


async def test_what_the_rows_say_of_a_deposit_that_waits_comes_back_as_it_was_written(
    database_url: str,
) -> None:
    async with open_shop(database_url) as shop:
        tx = replace(payment(shop), fee_rate_per_kvb=7_000, has_unconfirmed_parents=True)
        shop.chain.broadcast(tx)
        await shop.becomes("seen")
        (seen,) = await shop.deposits()
        assert seen.fees is not None
        assert (seen.fees.fee_rate_per_kvb, seen.fees.has_unconfirmed_parents) == (7_000, True)
        undecided = await shop.line.followed.store.load_undecided(shop.chain.traits.chain, limit=10)
        assert [(one.tx_hash, one.spends, one.is_seen) for one in undecided] == [
            (tx.tx_hash, (tx.conflict_key,), True)
        ]


async def test_what_waits_and_what_a_rewind_frees_is_found_by_an_index_of_its_own(database_url: str) -> None:
    async with open_shop(database_url) as shop:
        shop.chain.broadcast(payment(shop))
        await shop.becomes("seen")
        pool = shop.house.around.pool
        await pool.execute(
            """create table more as select deposits.* from deposits, generate_series(1, 20000);
            update more
            set id = gen_random_uuid(), state = 'replaced', replaced_height = 5, replaced_by = tx_hash,
              fee_rate_per_kvb = null, has_unconfirmed_parents = null, fee_rate_wanted_per_kvb = null;
            insert into deposits select * from more;
            drop table more"""
        )
        await pool.execute("analyze deposits")
        chain = shop.chain.traits.chain
        for query, argument, index in (
            (MEMPOOLS["load_undecided"], 10, "deposits_undecided"),
            (SPENDS["load_freed"], 5, "deposits_by_replaced_height"),
        ):
            plan = await pool.fetch(f"explain {query}", chain, argument)
            text = "\n".join(row[0] for row in plan)
            assert index in text
            assert "Seq Scan" not in text
