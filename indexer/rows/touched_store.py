"""The deposits that a move may change, each group asked for only where it can be non-empty.

Statements of `sql/deposits.sql` and `sql/spends.sql`, run on a move's connection by `store`.  What becomes of them is
decided in `moves`.
"""

from __future__ import annotations

from indexer.rows.remembered import LockedRow
from indexer.rows.spelling import decode_deposit
from indexer.rows.spend_store import load_conflicting, load_freed, load_repeats
from indexer.rows.storage import TouchQuery
from indexer.rules.deposits import Deposit
from indexer.rules.identity import AddressId
from indexer.rules.moves import Repeat, Touched
from migrations.handles import Connection
from migrations.queries import load_queries

_DEPOSITS = load_queries("indexer", "deposits.sql")


async def load_touched(conn: Connection, row: LockedRow, query: TouchQuery) -> Touched:
    """The deposits that `query` names, displaces, ripens or uses up; what their addresses are called is noted in `row`."""
    chain = row.record.chain
    displaced: list[Deposit] = []
    if query.displaced_above is not None:
        displaced = await load_deposits(conn, "load_displaced", chain, query.displaced_above)
    found = await conn.fetch(
        _DEPOSITS["load_touched"],
        chain,
        query.tip_height,
        query.final_height,
        query.safe_height,
        query.agreed_height,
        list(query.ids),
    )
    row.references |= {AddressId(one["address_id"]): one["reference"] for one in found}
    by_id = {one.id: one for one in (decode_deposit(one) for one in found if one["is_named"])}
    maturing = [decode_deposit(one) for one in found if not one["is_named"]]
    if query.heights_fell:
        maturing += await load_deposits(conn, "load_falling_back", chain, query.final_height)
    off_chain: list[Deposit] = []
    if row.may_have_conflicts:
        off_chain = await load_conflicting(conn, chain, query.spends)
    if query.displaced_above is not None:
        off_chain += await load_freed(conn, chain, query.displaced_above)
    repeats: list[Repeat] = []
    if displaced and query.displaced_above is not None:
        repeats = await load_repeats(conn, [one.id for one in displaced], height_last=query.displaced_above)
    return Touched(by_id, displaced, maturing, off_chain, repeats)


async def load_deposits(conn: Connection, name: str, *arguments: object) -> list[Deposit]:
    """The deposits that a statement of this name finds."""
    return [decode_deposit(row) for row in await conn.fetch(_DEPOSITS[name], *arguments)]
