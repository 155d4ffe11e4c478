"""Lies about blocks of every network of the catalogue, told to the program by one operator, by the first, by the second.

Blocks are made in the form of each network, with the transaction types that only it has, and served by a node of the tests
under the network's own traits. What each lie comes to row by row is `tests/unit/chains/verify/test_lies.py`; what real
execution adds is `test_played_lies`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest

from chains.evm.facts import facts_of, number_of
from chains.evm.rows.structs import RawBlock, RawReceipts, Verdict
from chains.evm.verify.profiles import PROFILES, Profile
from chains.evm.verify.transactions import ETHEREUM_CODECS
from chains.evm.verify.verifier import BlockVerifier
from chains.traits import ChainTraits
from indexer.rules.policy import NATIVE_COINS, TOKEN_COINS
from indexer.settings import FollowSettings
from tests.depth import some_of
from tests.devnet.made_node import MadeNode, Rows, start_made_node
from tests.faultproxy.proxy import start_proxy
from tests.live.followed import Followed, following, list_endpoints
from tests.live.stage import CONFIRMATIONS, ZERO, Paid, Payment, Stage
from tests.live.world import after
from tests.unit.chains.verify.chained import BRIDGING, SHAPES, MadeChain, chain_of
from tests.unit.chains.verify.lies import LIES, VICTIM
from tests.unit.chains.verify.made import PAYEE, TRANSFER, word
from tests.unit.chains.verify.networks import TRAITS

BRIDGED = "0x" + "b1" * 20
"""Who sends himself coins over an OP stack's bridge: they are minted to him first."""

WATCHED = (PAYEE, VICTIM, BRIDGED)


WAYS = (
    "an altered amount", "a log left out", "a log invented", "logs under another transaction",
    "payment #0 of a fortune", "payment #1 by another", "a payment too many", "a payment replaced",
    "payments in each other's place", "a failure shown as success", "a creation elsewhere", "a made-up state sync", "a made-up state sync with value",
    "a payment as type 0x55", "a forged payment behind type 0x55", "both rows as type 0x55",
)  # fmt: skip
"""One of each way to an amount that every network has."""

OWN_WAYS = ("both of", "a mint of", "the protocol's creation")
"""How lies about a network's own transactions begin: each of them is told about each of those."""

FEW = ("an altered amount", "a log left out", "payment #0 of a fortune", "both of the protocol's own #1")
"""Where another network plays the rest under the same rules, or where nobody is asked who could tell it."""

EXCUSED = ("a header field nobody knows", "a receipt field nobody knows", "a receipt type nobody knows")

TWINS = (
    "hoodi", "base", "base-sepolia", "optimism-sepolia", "arbitrum-sepolia", "bsc-testnet",
    *(f"polygon-amoy, {kind}" for kind in BRIDGING),
)  # fmt: skip
"""Made and ruled as another one is."""

OPEN = ("zksync", "avalanche-fuji", *(name for name in SHAPES if "bridging" in name))
"""Known gaps in every block that pays: two operators must tell the same, and an only one is believed in small amounts."""

OPEN_TO_LIES = {("polygon-amoy", "a made-up state sync")}
"""Known gaps that only the lie opens."""


@dataclass(slots=True)
class Forgetful:
    """A verifier that can be made to meet the network for the first time again, as one that was started just now."""

    profile: Profile
    _fresh: BlockVerifier

    def __call__(self, block: RawBlock, receipts: RawReceipts) -> Verdict:
        return self._fresh(block, receipts)

    def forget(self) -> None:
        self._fresh = BlockVerifier(self.profile)


@dataclass(frozen=True, slots=True)
class MadeGround:
    """A chain of made blocks; what leaves it comes again in the block that is there instead."""

    node: MadeNode
    chain: MadeChain
    verifier: Forgetful

    async def mine(self, blocks: int = 1) -> None:
        for _ in range(blocks):
            self.node.append(*self.chain.rest(self.node.head))

    async def pay(self) -> Paid:
        """What happens on this network, seen by a program that knows nothing of it yet."""
        self.verifier.forget()
        return self._pay()

    async def leave(self, paid: Paid) -> frozenset[Payment]:
        left = self.node.leave(paid.height)
        again = self._pay(self.chain.batches_count)
        await self.mine(left - 1)
        return again.payments

    def _pay(self, batch: int | None = None) -> Paid:
        block, receipts = self.chain.pay(self.node.head, batch)
        self.node.append(block, receipts)
        return Paid(block, receipts, list_payments(self.chain.traits, block, receipts))


