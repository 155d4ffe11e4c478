"""The Merkle tree over a merchant's log, on PostgreSQL: grown a stretch at a time, read in a few rows.

The roots of all perfect subtrees of 256 leaves and more are stored; what is below is hashed again from the log each
time. So a log of a million events is 8,000 rows, and a root or a proof reads some forty rows and three groups at most.
Lives here: growing and reading. Does not live here: the arithmetic (`merkle`), signing (`checkpoints`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from migrations.handles import Connection
from migrations.queries import load_queries
from relay.errors import LogBroken
from relay.log import eventlog as log
from relay.proof.merkle import Peaks, Span, Subtree, compute_root, fold, hash_leaf, split_span

QUERIES = load_queries("relay", "tree.sql")

GROUP_LEVEL = 8
GROUP_LEAVES = 1 << GROUP_LEVEL
BATCH_GROUPS = 8
"""Groups read at once: 2,048 leaves, for a few milliseconds of hashing."""


async def grow(conn: Connection, merchant_id: UUID, size: int, *, groups_max: int) -> bool:
    """Store what the first `size` events complete, at most `groups_max` groups of it; True when nothing is left.

    In the caller's transaction, under its lock of the log's key. LogBroken where an event is missing.
    """
    assert conn.is_in_transaction(), "a tree grows under the lock of its log's key"
    wanted = size >> GROUP_LEVEL
    count: int = await conn.fetchval(QUERIES.count_groups, merchant_id, GROUP_LEVEL)
    edge = [Subtree(level + GROUP_LEVEL, position) for level, position in split_span((0, count))]
    nodes = await _need_nodes(conn, merchant_id, edge)
    peaks = Peaks(GROUP_LEVEL, count, [nodes[subtree] for subtree in edge])
    until = min(wanted, count + groups_max)
    while peaks.count < until:
        batch_until = min(peaks.count + BATCH_GROUPS, until)
        leaves = await load_leaves(
            conn, merchant_id, (peaks.count << GROUP_LEVEL, batch_until << GROUP_LEVEL)
        )
        made: list[tuple[Subtree, bytes]] = []
        for first in range(0, len(leaves), GROUP_LEAVES):
            made += peaks.append(compute_root(leaves[first : first + GROUP_LEAVES]))
        await conn.execute(
            QUERIES.insert_nodes,
            merchant_id,
            [subtree.level for subtree, _ in made],
            [subtree.position for subtree, _ in made],
            [root for _, root in made],
        )
    return until >= wanted


async def load_roots(conn: Connection, merchant_id: UUID, spans: Sequence[Span]) -> list[bytes]:
    """The roots of these spans, which are such as `split_span` takes, over a log that `grow` has reached.

    LogBroken where an event or a stored node is missing.
    """
    parts = [split_span(span) for span in spans]
    subtrees = {subtree for part in parts for subtree in part}
    known = await _need_nodes(conn, merchant_id, [one for one in subtrees if one.level >= GROUP_LEVEL])
    groups: dict[int, list[Subtree]] = {}
    for subtree in subtrees - known.keys():
        groups.setdefault(_first(subtree) >> GROUP_LEVEL, []).append(subtree)
    for low in groups.values():
        start = min(_first(subtree) for subtree in low)
        end = max(_first(subtree) + (1 << subtree.level) for subtree in low)
        leaves = await load_leaves(conn, merchant_id, (start, end))
        for subtree in low:
            first = _first(subtree) - start
            known[subtree] = compute_root(leaves[first : first + (1 << subtree.level)])
    return [fold([known[subtree] for subtree in part]) for part in parts]


def _first(subtree: Subtree) -> int:
    return subtree.position << subtree.level


async def load_nodes(
    conn: Connection, merchant_id: UUID, subtrees: Collection[Subtree]
) -> dict[Subtree, bytes]:
    """Those of these subtrees that are stored."""
    if not subtrees:
        return {}
    rows = await conn.fetch(
        QUERIES.load_nodes,
        merchant_id,
        [subtree.level for subtree in subtrees],
        [subtree.position for subtree in subtrees],
    )
    return {Subtree(row["level"], row["position"]): bytes(row["hash"]) for row in rows}


async def _need_nodes(
    conn: Connection, merchant_id: UUID, subtrees: Collection[Subtree]
) -> dict[Subtree, bytes]:
    nodes = await load_nodes(conn, merchant_id, subtrees)
    if missing := set(subtrees) - nodes.keys():
        level, position = min(missing)
        raise LogBroken(f"the tree has no node at level {level}, position {position}")
    return nodes


async def load_leaves(conn: Connection, merchant_id: UUID, span: Span) -> list[bytes]:
    """The leaf hashes of a span: of bodies while they are kept, of what is kept of them afterwards.

    LogBroken where one is missing, or there twice.
    """
    start, end = span
    rows: list[tuple[int, bytes]] = []
    after = start
    while after < end:
        last = min(end, await log.load_stretch_end(conn, merchant_id, after, end - after))
        async with log.glance(conn):
            found = await conn.fetch(QUERIES.load_body_hashes, merchant_id, after, last)
        rows += [(row["sequence"], row["body_hash"]) for row in found]
        after = last
    if len(rows) < end - start:
        # Leaves are written before their day goes, so what is not in the log by now is among them by now.
        bodied = {sequence for sequence, _ in rows}
        kept = await conn.fetch(QUERIES.load_kept_hashes, merchant_id, start, end)
        rows += [(row["sequence"], row["body_hash"]) for row in kept if row["sequence"] not in bodied]
        rows.sort()
    for expected, (sequence, _) in enumerate(rows, start + 1):
        if sequence != expected:
            kind = "is missing" if sequence > expected else "stands there twice"
            raise LogBroken(f"event {min(expected, sequence)} of the log {kind}")
    if len(rows) != end - start:
        raise LogBroken(f"event {start + len(rows) + 1} of the log is missing")
    return [hash_leaf(body_hash) for _, body_hash in rows]
