"""Bugs at the doors a stranger knocks at. Data only, as `planted.py`; the API's own tests and the commands' notice them."""

from __future__ import annotations

from tests.mutants.edits import Edit, Planted

EDGE_TESTS = ("tests/api/test_edge.py",)

PLANTED_DOORS = (
    Planted(
        "the host of a target is looked at",
        8,
        (
            Edit(
                "gateway/http/edge/connections.py",
                "        if message.url.absolute:\n",
                "        if False:\n",
            ),
        ),
        asks=(*EDGE_TESTS, "-k", "host_of_a_target"),
    ),
    Planted(
        "a body may come in crumbs",
        8,
        (
            Edit(
                "gateway/http/edge/bodies.py",
                "            if chunks > CHUNKS_MIN + len(body) // CHUNK_BYTES_MIN:\n",
                "            if False:\n",
            ),
        ),
        asks=(*EDGE_TESTS, "-k", "crumbs"),
    ),
    Planted(
        "of a header given twice the first is chosen",
        4,
        (Edit("gateway/http/edge/app.py", "    if len(values) > 1:\n", "    if False:\n"),),
        asks=("tests/api/test_idempotency.py", "-k", "neither"),
    ),
    Planted(
        "numbers of metadata are counted as they were sent",
        8,
        (
            Edit(
                "gateway/http/resources/addresses.py",
                "        case float() if abs(value) >= EXACT_MAX:\n",
                "        case float() if False:\n",
            ),
        ),
        asks=("tests/api/test_addresses.py", "-k", "422_with or numbers_of"),
    ),
    Planted(
        "a stream with events never asks whether its key still counts",
        8,
        (
            Edit(
                "gateway/http/resources/events.py",
                "            if loop.time() >= comment_at_s:\n",
                "            if loop.time() >= comment_at_s and not events:\n",
            ),
            Edit(
                "gateway/http/resources/events.py",
                "    with held:\n",
                "    events: object = (0,)\n    with held:\n",
            ),
        ),
        asks=("tests/api/test_events.py", "-k", "revoked_key"),
    ),
    Planted(
        "one round asks for the rows of every lane",
        8,
        (
            Edit(
                "relay/workers/dispatch.py",
                "                if asked == LANES_ASKED_MAX:\n",
                "                if False:\n",
            ),
        ),
        asks=("tests/properties/relay/test_fairness.py",),
    ),
    Planted(
        "a cursor of one list is good for every list",
        4,
        (
            Edit(
                "gateway/http/edge/cursors.py",
                '    return zlib.crc32(b"chainbell-cursor-1" + of.encode() + content)',
                '    return zlib.crc32(b"chainbell-cursor-1" + content)',
            ),
        ),
        asks=("tests/unit/gateway/test_http_decisions.py", "-k", "cursor"),
    ),
    Planted(
        "a command does not wait for a migration that is under way",
        10,
        (
            Edit(
                "gateway/process/database.py",
                "        await wait_for_migration(conn, patience_s=MIGRATION_PATIENCE_S)\n",
                "",
            ),
        ),
        asks=("tests/commands/test_commands.py", "-k", "migration_that_is"),
    ),
)
