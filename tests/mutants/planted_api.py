"""Bugs of the API's edges: what is refused, named or shown, and a database that is not what it should be.

Data only, as `planted.py`.
"""

from __future__ import annotations

from tests.mutants.edits import Edit, Planted

ADDRESSES, DECODING, EVENTS = (
    "gateway/http/resources/addresses.py",
    "gateway/http/edge/decoding.py",
    "gateway/http/resources/events.py",
)
CONNECT, POOLER = "migrations/connect.py", "migrations/pooler.py"
FIRST_BLOCKS = ("tests/api/test_first_blocks.py",)

PLANTED_API = (
    Planted(
        "a star says nothing of the chain it could not watch",
        8,
        (
            Edit(
                ADDRESSES, "AddressList(items=objects, not_watched=not_watched)", "AddressList(items=objects)"
            ),
        ),
        asks=FIRST_BLOCKS,
    ),
    Planted(
        "half an answer is replayed for a day",
        8,
        (Edit(ADDRESSES, "is_remembered=not later)", "is_remembered=True)"),),
        asks=FIRST_BLOCKS,
    ),
    Planted(
        "a bulk leaves out the items of a chain without a first block",
        8,
        (
            Edit(
                ADDRESSES,
                "if not on_every_chain or len(later) == len(wanted):",
                "if len(later) == len(wanted):",
            ),
        ),
        asks=FIRST_BLOCKS,
    ),
    Planted(
        "a cursor beyond the head waits for ever",
        1,
        (
            Edit(EVENTS, "if after is not None and after > head:", "if False:"),
            Edit(EVENTS, "after == head:", "after >= head:"),
        ),
        asks=("tests/api/test_events.py", "-k", "beyond_the_head or nothing_beyond"),
    ),
    Planted(
        "a year alone is read as seconds since 1970",
        1,
        (
            Edit(
                DECODING,
                "        return msgspec.convert(values, shape)\n",
                "        return msgspec.convert(values, shape, strict=False)\n",
            ),
        ),
        asks=("tests/api/test_requests.py", "-k", "filter"),
    ),
    Planted(
        "a connection made while the server took no writes is kept",
        8,
        (Edit(CONNECT, "        if not may_write(conn):\n", "        if False:\n"),),
        asks=("tests/api/test_read_only.py",),
    ),
    Planted(
        "two connections in one session are taken for two sessions",
        8,
        (Edit(POOLER, "before == beside or await _load_session(conn) != before", "False"),),
        asks=("tests/database/test_pooler.py", "-k", "transaction_mode or doctor_says"),
    ),
    Planted(
        "a node that cannot say is taken for one that does not know",
        5,
        (
            Edit(
                "gateway/http/resources/explain.py",
                "    return Told(hindrance=None if is_unknown else hindrances[0])\n",
                "    return Told()\n",
            ),
        ),
        asks=("tests/api/test_explain.py",),
    ),
)
