"""Every command: what it prints, what it changes, and the status it ends with."""

from __future__ import annotations

import asyncio
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from gateway.cli import build_parser
from gateway.commands import PLACES, import_command
from gateway.commands.frame import Group
from migrations.connect import connect
from migrations.runner import MIGRATION_LOCK_KEY, load_migrations, migrate
from tests.commands.shell import ADMIN_TOKEN, Shell

DEAD_CHAIN = """
[chains.local]
family = "evm"
chain_id = 31337
native = { symbol = "ETH", decimals = 18, slip44 = 60 }
endpoints = ["http://user:s3cret@127.0.0.1:1/k3y", "ws://127.0.0.1:1/k3y"]
"""

HEAVY = {"gateway.compose", "gateway.http.edge.app", "web3"}
WITH_THE_HOUSE = {"run", "doctor", "chain", "audit", "verify"}
"""Commands that run the house, or ask its nodes."""

BAD_USE = [
    ((), "COMMAND"),
    (("nonsense",), "invalid choice"),
    (("merchant",), "COMMAND"),
    (("merchant", "create"), "--name"),
    (("merchant", "create", "--name", ""), "1 to 200 characters"),
    (("merchant", "disable"), "--merchant is needed"),
    (("merchant", "disable", "mer_x"), "not an id of the form mer_"),
    (("key", "create", "--merchant", "mer_" + "0" * 26, "--scope", "everything"), "invalid choice"),
    (("run", "--chain", "nowhere"), "--chain nowhere: not configured"),
    (("run", "--role", "king"), "invalid choice"),
    (("rescan", "--chain", "local", "--from", "5", "--to", "4"), "the first not above the last"),
    (("rescan", "--chain", "nowhere", "--from", "0", "--to", "4"), "not configured; configured: local"),
    (("audit", "--chain", "nowhere", "--from", "0", "--to", "4"), "not configured"),
    (("chain", "accept-reorg", "--chain", "local", "--fork", "0x12"), "64 hexadecimal digits"),
    (("replay", "--endpoint", "end_x", "--from-sequence", "1"), "not an id of the form end_"),
    (("replay", "--endpoint", "end_" + "0" * 26), "one of the arguments"),
    (
        ("replay", "--endpoint", "end_" + "0" * 26, "--deposit", "end_" + "0" * 26),
        "--deposit: not an id of the form dep_",
    ),
    (
        ("replay", "--endpoint", "end_" + "0" * 26, "--exhausted-since", "yesterday"),
        "--exhausted-since: Invalid",
    ),
    (("replay", "--endpoint", "end_" + "0" * 26, "--exhausted-since", "2026-11-20"), "say the zone too"),
    (("trail", "--limit", "0"), "1 to 10000"),
    (("trail", "--days", "nan"), "a number of days"),
    (("merchant", "list", "--config", "/no/such/file.toml"), "can not be read"),
]


async def test_bad_use_and_bad_configuration_end_with_2_and_say_why(shell: Shell) -> None:
    shell.extra = DEAD_CHAIN
    shell.write_config()
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(shell.run(*arguments)) for arguments, _ in BAD_USE]
    for (arguments, said), task in zip(BAD_USE, running, strict=True):
        ended = task.result()
        assert (ended.status, ended.out) == (2, ""), arguments
        assert said in ended.err, (arguments, ended.err)
        assert "Traceback" not in ended.err


async def test_an_unset_variable_and_an_unknown_key_are_named(shell: Shell) -> None:
    shell.extra = '[chains.ethereum]\nendpoints = ["$NO_SUCH_VARIABLE"]\nconfrimed = 1\n'
    shell.write_config()
    ended = await shell.run("run")
    assert ended.status == 2
    assert "chains.ethereum.endpoints[0]: the environment variable NO_SUCH_VARIABLE is not set" in ended.err
    assert "chains.ethereum.confrimed: unknown key; did you mean confirmed?" in ended.err


async def test_a_database_that_does_not_answer_or_refuses_is_1(shell: Shell) -> None:
    for url in ("postgresql://x@127.0.0.1:1/x", shell.database_url.replace("chainbell:", "chainbell:x", 1)):
        ended = await shell.run("merchant", "list", TEST_DATABASE=url)
        assert ended.status == 1, ended.err
        assert "database" in ended.err
        assert "Traceback" not in ended.err


def test_commands_that_run_no_house_do_not_import_it() -> None:
    names = [name for name in PLACES if name not in WITH_THE_HOUSE]
    program = f"import sys; from gateway.cli import build_parser; [build_parser(name) for name in {names}]; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())


