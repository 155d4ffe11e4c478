"""A backup is the whole database at one moment, and a restore is that database or nothing."""

from __future__ import annotations

import asyncio
import datetime as dt
import gzip
import random
import stat
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from zipfile import ZIP_LZMA, ZipFile

import asyncpg
import msgspec
import pytest

from migrations import archive, backup
from migrations.archive import verify_archive
from migrations.backup import SEEDED_BY_MIGRATIONS, read_backup, write_backup
from migrations.connect import connect
from migrations.errors import BackupProblem
from migrations.handles import Connection
from migrations.runner import Migration, migrate, parse_migrations
from relay.log import audit
from relay.log import eventlog as log
from relay.log.bodies import RelayFact
from relay.log.prune import Pruned, step_prune
from relay.settings import RelaySettings
from tests.conftest import DatabaseServer, own_database

KEYS = {"encryption-key": b"\x00\xff" * 16, "admin-token": b"secret\n"}

AWKWARD = b"""
create sequence counter;
create table z_parent (id bigint generated always as identity primary key, amount numeric(78, 0), twice numeric
  generated always as (amount * 2) stored, note jsonb, tags text[], at timestamptz, raw bytea, dropped text);
alter table z_parent drop column dropped;
create table a_child (parent bigint not null references z_parent, self uuid primary key, other uuid references a_child);
create table "Odd name" ("Its column" text);
create table never_used (n bigint);
create table relay_shards (shard bigint primary key);
insert into relay_shards select generate_series(0, 63);
create table log (at date not null, n bigint not null) partition by range (at);
create table log_default partition of log default;
create table log_2026 partition of log for values from ('2026-01-01') to ('2027-01-01');
create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$;
create trigger refuses before insert on "Odd name" for each row when (new."Its column" <> 'first') execute function refuse();
"""


def awkward() -> tuple[Migration, ...]:
    return parse_migrations({"0001_awkward.sql": AWKWARD})


@pytest.fixture
async def source_url(empty_database_url: str, rng: random.Random) -> str:
    """A database with rows of every awkward kind."""
    conn = await migrated(empty_database_url)
    for n in range(200):
        await conn.execute(
            "insert into z_parent (amount, note, tags, at, raw) values ($1, $2, $3, now(), $4)",
            2**256 - 1 - n,
            {"n": n, "text": "ü"},
            ["a,b", '"', ""],
            rng.randbytes(400),
        )
    one, other = uuid.UUID(int=1), uuid.UUID(int=2)
    await conn.execute("insert into a_child values (1, $1, $2), (2, $2, $1)", one, other)
    await conn.execute("""insert into "Odd name" values ('first')""")
    await conn.execute("""alter table "Odd name" disable trigger user""")
    await conn.execute("""insert into "Odd name" values ('second')""")
    await conn.execute("""alter table "Odd name" enable trigger user""")
    await conn.execute(
        "create table log_2027 partition of log for values from ('2027-01-01') to ('2028-01-01')"
    )
    await conn.execute("insert into log select date '2025-06-01' + n, n from generate_series(0, 900) as n")
    await conn.execute("update relay_shards set shard = shard + 100 where shard < 10")
    await conn.fetchval("select count(nextval('counter')) from generate_series(1, 41)")
    await conn.close()
    return empty_database_url


@pytest.fixture
async def target_url(database_server: DatabaseServer) -> AsyncIterator[str]:
    """Another database of the same schema, with no row that the migration has not made."""
    async with own_database(database_server, "template1") as url:
        await (await migrated(url)).close()
        yield url


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "chainbell.backup"


@pytest.fixture
def older_file(file: Path) -> Path:
    file.write_text("the older one")
    return file


