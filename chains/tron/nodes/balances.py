"""TRX balances after a block, from nodes that keep their history.

`getaccountbalance` is asked by id and height; nodes answer it only where
`storage.balance.history.lookup` is on, which is rare.  Of TRC-20 and TRC-10 no
call is made at a height: then there is the typed refusal that an audit takes
for "cannot be told", and never a balance of another block.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

from chains.errors import Inconsistent, Missing, Pruned, Refused
from chains.model import Address, BlockRef
from chains.rpc.throttle import Priority
from chains.tron.nodes.node import FULL, TronNode, ask_together
from chains.tron.rows.messages import Unwritable, read_int


class _Balance(Struct):
    balance: int | str = 0


_BALANCE: Final = msgspec.json.Decoder(_Balance)


async def fetch_balances(
    node: TronNode, priority: Priority, wanted: Sequence[tuple[Address, Address | None]], block: BlockRef
) -> list[int]:
    """In base units; raises `Missing` for a block that is not canonical, `Pruned` where they are not told."""
    if not wanted:
        return []
    shown = await node.fetch_header(str(block.height), priority)
    if shown is None or shown.hash != block.hash:
        raise Missing(f"does not call the block {block.hash.hex()} canonical")
    if any(contract is not None for _, contract in wanted):
        raise Pruned("tells balances of tokens at its head only")
    return await ask_together([_fetch_balance(node, priority, address, block) for address, _ in wanted])


async def _fetch_balance(node: TronNode, priority: Priority, address: Address, block: BlockRef) -> int:
    body: dict[str, object] = {
        "account_identifier": {"address": address.hex()},
        "block_identifier": {"hash": block.hash.hex(), "number": block.height},
    }
    try:
        told = await node.ask(f"{FULL}/getaccountbalance", body, _BALANCE, priority)
    except Refused as error:
        raise Pruned(f"keeps no balances of block {block.height}: {error.detail}") from None
    try:
        return 0 if told is None else read_int(told.balance)
    except Unwritable as error:
        raise Inconsistent(f"a balance that is none: {error}") from None
