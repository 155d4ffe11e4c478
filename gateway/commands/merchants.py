"""`chainbell merchant` and `chainbell key`: who is told about deposits, and with which keys they call.

Lives here: the commands. Does not live here: what they do (`gateway.merchants`). A key is printed once, when it is made,
and can not be shown again.
"""

from __future__ import annotations

import argparse

from msgspec import structs

from gateway import store
from gateway.apikeys import ALL_SCOPES, Scope
from gateway.commands.frame import BadUse, Command, CommandFailed, Frame, Group
from gateway.config.keyfiles import load_keys
from gateway.http.resources.merchants import view_key, view_merchant
from gateway.merchants import (
    NewKey,
    check_name,
    create_key,
    create_merchant,
    revoke_key,
    set_merchant_disabled,
)
from gateway.process.database import open_for_command
from gateway.process.terminal import format_table
from migrations.ids import encode_id

LISTED_MAX = 100_000


async def _create(frame: Frame) -> int:
    name: str = frame.arguments.name
    if flaw := check_name(name):
        raise BadUse(f"--name: {flaw}")
    settings = frame.settings()
    load_keys(settings)  # the first command of an installation makes its secrets, whichever it is
    async with open_for_command(settings) as pool:
        merchant, key = await create_merchant(pool, name, actor=frame.actor, now=frame.now())
    frame.terminal.data({"merchant_id": encode_id("mer", merchant.id), "api_key": key.api_key.text})
    return 0


async def _list(frame: Frame) -> int:
    async with open_for_command(frame.settings()) as pool:
        merchants = await store.list_merchants(pool, after=None, limit=LISTED_MAX)
    rows = [structs.asdict(view_merchant(merchant)) for merchant in merchants]
    columns = ("merchant_id", "name", "created_at", "disabled_at")
    frame.terminal.data({"items": rows}, lambda: format_table(rows, columns))
    return 0


async def _set_disabled(frame: Frame) -> int:
    merchant_id = frame.id_of("mer", "merchant", "merchant_id")
    disabled: bool = frame.arguments.disabled
    async with open_for_command(frame.settings()) as pool:
        merchant = await set_merchant_disabled(
            pool, merchant_id, disabled=disabled, actor=frame.actor, now=frame.now()
        )
    if merchant is None:
        raise CommandFailed(f"there is no merchant {encode_id('mer', merchant_id)}")
    word = "disabled: its keys are refused, its deliveries wait" if disabled else "enabled"
    frame.terminal.data(view_merchant(merchant), lambda: [f"{merchant.name} is {word}"])
    return 0


async def _create_key(frame: Frame) -> int:
    merchant_id = frame.id_of("mer", "merchant", "merchant_id")
    scopes = [Scope(scope) for scope in frame.arguments.scope or ALL_SCOPES]
    async with open_for_command(frame.settings()) as pool:
        key: NewKey | None = await create_key(pool, merchant_id, scopes, actor=frame.actor, now=frame.now())
    if key is None:
        raise CommandFailed(f"there is no merchant {encode_id('mer', merchant_id)}")
    frame.terminal.data(
        {"key_id": encode_id("key", key.row.id), "api_key": key.api_key.text, "scopes": list(key.row.scopes)}
    )
    return 0


async def _list_keys(frame: Frame) -> int:
    merchant_id = frame.id_of("mer", "merchant", "merchant_id")
    async with open_for_command(frame.settings()) as pool:
        async with pool.acquire() as conn:
            merchant = await store.load_merchant(conn, merchant_id)
        if merchant is None:
            raise CommandFailed(f"there is no merchant {encode_id('mer', merchant_id)}")
        keys = await store.list_api_keys(pool, merchant_id, after=None, limit=LISTED_MAX)
    rows = [structs.asdict(view_key(key)) for key in keys]
    columns = ("key_id", "scopes", "created_at", "revoked_at")
    shown = [{**row, "scopes": " ".join(key.scopes)} for row, key in zip(rows, keys, strict=True)]
    frame.terminal.data({"items": rows}, lambda: format_table(shown, columns))
    return 0


async def _revoke_key(frame: Frame) -> int:
    key_id = frame.id_of("key", "key", "key_id")
    async with open_for_command(frame.settings()) as pool:
        key = await revoke_key(pool, key_id, actor=frame.actor, now=frame.now())
    if key is None:
        raise CommandFailed(f"there is no key {encode_id('key', key_id)}")
    frame.terminal.data(view_key(key), lambda: [f"{encode_id('key', key_id)} is revoked"])
    return 0


def _create_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", required=True, help="how people call this merchant")


def _merchant_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("merchant_id", nargs="?", metavar="MERCHANT", help="mer_…")
    parser.add_argument("--merchant", metavar="MERCHANT", help="the same, by name")


def _disable_arguments(parser: argparse.ArgumentParser) -> None:
    _merchant_arguments(parser)
    parser.set_defaults(disabled=True)


def _enable_arguments(parser: argparse.ArgumentParser) -> None:
    _merchant_arguments(parser)
    parser.set_defaults(disabled=False)


def _create_key_arguments(parser: argparse.ArgumentParser) -> None:
    _merchant_arguments(parser)
    parser.add_argument(
        "--scope",
        action="append",
        choices=[scope.value for scope in ALL_SCOPES],
        help="what the key may touch; may be repeated; all when left out",
    )


def _revoke_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key_id", nargs="?", metavar="KEY", help="key_…")
    parser.add_argument("--key", metavar="KEY", help="the same, by name")


MERCHANT = Group(
    "merchant",
    "merchants: create, list, disable, enable",
    (
        Command("create", "make a merchant and print its first key, once", _create, _create_arguments),
        Command("list", "every merchant", _list),
        Command("disable", "refuse its keys and let its deliveries wait", _set_disabled, _disable_arguments),
        Command("enable", "take a disabling back", _set_disabled, _enable_arguments),
    ),
)

KEY = Group(
    "key",
    "API keys of a merchant: create, list, revoke",
    (
        Command("create", "make one more key and print it, once", _create_key, _create_key_arguments),
        Command("list", "every key of a merchant, without its secret", _list_keys, _merchant_arguments),
        Command("revoke", "refuse a key from now on", _revoke_key, _revoke_arguments),
    ),
)
