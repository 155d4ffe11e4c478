"""Answers bent at random: each is refused as weather, changes nothing, or is said to rest on a node's word."""

from __future__ import annotations

import copy
import os
import random
from typing import Any

import pytest

from chains.errors import ChainError
from chains.model import Block, Hold, TransferKind
from chains.tron.source import TronSource
from tests.devnet.tron_chain import TronChain, account, call, internal, log, pay, pay_numbered
from tests.devnet.tron_node import start_tron_node

SHOP = account("shop")
SEED = int(os.environ.get("CHAINBELL_SEED", "1"))
BENDS = 60

STRANGE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 1.5, 1 << 63, 1 << 64, "", "0", "00", "zz", "0x41", "41" * 21, "T" * 34, [], {}, [[]],
    [{}], {"a": {}}, "SUCCESS", "FAILED", "\ud7ff", " ", "9" * 400, [None] * 3,
)  # fmt: skip


def bend(value: Any, chance: random.Random) -> Any:
    """One place of a value, somewhere in its depth, is another."""
    if isinstance(value, dict) and value and chance.random() < 0.85:
        name = chance.choice(sorted(value))
        bent = dict(value)
        match chance.randrange(6):
            case 0:
                del bent[name]
            case 1:
                bent[chance.choice(["7", "1002", "newField", "Error", "ret", "contractRet"])] = chance.choice(
                    STRANGE
                )
            case _:
                bent[name] = bend(value[name], chance)
        return bent
    if isinstance(value, list) and value and chance.random() < 0.85:
        at, bent_list = chance.randrange(len(value)), list(value)
        match chance.randrange(6):
            case 0:
                del bent_list[at]
            case 1:
                bent_list.insert(at, copy.deepcopy(bent_list[at]))
            case _:
                bent_list[at] = bend(value[at], chance)
        return bent_list
    if isinstance(value, str) and value and chance.random() < 0.5:
        at = chance.randrange(len(value))
        return value[:at] + chance.choice("0123456789abcdefABCDEFxTg\0é") + value[at + 1 :]
    return chance.choice(STRANGE)


def covered(block: Block) -> list[Any]:
    """What the root covers of a block's transfers."""
    table = block.transfers
    found = [table.at(at) for at in range(len(table.recipients))]
    return [one for one in found if one.kind in {TransferKind.NATIVE, TransferKind.TRC10}]


@pytest.mark.parametrize("path", ["/wallet/getblock", "/wallet/gettransactioninfobyblocknum", "/wallet/listwitnesses",
                                  "/wallet/getnextmaintenancetime", "/wallet/getchainparameters"])  # fmt: skip
async def test_no_bent_answer_is_believed_for_what_hashes_cover(path: str) -> None:
    chain = TronChain()
    chain.mine(
        pay(SHOP, 5, memo=b"m"), pay_numbered(SHOP, 6, b"1002000", nonce=1), call(log(SHOP, 7), nonce=2, internals=[internal(SHOP, 8)])
    )  # fmt: skip
    chance = random.Random(SEED)
    async with start_tron_node(chain, keeps_internal=True) as node:
        async with TronSource(chain.traits(), [node.endpoint()]) as source:
            (honest,) = await source.choose_provider().fetch_blocks(1, 1)
        refused = 0
        for _ in range(BENDS):
            async with TronSource(chain.traits(), [node.endpoint()]) as source:
                provider = source.choose_provider()
                await provider.fetch_network_id()

                def bent(at: str, _body: Any, answer: Any) -> Any:
                    return bend(answer, chance) if at == path else answer

                node.bend = bent
                try:
                    (block,) = await provider.fetch_blocks(1, 1)
                except ChainError:
                    refused += 1
                    continue
                finally:
                    node.heal()
            assert block.header == honest.header
            assert block.hold is not Hold.NONE
            # An outcome in words that nobody knows cannot be held against the root: from there on nothing is confirmed.
            assert block.hold is Hold.CHAIN or covered(block) == covered(honest)
        assert refused or "info" not in path
