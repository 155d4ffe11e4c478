"""`/v1/deposits/{id}/proof` says why there is no proof, asks whom it can, and holds up nobody while it waits.

Proofs that hold come from a real chain (tests/live/test_deposit_proofs.py); here a scripted one is asked, whose hashes cover
nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from chains.errors import ChainError, Inconsistent, Missing, Unreachable
from chains.model import Address, BlockRef, TransferKind, TxHash
from chains.proofs import DepositProof, TrieProof, Unprovable
from chains.scripted import ScriptedProvider, ScriptedSource
from gateway.http.edge.limits import PROOFS, PROOFS_EACH_MAX
from gateway.http.resources import deposit_proofs
from tests.api.world import WATCHED, World

Json = Any


@dataclass(slots=True)
class Answering(ScriptedProvider):
    """A provider whose answer about proofs is the test's."""

    proof: DepositProof | ChainError | None = None
    proofs_asked: int = 0
    busy: asyncio.Event = field(default_factory=asyncio.Event)

    async def fetch_deposit_proof(self, block: BlockRef, tx_hash: TxHash) -> DepositProof | Unprovable:
        self.proofs_asked += 1
        if self.proofs_asked == PROOFS_EACH_MAX:
            self.busy.set()
        await asyncio.sleep(self.delay_s)
        if isinstance(self.proof, ChainError):
            raise self.proof
        if self.proof is not None:
            return self.proof
        return await ScriptedProvider.fetch_deposit_proof(self, block, tx_hash)


def let_answer(world: World, *proofs: DepositProof | ChainError | None) -> list[Answering]:
    """One provider for each of these, asked in their order."""
    chain = world.lines["local"].chain
    providers = [
        Answering(chain, f"{number}.test", str(number), proof=proof) for number, proof in enumerate(proofs)
    ]
    world.services.sources[chain.traits.chain] = ScriptedSource(*providers)
    return providers


async def paid(world: World, key: str, *, kind: TransferKind | None = None) -> Json:
    await world.watch(key)
    line = world.lines["local"]
    await line.mine(line.chain.pay(Address(bytes.fromhex(WATCHED[2:])), 10**18, kind=kind))
    return (await world.call("GET", "/v1/deposits", key=key)).json["items"][0]


def path_of(deposit: Json) -> str:
    return f"/v1/deposits/{deposit['id']}/proof"


async def ask(world: World, key: str, deposit: Json) -> tuple[int, str | None]:
    reply = await world.call("GET", path_of(deposit), key=key)
    assert reply.status != 200
    if reply.status == 503:
        assert int(reply.headers["Retry-After"]) > 0
    return reply.status, reply.json.get("reason")


async def test_a_chain_that_cannot_prove_says_so(world: World, key: str) -> None:
    deposit = await paid(world, key)
    assert await ask(world, key, deposit) == (409, "chain-not-configured")
    let_answer(world, None)
    assert await ask(world, key, deposit) == (409, "agreement-only")


async def test_value_inside_a_contracts_execution_is_not_asked_for(world: World, key: str) -> None:
    deposit = await paid(world, key, kind=TransferKind.INTERNAL)
    (provider,) = let_answer(world, None)
    assert await ask(world, key, deposit) == (409, "internal-value")
    assert provider.proofs_asked == 0


async def test_an_orphan_has_no_block_to_be_proven_in(world: World, key: str) -> None:
    deposit = await paid(world, key)
    (provider,) = let_answer(world, None)
    line = world.lines["local"]
    line.chain.reorg(1, (), ())
    assert await ask(world, key, deposit) == (409, "block-left")  # before our follower has noticed
    await line.follow()
    assert await ask(world, key, deposit) == (409, "no-block")
    assert provider.proofs_asked == 1


async def test_a_block_that_leaves_while_its_proof_is_made_is_not_proven(
    world: World, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    deposit = await paid(world, key)
    let_answer(world, TrieProof(b"", 0, (), ()))
    line = world.lines["local"]

    async def meanwhile(*_: object) -> None:
        line.chain.reorg(1, (), ())
        await line.follow()

    loaded = deposit_proofs._compose

    async def compose(*given: Any) -> Any:
        await meanwhile()
        return await loaded(*given)

    monkeypatch.setattr(deposit_proofs, "_compose", compose)
    monkeypatch.setattr(deposit_proofs, "_check", lambda *_: None)
    assert await ask(world, key, deposit) == (409, "block-left")


async def test_what_the_merchants_own_program_would_refuse_is_never_given(world: World, key: str) -> None:
    deposit = await paid(world, key)
    let_answer(world, TrieProof(b"\xc0", 0, (b"\xc0",), (b"\xc0",)))
    assert await ask(world, key, deposit) == (409, "not-shown")
    let_answer(world, TrieProof(b"\xc0", 0, (b"\xc0",), (bytes(deposit_proofs.PROOF_BYTES_MAX),)))
    assert await ask(world, key, deposit) == (409, "too-large")


async def test_another_provider_is_asked_where_the_first_fails(world: World, key: str) -> None:
    deposit = await paid(world, key)
    for failure in (Unreachable("gone"), Inconsistent("lied"), Missing("behind")):
        first, second, third = let_answer(world, failure, None, None)
        assert await ask(world, key, deposit) == (409, "agreement-only")
        assert (first.proofs_asked, second.proofs_asked, third.proofs_asked) == (1, 1, 0)
    let_answer(world, Unreachable("gone"), Unreachable("gone"))
    assert await ask(world, key, deposit) == (503, None)


async def test_a_provider_that_never_answers_costs_a_deadline_and_holds_nobody_up(
    world: World, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    deposit = await paid(world, key)
    (provider,) = let_answer(world, None)
    provider.delay_s = 3_600
    monkeypatch.setattr(deposit_proofs, "DEADLINE_S", 1.5)
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(ask(world, key, deposit)) for _ in range(PROOFS_EACH_MAX)]
        await provider.busy.wait()
        assert await ask(world, key, deposit) == (429, None)
        assert (await world.call("GET", "/v1/deposits", key=key)).status == 200
        assert world.pool.get_idle_size() == world.pool.get_size()
    assert {task.result() for task in waiting} == {(503, None)}
    assert provider.proofs_asked == PROOFS_EACH_MAX


async def test_a_merchant_has_so_many_proofs_a_minute_and_others_have_theirs(world: World, key: str) -> None:
    deposit = await paid(world, key)
    let_answer(world, None)
    replies = [await world.call("GET", path_of(deposit), key=key) for _ in range(PROOFS.requests + 1)]
    assert [reply.status for reply in replies] == [409] * PROOFS.requests + [429]
    assert int(replies[-1].headers["Retry-After"]) > 0
    stranger = await world.create_merchant("Stranger")
    assert (await world.call("GET", path_of(deposit), key=stranger)).status == 404
    await world.watch(stranger)
    await world.pay()
    (theirs,) = (await world.call("GET", "/v1/deposits", key=stranger)).json["items"]
    assert await ask(world, stranger, theirs) == (409, "agreement-only")
