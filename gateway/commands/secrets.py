"""`chainbell secrets reseal`: move every stored secret to today's form under the first encryption key, without a start.

Lives here: the command. Does not live here: the work (relay.keys.reseal), which `run` does at each start, too.
"""

from __future__ import annotations

from gateway.commands.frame import Command, Frame, Group
from gateway.config.keyfiles import load_keys
from gateway.process.database import open_for_command
from relay.keys.reseal import reseal_all
from relay.keys.secretbox import SecretBox


async def _reseal(frame: Frame) -> int:
    settings = frame.settings()
    keys = load_keys(settings)
    async with open_for_command(settings) as pool, pool.acquire() as conn:
        done = await reseal_all(conn, SecretBox(keys.encryption_keys))
    view = {"moved": done.moved, "unreadable": done.unreadable}
    may_go = "keep the keys after the first one" if done.unreadable else "the keys after the first one may go"
    frame.terminal.data(view, lambda: [f"{done.moved} moved, {done.unreadable} can not be read: {may_go}"])
    return 1 if done.unreadable else 0


SECRETS = Group(
    "secrets",
    "what is sealed in the database",
    (Command("reseal", "move every sealed value to the first encryption key", _reseal),),
)