def test_a_command_alone_is_entered_as_it_stands_in_the_whole_tree(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for line in [[name, "--help"] for name in PLACES] + [[name, "--nonsense"] for name in PLACES]:
        said = []
        for parser in (build_parser(), build_parser(line[0])):
            with pytest.raises(SystemExit):
                parser.parse_args(line)
            said.append(capsys.readouterr())
        assert said[0] == said[1], line


async def test_every_command_takes_config_json_and_help() -> None:
    lines = []
    for command in map(import_command, PLACES):
        if isinstance(command, Group):
            lines += [[command.name, one.name] for one in command.commands]
        else:
            lines.append([command.name])
    for line in lines:
        with pytest.raises(SystemExit) as ended:
            build_parser().parse_args([*line, "--help"])
        assert ended.value.code == 0, line


@pytest.mark.timeout(300)  # a dozen processes, one after the other
async def test_a_merchant_and_its_keys_from_beginning_to_end(shell: Shell) -> None:
    made = await shell.run("merchant", "create", "--name", "My shop")
    assert (made.status, set(made.json)) == (0, {"merchant_id", "api_key"})
    merchant, key = made.json["merchant_id"], made.json["api_key"]
    listed = (await shell.run("merchant", "list", "--json")).json["items"]
    assert [(one["merchant_id"], one["name"]) for one in listed] == [(merchant, "My shop")]
    assert "My shop" in (await shell.run("merchant", "list")).out
    more = (await shell.run("key", "create", merchant, "--scope", "deposits")).json
    assert more["scopes"] == ["deposits"]
    keys = (await shell.run("key", "list", "--merchant", merchant, "--json")).json["items"]
    assert len(keys) == 2
    trail = (await shell.run("trail", "--days", "1", "--json")).json["items"]
    assert [(one["action"], one["actor"].split(":")[0]) for one in trail][-1] == (
        "merchant-created",
        "command",
    )
    assert merchant in (await shell.run("trail", "--limit", "5")).out
    assert key not in str(trail)
    async with shell.service("--role", "gateway"):
        assert await shell.get("/v1/deposits", key) == 200
        assert (await shell.run("key", "revoke", more["key_id"])).status == 0
        assert await shell.get("/v1/deposits", more["api_key"]) == 401
        assert (await shell.run("merchant", "disable", "--merchant", merchant)).status == 0
        assert await shell.get("/v1/deposits", key) == 401
        assert (await shell.run("merchant", "enable", merchant)).status == 0
        assert await shell.get("/v1/deposits", key) == 200
        assert await shell.get("/v1/merchants", ADMIN_TOKEN) == 200
    assert (await shell.run("key", "revoke", "key_" + "0" * 26)).status == 1


async def test_migrate_checks_applies_and_has_nothing_left(empty_database_url: str, tmp_path: Path) -> None:
    shell = Shell(tmp_path, empty_database_url)
    before = await shell.run("migrate", "--check", "--json")
    assert before.status == 1
    assert "0001_indexer.sql" in before.json["pending"]
    applied = await shell.run("migrate", "--json")
    assert applied.json["applied"] == before.json["pending"]
    after = await shell.run("migrate", "--check")
    assert (after.status, after.out) == (0, "nothing is pending\n")


async def test_a_command_waits_for_a_migration_that_is_under_way(
    empty_database_url: str, tmp_path: Path
) -> None:
    """As right after the first `chainbell run`: another process holds the lock, and some migrations are there."""
    other = await connect(empty_database_url, application_name="test")
    await migrate(other, load_migrations()[:1])
    await other.fetchval("select pg_advisory_lock($1)", MIGRATION_LOCK_KEY)
    command = asyncio.create_task(
        Shell(tmp_path, empty_database_url).run("merchant", "create", "--name", "x")
    )
    waiting = "select exists (select from pg_locks where locktype = 'advisory' and not granted)"
    while not command.done() and not await other.fetchval(waiting):  # noqa: ASYNC110  (a lock sends no event)
        await asyncio.sleep(0.01)
    await migrate(other)
    await other.close()
    ended = await command
    assert ended.status == 0, ended.err


async def test_the_doctor_names_a_dead_provider_by_host_and_says_what_to_do(shell: Shell) -> None:
    shell.extra = DEAD_CHAIN
    shell.write_config()
    ended, told = await asyncio.gather(shell.run("doctor", "--json"), shell.run("doctor"))
    assert (ended.status, told.status) == (1, 1)
    checks = {check["check"]: check for check in ended.json["checks"]}
    dead = checks["local 127.0.0.1:1"]
    assert dead["grade"] == "fail"
    assert dead["advice"]
    assert checks["database"]["grade"] == "ok"
    assert checks["schema"]["grade"] == "ok"
    for one in (ended, told):
        assert "s3cret" not in one.out + one.err
        assert "k3y" not in one.out + one.err


async def test_chains_without_a_first_block_are_said_to_be_so(shell: Shell) -> None:
    shell.extra = DEAD_CHAIN
    shell.write_config()
    status = await shell.run("chain", "status", "--json")
    assert [(one["alias"], one["state"]) for one in status.json["items"]] == [("local", "not_followed")]
    for command in (
        ("chain", "resume", "--chain", "local"),
        ("rescan", "--chain", "local", "--from", "0", "--to", "1"),
        ("audit", "--chain", "local", "--from", "0", "--to", "1"),
    ):
        ended = await shell.run(*command)
        assert (ended.status, "first block" in ended.err) == (1, True), ended.err


async def test_a_backup_fills_an_empty_installation_and_no_other(
    shell: Shell, empty_database_url: str, tmp_path: Path
) -> None:
    merchant = (await shell.run("merchant", "create", "--name", "Shop")).json["merchant_id"]
    file = tmp_path / "backup.chainbell"
    assert (await shell.run("backup", str(file))).status == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (tmp_path / "new").mkdir()
    fresh = Shell(tmp_path / "new", empty_database_url)
    restored = await fresh.run("restore", str(file))
    assert restored.status == 0, restored.err
    assert [one["merchant_id"] for one in (await fresh.run("merchant", "list", "--json")).json["items"]] == [
        merchant
    ]
    again = await fresh.run("restore", str(file))
    assert (again.status, "not empty" in again.err) == (1, True)
    file.write_bytes(file.read_bytes()[:-100])
    assert (await fresh.run("restore", str(file))).status == 1


async def test_a_backup_whose_key_is_not_configured_is_refused_before_anything_is_written(
    shell: Shell, empty_database_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "backup.chainbell"
    await shell.run("backup", str(file))
    (tmp_path / "new").mkdir()
    other = Shell(tmp_path / "new", empty_database_url)
    config = tmp_path / "new" / "chainbell.toml"
    config.write_text(config.read_text().replace("MDEy", "MTEy"))
    ended = await other.run("restore", str(file))
    assert (ended.status, "secrets.encryption_key lacks a key" in ended.err) == (1, True)
    assert (await other.run("migrate", "--check")).status == 1


async def test_a_replay_of_an_unknown_endpoint_is_1(shell: Shell) -> None:
    ended = await shell.run("replay", "--endpoint", "end_" + "0" * 26, "--from-sequence", "1")
    assert (ended.status, ended.err.strip()) == (1, "chainbell: no such endpoint")


async def test_a_stop_is_clean_and_quick_also_with_open_streams(shell: Shell) -> None:
    key = (await shell.run("merchant", "create", "--name", "Shop")).json["api_key"]
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        shell.service() as process,
        aiohttp.ClientSession(headers=headers) as session,
        session.get(shell.base_url + "/v1/events/stream") as stream,
        asyncio.TaskGroup() as group,
    ):
        await stream.content.readline()
        polling = group.create_task(shell.get("/v1/events?wait=30", key))
        await asyncio.sleep(0.5)  # the poll must have arrived; it has no other sign
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        await stream.read()
        assert await polling == 200
        assert await process.wait() == 0
        assert time.monotonic() - started < 10


async def test_an_address_in_use_is_a_configuration_error(shell: Shell) -> None:
    async with shell.service("--role", "gateway"):
        ended = await shell.run("run", "--role", "gateway")
    assert ended.status == 2
    assert "can not listen on" in ended.err


async def test_a_role_without_the_api_answers_health_where_it_is_told_to(shell: Shell) -> None:
    shell.extra = ""
    shell.write_config()
    config = shell.folder / "chainbell.toml"
    config.write_text(config.read_text().replace("[http]\nbind", "[http]\nhealth_bind"))
    async with shell.service("--role", "relay"):
        assert await shell.get("/readyz", "x") == 200
        assert await shell.get("/metrics", "x") == 200
        assert await shell.get("/v1/merchants", ADMIN_TOKEN) == 404


async def test_a_chain_without_a_usable_provider_is_not_ready_and_the_api_answers(shell: Shell) -> None:
    shell.extra = DEAD_CHAIN
    shell.write_config()
    key = (await shell.run("merchant", "create", "--name", "Shop")).json["api_key"]
    async with shell.service() as process:
        assert await shell.get("/readyz", "x") == 503
        assert await shell.get("/v1/chains", key) == 200
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
        assert process.stdout is not None
        log = (await process.stdout.read()).decode()
    assert "s3cret" not in log
    assert "k3y" not in log