def list_payments(traits: ChainTraits, block: Rows, receipts: Sequence[Rows]) -> frozenset[Payment]:
    """What an honest block pays to those who are watched, read without the program."""
    found: set[Payment] = set()
    for row, receipt in zip(block["transactions"], receipts, strict=False):
        value, mint = int(row["value"], 16), int(row.get("mint") or "0x0", 16)
        if row["to"] in WATCHED and value and receipt["status"] == "0x1":
            # An Ether deposit of Arbitrum comes of nobody who could be paid back.
            found.add((row["hash"], row["to"], value, ZERO if row["type"] == "0x64" else row["from"]))
        if mint and row["from"] in WATCHED:
            found.add((row["hash"], row["from"], mint, ZERO))
    contract = traits.assets[0].contract
    assert contract is not None
    for log in (one for receipt in receipts for one in receipt["logs"]):
        for to in WATCHED:
            topics = [TRANSFER, word(log["topics"][1]), word(to)]
            if log["address"] == f"0x{contract.hex()}" and log["topics"] == topics:
                sender = "0x" + log["topics"][1][-40:]
                found.add((log["transactionHash"], to, int(log["data"], 16), sender))
    return frozenset(found)


@asynccontextmanager
async def open_stage(database_url: str, name: str, *, operators: int) -> AsyncIterator[Stage]:
    chain = chain_of(name)
    traits = chain.traits
    profile = PROFILES[facts_of(traits).verification_profile]
    verifier = Forgetful(profile, BlockVerifier(profile))
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(start_made_node(number_of(traits.chain), chain.genesis()))
        node.append(*chain.first())
        proxies = [await stack.enter_async_context(start_proxy(node.url)) for _ in range(operators)]
        settings = FollowSettings(
            traits=traits,
            confirm_rules=after(CONFIRMATIONS),
            finality=traits.finality,
            poll_interval_s=0.05,
        )
        followed = Followed(settings=settings, proxies=proxies)
        endpoints = list_endpoints(proxies)
        await stack.enter_async_context(following(followed, database_url, endpoints, verifier=verifier))
        for address in WATCHED:
            await followed.watch(address)
        yield Stage(followed, MadeGround(node, chain, verifier))


def list_lies(name: str, *, is_asked: bool = True) -> list[tuple[str, str]]:
    """Which lies are told beside which excuse: what this network's block has to bend, under types that it has."""
    chain = chain_of(name)
    profile = PROFILES[facts_of(chain.traits).verification_profile]
    kinds = {*profile.transaction_codecs, *profile.opaque_types} - ETHEREUM_CODECS.keys()
    is_short = name in TWINS or not is_asked

    def is_told(lie: str) -> bool:
        if is_short:
            return lie in FEW
        is_own = lie.startswith(OWN_WAYS) and ", its type" not in lie
        return lie in WAYS or is_own or any(lie.endswith(f" type {kind}") for kind in kinds)

    lies = [lie for lie in LIES if is_told(lie) and LIES[lie](*chain.pay(chain.first()[0]))]
    assert is_short or len(lies) >= LIES_MIN
    return [*((lie, "no excuse") for lie in lies), *((lies[0], excuse) for excuse in EXCUSED)]


LIES_MIN = 8

PLAYED = some_of(SHAPES, 8)


def limit_of(traits: ChainTraits) -> int:
    """Up to how much one operator's word is good for, of a coin or of a token: a payment here does not say which it is."""
    coin, token = (10**asset.decimals for asset in (traits.native, traits.assets[0]))
    return max(NATIVE_COINS * int(coin), TOKEN_COINS * int(token))


@pytest.mark.parametrize("name", PLAYED)
async def test_no_lie_of_an_only_operator_is_confirmed_beyond_what_its_word_is_good_for(
    database_url: str, name: str
) -> None:
    """Where everything is hashed that is nothing; there its lies are seen, or hold the chain until their block is left."""
    async with open_stage(database_url, name, operators=1) as stage:
        for lie, excuse in list_lies(name):
            is_open = name in OPEN or (name, lie) in OPEN_TO_LIES
            stage.limit = limit_of(stage.followed.settings.traits) if is_open else None
            await stage.play(lie, excuse, is_first=True)
        await stage.pay_honestly()


@pytest.mark.parametrize("name", PLAYED)
async def test_no_lie_of_the_first_of_two_operators_is_confirmed(database_url: str, name: str) -> None:
    async with open_stage(database_url, name, operators=2) as stage:
        lies = list_lies(name)
        for lie, excuse in lies:
            await stage.play(lie, excuse, is_first=True)
        assert stage.heard_count == len(lies)
        assert stage.held_count > 0, "some of these lies are told, and held"
        await stage.pay_honestly()


@pytest.mark.parametrize("name", PLAYED)
async def test_no_lie_of_the_second_of_two_operators_is_confirmed(database_url: str, name: str) -> None:
    """Where everything is hashed the second is asked for headers only, and honest credit goes on."""
    async with open_stage(database_url, name, operators=2) as stage:
        await stage.pay_honestly()
        lies = list_lies(name, is_asked=name in OPEN)
        for lie, excuse in lies:
            await stage.play(lie, excuse, is_first=False)
        assert stage.heard_count == (len(lies) if name in OPEN else 0)
        await stage.pay_honestly()


def test_every_network_of_the_catalogue_is_played() -> None:
    assert {alias for alias, _ in SHAPES.values()} == set(TRAITS)
