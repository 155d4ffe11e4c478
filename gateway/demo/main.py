"""`chainbell demo`: starts the chain, the program and the shop, and plays the story on the terminal.

Lives here: the order of starting and stopping, and what is said meanwhile. Does not live here: the chain (`devnet`), the
real program (`program`), the shop with its books (`shop`), what happens to them (`story`).
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from gateway.demo.devnet import Devnet, DevnetFailure, open_devnet
from gateway.demo.program import Program, ProgramFailure, open_program
from gateway.demo.shop import open_shop
from gateway.demo.story import TILLS, USDT, Story, StoryFailure

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
    """The whole demo; raises `DevnetFailure`, `ProgramFailure` or `StoryFailure`."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chainbell-demo-")))
        narrate("starting a local chain (anvil) with a play-money USDT")
        devnet = await stack.enter_async_context(open_devnet())
        await devnet.mine()
        await devnet.deploy_token()
        narrate("starting chainbell with its own PostgreSQL; the first start takes a few seconds")
        program = await stack.enter_async_context(open_program(folder, devnet))
        narrate(f"chainbell answers at {program.base_url} (API: /docs, health: /readyz, metrics: /metrics)")
        shop = await stack.enter_async_context(open_shop(tell))
        story = Story(devnet, program, shop, narrate)
        await story.prepare()
        await story.pay_and_confirm()
        await story.move()
        await story.take_away()
        await story.finish()
        told = len(shop.events)
        narrate(
            f"{told} events, each received and verified by an independent library; none missing, none too much"
        )
        if not once:
            await _stay(devnet, program)


async def _stay(devnet: Devnet, program: Program) -> None:
    """Go on with a payment now and then, until Ctrl-C."""
    narrate(f"the demo goes on until Ctrl-C; try it: curl -H 'Authorization: Bearer {program.api_key}' \\")
    narrate(f"  {program.base_url}/v1/deposits")
    block = 0
    while True:
        if block % 6 == 0:
            await devnet.pay_token(TILLS["order-1001"], (1 + block % 9) * USDT)
        await devnet.mine()
        block += 1
        await asyncio.sleep(LIVELY_BLOCK_S)


def run_demo(*, once: bool) -> int:
    """Play the demo; 0 when every expected event was received and verified, 1 otherwise."""
    try:
        asyncio.run(play(once=once))
    except (DevnetFailure, ProgramFailure, StoryFailure) as failure:
        print(f"demo: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print()
        return 0
    return 0
