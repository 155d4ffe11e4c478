"""`/v1/coverage`: the proof that we looked: contiguous ranges of canonical blocks and how far each was verified.

Lives here: the handler and the arithmetic of ranges. Does not live here: the rows (indexer.views, the blocks table).
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.http.edge.calls import Answer, Call, json_answer
from gateway.http.edge.problem import Problem, not_found
from gateway.http.resources.addresses import find_chain, read_address
from gateway.http.shapes.explain import Coverage, CoverageRangeObject, HeightRange
from indexer import views
from indexer.views import CoverageRange

SPAN_BLOCKS_MAX = 1_000_000
"""Of one question; a longer history is asked for in parts."""


async def get_coverage(call: Call) -> Answer:
    """What was read of a range of heights, for an address or for the chain as a whole."""
    query = call.query
    face = find_chain(call.services.faces, query.chain)
    record = await views.load_chain(call.pool, face.chain)
    if record is None:
        raise not_found("chain")
    start = None
    address_text = None
    if query.address is not None:
        address = read_address(call.services.faces, face, query.address)
        address_text = face.naming.address_text(address)
        mine = await views.load_registrations_of_merchant(call.pool, call.merchant_id, face.chain, [address])
        if not mine:
            raise not_found("address")
        start = min(one.effective_start for one in mine)
    first = query.height_first if query.height_first is not None else max(start or 0, record.start_height)
    last = query.height_last if query.height_last is not None else record.tip.height
    if first > last or last - first >= SPAN_BLOCKS_MAX:
        raise Problem(422, f"from and to must span 1 to {SPAN_BLOCKS_MAX} heights")
    low, high = max(first, record.start_height, start or 0), min(last, record.tip.height)
    found = (
        await views.load_coverage(call.pool, face.chain, height_first=low, height_last=high)
        if low <= high
        else []
    )
    return json_answer(
        Coverage(
            chain=face.chain,
            chain_alias=face.alias,
            address=address_text,
            from_=first,
            to=last,
            effective_start=start,
            ranges=[
                CoverageRangeObject(
                    first=r.height_first,
                    last=r.height_last,
                    blocks=r.blocks_count,
                    level=r.level,
                    without_receipts=r.spared_count,
                )
                for r in found
            ],
            holes=find_holes(found, low, high),
            not_covered=list_outside(first, last, low, high),
        )
    )


def find_holes(ranges: Sequence[CoverageRange], low: int, high: int) -> list[HeightRange]:
    """Heights from `low` to `high` in none of the ranges; by Law 1 there are none."""
    holes: list[HeightRange] = []
    expected = low
    for covered in ranges:
        if covered.height_first > expected:
            holes.append(HeightRange(first=expected, last=covered.height_first - 1))
        expected = max(expected, covered.height_last + 1)
    if expected <= high:
        holes.append(HeightRange(first=expected, last=high))
    return holes


def list_outside(first: int, last: int, low: int, high: int) -> list[HeightRange]:
    """The parts of first..last that lie outside low..high."""
    if low > high:
        return [HeightRange(first=first, last=last)]
    outside = []
    if first < low:
        outside.append(HeightRange(first=first, last=low - 1))
    if high < last:
        outside.append(HeightRange(first=high + 1, last=last))
    return outside