def mode_of(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def texts_beside(file: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in file.parent.iterdir()}


async def migrated(url: str) -> asyncpg.Connection[asyncpg.Record]:
    conn = await connect(url, application_name="test")
    await migrate(conn, awkward())
    return conn


async def content(url: str) -> dict[str, list[str]]:
    """Every row of every table as text."""
    conn = await connect(url, application_name="test")
    names = await conn.fetch(
        "select oid::regclass::text as name from pg_class where relnamespace = 'public'::regnamespace "
        "and relkind in ('r', 'p') and not relispartition and relname <> 'schema_migrations' order by 1"
    )
    rows = {
        row["name"]: [
            line["line"]
            for line in await conn.fetch(f"select t::text as line from {row['name']} as t order by 1")
        ]
        for row in names
    }
    await conn.close()
    return rows


async def test_what_is_restored_is_what_was_there_to_the_last_bit(
    source_url: str, target_url: str, file: Path
) -> None:
    await write_backup(source_url, file, KEYS)
    assert mode_of(file) == 0o600
    assert await read_backup(target_url, file) == KEYS
    restored = await content(target_url)
    assert restored == await content(source_url)
    assert {name: len(rows) for name, rows in restored.items()} == {
        '"Odd name"': 2,
        "a_child": 2,
        "log": 901,
        "never_used": 0,
        "relay_shards": 64,
        "z_parent": 200,
    }


async def test_sequences_go_on_after_the_last_number_given(
    source_url: str, target_url: str, file: Path
) -> None:
    await write_backup(source_url, file, {})
    await read_backup(target_url, file)
    conn = await connect(target_url, application_name="test")
    assert await conn.fetchval("select nextval('counter')") == 42
    assert await conn.fetchval("insert into z_parent (amount) values (1) returning id") == 201
    await conn.close()


async def test_triggers_sleep_during_a_restore_and_are_awake_afterwards(
    source_url: str, target_url: str, file: Path
) -> None:
    await write_backup(source_url, file, {})
    await read_backup(target_url, file)
    conn = await connect(target_url, application_name="test")
    with pytest.raises(asyncpg.RaiseError):
        await conn.execute("""insert into "Odd name" values ('second')""")
    await conn.close()


async def test_rows_of_a_partition_that_is_not_there_go_where_the_schema_sends_them(
    source_url: str, target_url: str, file: Path
) -> None:
    await write_backup(source_url, file, {})
    await read_backup(target_url, file)
    conn = await connect(target_url, application_name="test")
    assert await conn.fetchval("select count(*) from log") == 901
    assert await conn.fetchval("select count(*) from only log_default") == 901 - 365
    await conn.close()


async def test_a_backup_is_of_one_moment_whatever_is_written_meanwhile(
    source_url: str, target_url: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await content(source_url)
    conn = await connect(source_url, application_name="test")
    original = backup._copy_out

    async def disturbed(*arguments: object) -> archive.TableEntry:
        await conn.execute("insert into log values ('2026-05-05', -1)")
        await conn.execute("delete from never_used")
        await conn.execute("insert into never_used values (1)")
        return await original(*arguments)  # type: ignore[arg-type]  # handed on as they came

    monkeypatch.setattr(backup, "_copy_out", disturbed)
    await write_backup(source_url, file, {})
    await conn.close()
    await read_backup(target_url, file)
    assert await content(target_url) == before


async def test_a_large_table_is_read_and_told_piece_by_piece(
    source_url: str, target_url: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "PIECE_BYTES", 1000)
    written: dict[str, int] = {}
    await write_backup(source_url, file, {}, report=written.__setitem__)
    seen: list[tuple[str, int]] = []
    await read_backup(target_url, file, report=lambda table, size: seen.append((table, size)))
    assert len([table for table, _ in seen if table == "z_parent"]) > 20
    assert dict(seen) == written
    assert await content(target_url) == await content(source_url)


async def test_a_database_that_holds_a_row_is_not_touched(
    source_url: str, target_url: str, file: Path
) -> None:
    await write_backup(source_url, file, {})
    conn = await connect(target_url, application_name="test")
    await conn.execute("insert into never_used values (5)")
    before = await content(target_url)
    with pytest.raises(BackupProblem, match="the table never_used is not empty"):
        await read_backup(target_url, file)
    assert await content(target_url) == before
    await conn.close()


async def test_a_database_of_another_schema_is_refused(
    source_url: str, database_url: str, file: Path
) -> None:
    await write_backup(source_url, file, {})
    with pytest.raises(BackupProblem, match="was taken at schema 0001, this database is at"):
        await read_backup(database_url, file)


async def test_what_follows_a_restore_is_part_of_it(source_url: str, target_url: str, file: Path) -> None:
    async def fail(conn: Connection) -> None:
        assert await conn.fetchval("select count(*) from z_parent") == 200
        raise RuntimeError("after all")

    before = await content(target_url)
    await write_backup(source_url, file, {})
    with pytest.raises(RuntimeError, match="after all"):
        await read_backup(target_url, file, after_restore=fail)
    assert await content(target_url) == before
    assert await read_backup(target_url, file) == {}, "and can be repeated"


@pytest.mark.parametrize(
    "damage", ["cut", "member changed", "member missing", "packed otherwise", "no archive", "absent"]
)
async def test_a_damaged_file_is_refused_before_anything_is_written(
    source_url: str, target_url: str, file: Path, damage: str
) -> None:
    await write_backup(source_url, file, KEYS)
    harm(file, damage)
    before = await content(target_url)
    with pytest.raises(BackupProblem, match=r"is damaged|there is no file"):
        await read_backup(target_url, file)
    assert await content(target_url) == before


def harm(file: Path, damage: str) -> None:
    whole = file.read_bytes()
    match damage:
        case "cut":
            file.write_bytes(whole[: len(whole) // 2])
        case "member changed":
            middle = len(whole) // 2
            file.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
        case "member missing":
            pack(file, {name: text for name, text in unpack(file).items() if name != "keys/admin-token"})
        case "packed otherwise":
            members = unpack(file)
            with ZipFile(file, "w", ZIP_LZMA) as repacked:
                for name, text in members.items():
                    repacked.writestr(name, text)
        case "no archive":
            file.write_text("hello")
        case _:
            file.unlink()


def unpack(file: Path) -> dict[str, bytes]:
    with ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(file: Path, members: dict[str, bytes]) -> None:
    with archive.create_archive(file) as made:
        for name, text in members.items():
            made.writestr(name, text)


def test_a_byte_changed_anywhere_is_a_problem_in_words_or_changes_nothing(file: Path) -> None:
    table = archive.TableEntry("log", "log_2026", ("n",), rows=3)
    manifest = archive.Manifest(
        archive.FORMAT, dt.datetime.now(dt.UTC), "18.4", (), (table,), {"counter": 41}, tuple(KEYS)
    )
    members = {archive.KEYS_FOLDER + name: text for name, text in KEYS.items()}
    members |= {table.member: b"three rows", archive.MANIFEST: msgspec.json.encode(manifest)}
    pack(file, members)
    whole, refused = file.read_bytes(), 0
    for at, byte in enumerate(whole):
        file.write_bytes(whole[:at] + bytes([byte ^ 0x06]) + whole[at + 1 :])  # 8, deflate, becomes 14, LZMA
        try:
            assert (verify_archive(file), archive.read_keys(file)) == (manifest, KEYS), at
        except BackupProblem:
            refused += 1
        else:
            assert unpack(file) == members, at
    assert refused > len(whole) / 2


def test_a_file_of_the_older_form_is_told_from_a_damaged_one(file: Path) -> None:
    file.write_bytes(gzip.compress(b"a tar"))
    with pytest.raises(BackupProblem, match="has the format 1, this release reads 2: use the one that wrote"):
        verify_archive(file)


async def test_rows_that_do_not_come_are_missed_and_nothing_is_restored(
    source_url: str, target_url: str, file: Path
) -> None:
    await write_backup(source_url, file, {})
    manifest = verify_archive(file)
    tables = tuple(msgspec.structs.replace(table, rows=table.rows + 1) for table in manifest.tables)
    told = msgspec.json.encode(msgspec.structs.replace(manifest, tables=tables))
    await asyncio.to_thread(lambda: pack(file, unpack(file) | {archive.MANIFEST: told}))
    before = await content(target_url)
    with pytest.raises(
        BackupProblem, match=r"holds 0 rows of .*, its manifest 1|holds 2 rows of .*, its manifest 3"
    ):
        await read_backup(target_url, file)
    assert await content(target_url) == before


async def test_a_backup_that_fails_leaves_the_older_one_and_nothing_else(
    source_url: str, older_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(BackupProblem, match="could not be written: No space left"):
        await write_backup(source_url, older_file, {})
    assert texts_beside(older_file) == {older_file.name: "the older one"}


async def test_the_product_s_own_schema_comes_back_and_its_logs_start_a_new_epoch(
    database_url: str, database_server: DatabaseServer, migrated_template: str, file: Path
) -> None:
    merchant = uuid.UUID(int=7)
    at = dt.datetime(2026, 11, 3, 12, tzinfo=dt.UTC)
    conn = await connect(database_url, application_name="test")
    await conn.execute("insert into merchants (id, name, created_at) values ($1, 'shop', $2)", merchant, at)
    await conn.execute(
        "insert into merchant_logs (merchant_id, sequence, head_at) values ($1, 1, $2)", merchant, at
    )
    await conn.fetchval("select make_events_partition($1)", at.date())
    await conn.execute(
        "insert into event_days (day, merchant_id, first_sequence) values ($1, $2, 1)", at.date(), merchant
    )
    await conn.execute(
        "insert into events (merchant_id, sequence, log_epoch, event_id, object_id, version, type, prev_hash, body, "
        "created_at) values ($1, 1, 1, $1, 'dep_1', 1, 'deposit.seen', decode(repeat('00', 32), 'hex'), '{}', $2)",
        merchant,
        at,
    )
    before = await content(database_url)
    await conn.close()
    await write_backup(database_url, file, KEYS)
    async with own_database(database_server, migrated_template) as url:
        assert await read_backup(url, file, after_restore=log.raise_epochs) == KEYS
        after = await content(url)
        restored = await connect(url, application_name="test")
        assert await restored.fetchval("select log_epoch from merchant_logs") > 1
        await restored.close()
    for changed in ("merchant_logs", "log_epochs"):
        assert before.pop(changed) != after.pop(changed)
    assert before == after


async def test_a_log_of_many_days_comes_back_with_its_days_and_without_what_was_taken_out(
    database_url: str, database_server: DatabaseServer, migrated_template: str, file: Path
) -> None:
    merchant, first = uuid.UUID(int=7), dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
    conn = await connect(database_url, application_name="test")
    for number in range(5):
        fact = RelayFact(merchant, "dep_a", number + 1, "deposit.included", {}, first)
        async with conn.transaction():
            await log.append(conn, [fact], now=first + dt.timedelta(days=number))
    await log.make_partitions(conn, now=first)
    stranger = await connect(database_url, application_name="report")
    now = first + dt.timedelta(days=12)
    await conn.execute("create table retired_events_2026_02_28 (like events)")
    await conn.execute("insert into retired_events_2026_02_28 select * from events limit 1")
    async with stranger.transaction():
        await stranger.fetchval("select count(*) from retired_events_2026_02_28")
        assert await step_prune(conn, RelaySettings(retention_days=10), now=now) is Pruned.MORE
        await write_backup(database_url, file, KEYS)
    await stranger.close()
    await conn.close()
    async with own_database(database_server, migrated_template) as url:
        await read_backup(url, file, before_restore=log.make_partitions_named, after_restore=log.raise_epochs)
        restored = await connect(url, application_name="test")
        counts = await restored.fetch("select tableoid::regclass::text as part from events order by sequence")
        assert [row["part"] for row in counts] == [f"events_2026_03_0{n}" for n in range(2, 6)]
        assert await log.load_oldest_sequence(restored, merchant) == 2
        assert await audit.verify_log(restored, merchant) == []
        await restored.close()


async def test_only_the_tables_named_as_seeded_hold_rows_after_migrating(database_url: str) -> None:
    assert tuple(name for name, rows in (await content(database_url)).items() if rows) == SEEDED_BY_MIGRATIONS


async def test_others_go_on_writing_while_a_backup_is_taken(source_url: str, file: Path) -> None:
    conn = await connect(source_url, application_name="test")
    backing_up = asyncio.create_task(write_backup(source_url, file, {}))
    writes = 0
    while not backing_up.done():
        await conn.execute("insert into log values ('2026-05-05', -1)")
        writes += 1
    await backing_up
    await conn.close()
    assert writes > 0
