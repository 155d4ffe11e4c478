"""Every named query of every room finds the rows it asks for by an index: one that is lost, or was never there, shows.

Lives here: the plan of each statement over tables that hold nothing, where reading a table from end to end is made so dear
that the planner does it only for want of anything else. Does not live here: which of several indexes the planner takes once
the tables are large (`tests/database/relay/test_plans.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from migrations.connect import connect
from migrations.handles import Connection
from migrations.queries import parse_queries
from tests.database.test_queries_prepare import ROOT, query_files

SMALL = {
    "assets": "what an operator lists",
    "chain_status": "a row a chain",
    "chains": "a row a chain",
    "doubted_blocks": "blocks on which operators differ just now",
    "calls_in_progress": "calls that wait for a stranger just now",
    "relay_shards": "a fixed number",
    "relay_workers": "a row a process",
    "rescans": "what operators asked for and is not done",
    "schema_migrations": "a row a migration",
    "log_epochs": "a row a restored backup",
    "disabled_merchants": "whom an operator has stopped",
}
"""Tables that stay short, whatever merchants do, and why."""

WHOLE = {
    "gateway/sql/calls.sql: list_audit": "newest first, until as many as an operator asked for",
    "gateway/sql/merchants.sql: list_merchants": "an operator's list, page by page in the order of an index",
    "relay/sql/checkpoints.sql: load_next_signing": "all logs, once a round of signing",
    "relay/sql/log.sql: lock_all_logs": "once after a restore",
    "relay/sql/log.sql: raise_log_epochs": "once after a restore",
    "relay/sql/log.sql: load_days_without_partition": "a table that is empty but for clocks gone wrong",
    "relay/sql/prune.sql: clear_warnings": "once a round of pruning, all endpoints",
    "relay/sql/views.sql: load_queue_totals": "figures of the whole relay",
}
"""Queries that read a table from end to end on purpose, and when that is done."""

SETTINGS = """
set plan_cache_mode = force_generic_plan;
set enable_seqscan = off;
set enable_hashjoin = off;
set enable_mergejoin = off;
"""
PLANNED = ("select", "insert", "update", "delete", "with")


def nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes_of(below)


def scans_without_index(plan: dict[str, Any]) -> set[str]:
    """The tables of which a plan reads everything, in place or in the order of an index."""
    return {
        node["Relation Name"]
        for node in nodes_of(plan)
        if "Relation Name" in node
        and (node["Node Type"] == "Seq Scan" or ("Index Name" in node and "Index Cond" not in node))
    }


async def load_plan(conn: Connection, sql: str) -> dict[str, Any]:
    """The plan that serves any arguments."""
    arguments = len((await conn.prepare(sql)).get_parameters())
    await conn.execute(f"prepare asked as {sql}")
    try:
        nulls = f"({', '.join(['null'] * arguments)})" if arguments else ""
        (row,) = await conn.fetch(f"explain (format json, costs off) execute asked{nulls}")
        return dict(row[0][0]["Plan"])
    finally:
        await conn.execute("deallocate asked")


async def find_tables(conn: Connection, sql: str) -> set[str]:
    found = scans_without_index(await load_plan(conn, sql))
    if found:
        await conn.execute("set enable_indexscan = off")
        others = scans_without_index(await load_plan(conn, sql))
        # Which of two joined tables is read whole is the planner's choice; that one is, is not.
        found = (found & others or found | others) if others else set()
        await conn.execute("set enable_indexscan = on")
    return found


async def find_complaints(conn: Connection) -> dict[str, set[str]]:
    """By query, the tables it would read from end to end, whichever way of using an index is left to the planner."""
    await conn.execute(SETTINGS)
    found = {}
    for path in query_files():
        source = str(path.relative_to(ROOT))
        for name, sql in parse_queries(path.read_text(encoding="utf-8"), source=source).items():
            statement = "\n".join(line for line in sql.splitlines() if not line.startswith("--")).lstrip()
            if statement.lower().startswith(PLANNED):
                tables = await find_tables(conn, sql) - SMALL.keys()
                if tables := {table for table in tables if not table.startswith("pg_")}:
                    found[f"{source}: {name}"] = tables
    return found


async def test_every_query_finds_its_rows_by_an_index(database_url: str) -> None:
    conn = await connect(database_url, application_name="test")
    try:
        found = await find_complaints(conn)
    finally:
        await conn.close()
    complaints = [f"{name} reads all of {', '.join(sorted(tables))}" for name, tables in found.items()]
    assert not [one for one in complaints if one.split(" reads ")[0] not in WHOLE], "\n".join(complaints)
    assert found.keys() == WHOLE.keys(), "a reason without its query"


@pytest.mark.parametrize(
    ("index", "query"),
    [
        ("idempotency_keys_by_expiry", "gateway/sql/calls.sql: delete_expired_answers"),
        ("deposits_by_tx", "indexer/sql/mempools.sql: load_of_txs"),
        ("deposits_listing", "indexer/sql/views.sql: list_deposits"),
        ("delivery_attempts_by_time", "relay/sql/prune.sql: delete_old_attempts"),
        ("endpoint_replays_by_endpoint", "relay/sql/lanes.sql: load_endpoint_records"),
    ],
)
async def test_an_index_that_is_lost_is_noticed(database_url: str, index: str, query: str) -> None:
    conn = await connect(database_url, application_name="test")
    try:
        await conn.execute(f"drop index {index}")
        found = await find_complaints(conn)
    finally:
        await conn.close()
    assert query in found
