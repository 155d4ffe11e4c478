"""Bugs by which one caller of the API would be felt by another. Data only, as `planted.py`; sockets and the pool notice them."""

from __future__ import annotations

from tests.mutants.edits import Edit, Planted

CLIENTS, CONNECTIONS, IDEMPOTENCY, LIMITS = (
    "gateway/http/edge/clients.py", "gateway/http/edge/connections.py", "gateway/http/edge/idempotency.py", "gateway/http/edge/limits.py",
)  # fmt: skip
POOL_TESTS, EDGE_TESTS, SHARE_TESTS = (
    ("tests/api/test_pool.py",),
    ("tests/api/test_edge.py",),
    ("tests/api/test_shares.py",),
)

PLANTED_EDGE = (
    Planted(
        "a connection is kept while a stranger is asked",
        8,
        (
            Edit(
                IDEMPOTENCY,
                "        async with asyncio.timeout(WAITING_CALL_MAX_S):\n",
                "        async with pool.acquire(), asyncio.timeout(WAITING_CALL_MAX_S):\n",
            ),
        ),
        asks=POOL_TESTS,
    ),
    Planted(
        "who waits for a connection waits without a deadline",
        8,
        (
            Edit(
                "migrations/pool.py",
                "timeout_s = self._acquire_timeout_s",
                "timeout_s = None",
            ),
        ),
        asks=POOL_TESTS,
    ),
    Planted(
        "one merchant's calls may hold every connection",
        8,
        (Edit("migrations/pool.py", "self.get_max_size() // SHARES", "self.get_max_size()"),),
        asks=POOL_TESTS,
    ),
    Planted(
        "who lost its claim remembers its answer all the same",
        8,
        (
            Edit(
                IDEMPOTENCY,
                "            if await store.let_go_of_call(conn, call.caller, call.path, call.key, claim=claim):\n",
                "            if True:\n",
            ),
        ),
        asks=POOL_TESTS,
    ),
    Planted(
        "a key in progress stays so for ever after a crash",
        8,
        (
            Edit(
                "gateway/sql/calls.sql",
                "where held.until <= clock_timestamp()\nreturning",
                "where false\nreturning",
            ),
        ),
        asks=POOL_TESTS,
    ),
    Planted(
        "the end of a string is looked for from each quote",
        8,
        (
            Edit(
                "gateway/http/edge/decoding.py",
                r'[^"\\]++|\\.)*+(?:"|\\?\Z)',
                r'[^"\\]|\\.)*"',
            ),
        ),
        asks=("tests/properties/test_parsers_time.py",),
    ),
    Planted(
        "a body is unpacked before it is known who asks",
        8,
        (Edit(CONNECTIONS, "auto_decompress=False", "auto_decompress=True"),),
        asks=EDGE_TESTS,
    ),
    Planted(
        "a stream counts on after its client hung up",
        8,
        (
            Edit(
                "gateway/http/edge/calls.py",
                "return self.services.stop.is_set() or (self.gone is not None and self.gone.done())",
                "return self.services.stop.is_set()",
            ),
        ),
        asks=EDGE_TESTS,
    ),
    Planted(
        "a request's header may take for ever",
        8,
        (Edit(CONNECTIONS, "call_later(HEADER_TIMEOUT_S,", "call_later(3600 * HEADER_TIMEOUT_S,"),),
        asks=EDGE_TESTS,
    ),
    Planted(
        "a merchant may have all calls under way",
        8,
        (Edit(LIMITS, "+ cost > self.each_max:", "+ cost > self._most:"),),
        asks=("tests/unit/gateway/test_share.py", *SHARE_TESTS),
    ),
    Planted(
        "the connection that waited least is closed for a new one",
        8,
        (Edit(CONNECTIONS, "next(iter(self._waiting[share]))", "next(reversed(self._waiting[share]))"),),
        asks=SHARE_TESTS,
    ),
    Planted(
        "anybody is believed who says whose request he passes on",
        8,
        (Edit(CLIENTS, "if address is None or not is_trusted(address, trusted):", "if address is None:"),),
        asks=("tests/unit/gateway/test_clients.py",),
    ),
    Planted(
        "wrong keys lock a right one out",
        8,
        (
            Edit(
                "gateway/http/edge/logins.py",
                "            async with _in_line(self._lines[slow]):\n",
                "            if slow:\n                raise not_a_key()\n            async with _in_line(self._lines[0]):\n",
            ),
        ),
        asks=("tests/unit/gateway/test_logins.py",),
    ),
)
