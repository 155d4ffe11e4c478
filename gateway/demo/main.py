"""`chainbell demo`: starts the chain, the program and the shop, and plays the story on the terminal.

Lives here: the order of starting and stopping, and what is said meanwhile. Does not live here: the chain (`devnet`), the
real program (`program`), the shop with its books (`shop`), what happens to them (`story`).
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from gateway.demo.devnet import DevnetFailure, open_devnet
from gateway.demo.program import Program, ProgramFailure, open_program
from gateway.demo.regtest import open_regtest
from gateway.demo.shop import open_shop
from gateway.demo.story import TILLS, USDT, Story, StoryFailure, Telling
from gateway.demo.story_bitcoin import COIN, BitcoinStory

LIVELY_BLOCK_S = 1.5

COLOURS = {
    "deposit.included": "36",
    "deposit.confirmed": "32",
    "deposit.final": "1;32",
    "deposit.moved": "33",
    "deposit.reversed": "1;31",
}


def paint(text: str, colour: str | None) -> str:
    """Coloured on a terminal, plain elsewhere."""
    if colour is None or not sys.stdout.isatty():
        return text
    return f"\x1b[{colour}m{text}\x1b[0m"


def narrate(line: str) -> None:
    """One line of the story."""
    print(paint(f"  {line}", "2"), flush=True)


def tell(event: dict[str, Any]) -> None:
    """One verified webhook, as the shop sees it."""
    deposit = event["data"].get("deposit")
    name = paint(event["type"].ljust(18), COLOURS.get(event["type"]))
    if deposit is None:
        print(f"♪ {name} #{event['sequence']}", flush=True)
        return
    block = deposit["block"]
    place = "in no block" if block is None else f"block {block['height']}"
    amount = f"{deposit['amount']} {deposit['symbol']}".rjust(9)
    credited = f"credited {int(deposit['credited_base_units']) and deposit['amount']}"
    print(
        f"♪ {name} #{event['sequence']:<3} {deposit['reference']}  {amount}  {place:<11}  "
        f"{deposit['confirmations']:>2} conf.  {credited}",
        flush=True,
    )


async def play(*, once: bool) -> None:
    """The whole demo on an EVM chain; raises `DevnetFailure`, `ProgramFailure` or `StoryFailure`."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chainbell-demo-")))
        narrate("starting a local chain (anvil) with a play-money USDT")
        devnet = await stack.enter_async_context(open_devnet())
        await devnet.mine()
        await devnet.deploy_token()
        narrate("starting chainbell with its own PostgreSQL; the first start takes a few seconds")
        telling = await _open_shop(stack, folder, devnet.configuration)
        story = Story(devnet, telling)
        await story.prepare()
        await story.pay_and_confirm()
        await story.move()
        await story.take_away()
        await story.finish()
        _sum_up(telling)
        if not once:
            await _stay(telling.program, devnet.mine, lambda: devnet.pay_token(TILLS["order-1001"], USDT))


async def play_bitcoin(*, once: bool) -> None:
    """The same on Bitcoin, by a node on regtest."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chainbell-demo-")))
        narrate("starting a bitcoind on regtest, with play money")
        node = await stack.enter_async_context(open_regtest(folder))
        narrate("starting chainbell with its own PostgreSQL; the first start takes a few seconds")
        telling = await _open_shop(stack, folder, node.configuration)
        story = BitcoinStory(node, telling)
        await story.prepare()
        await story.pay_and_confirm()
        await story.take_back()
        await story.put_off()
        await story.finish()
        _sum_up(telling)
        if not once:
            await _stay(telling.program, node.mine, lambda: node.pay(story.tills["order-2001"], COIN // 100))


async def _open_shop(stack: AsyncExitStack, folder: Path, chain: str) -> Telling:
    program = await stack.enter_async_context(open_program(folder, chain))
    narrate(f"chainbell answers at {program.base_url} (API: /docs, health: /readyz, metrics: /metrics)")
    shop = await stack.enter_async_context(open_shop(tell))
    return Telling(program, shop, narrate)


def _sum_up(telling: Telling) -> None:
    told = len(telling.shop.events)
    narrate(
        f"{told} events, each received and verified by an independent library; none missing, none too much"
    )


async def _stay(
    program: Program, mine: Callable[[], Awaitable[None]], pay: Callable[[], Awaitable[str]]
) -> None:
    """Go on with a payment now and then, until Ctrl-C."""
    narrate(f"the demo goes on until Ctrl-C; try it: curl -H 'Authorization: Bearer {program.api_key}' \\")
    narrate(f"  {program.base_url}/v1/deposits")
    block = 0
    while True:
        if block % 6 == 0:
            await pay()
        await mine()
        block += 1
        await asyncio.sleep(LIVELY_BLOCK_S)


PLAYS: Mapping[str, Callable[..., Awaitable[None]]] = {"evm": play, "bitcoin": play_bitcoin}


def run_demo(*, chain: str, once: bool) -> int:
    """Play the demo on this kind of chain; 0 when every expected event was received and verified, 1 otherwise."""
    try:
        asyncio.run(PLAYS[chain](once=once))  # type: ignore[arg-type]  # plays are coroutines
    except (DevnetFailure, ProgramFailure, StoryFailure) as failure:
        print(f"demo: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print()
        return 0
    return 0
