"""`chainbell secrets reseal`: every stored secret under the first key, and the word of what can not be read."""

from __future__ import annotations

from datetime import UTC, datetime

from migrations.connect import connect
from relay.desk import endpoints
from relay.desk.terms import EndpointTerms, Rules
from relay.keys.secretbox import SecretBox
from tests.commands.shell import ENCRYPTION_KEY, Shell
from tests.database.relay.stages import MERCHANT

NEW_KEY = "bmV3LW5ldy1uZXctbmV3LW5ldy1uZXctbmV3LW5ldyE="


async def test_secrets_move_to_a_new_key_and_what_can_not_be_read_is_said(shell: Shell) -> None:
    box, rules = SecretBox([b"01234567890123456789012345678901"]), Rules((), allow_private_networks=False)
    conn = await connect(shell.database_url, application_name="test")
    async with conn.transaction():
        await endpoints.create_endpoint(
            conn,
            box,
            MERCHANT,
            EndpointTerms(url="https://shop.example/"),
            rules=rules,
            now=datetime.now(UTC),
        )
    await conn.close()
    config = shell.folder / "chainbell.toml"
    text = config.read_text()
    config.write_text(text.replace(f'"{ENCRYPTION_KEY}"', f'["{NEW_KEY}", "{ENCRYPTION_KEY}"]'))
    moved = await shell.run("secrets", "reseal", "--json")
    assert (moved.status, moved.json) == (0, {"moved": 2, "unreadable": 0})
    again = await shell.run("secrets", "reseal")
    assert (again.status, again.out) == (
        0,
        "0 moved, 0 can not be read: the keys after the first one may go\n",
    )
    config.write_text(text)
    lost = await shell.run("secrets", "reseal")
    assert (lost.status, lost.out) == (1, "0 moved, 2 can not be read: keep the keys after the first one\n")
