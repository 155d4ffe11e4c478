"""Bugs against nodes that break, reorganise or fall silent while they are asked, and chains that stand still unheard.

Data only, as `planted.py`.  The rules they break stand in `docs/follower.md`.
"""

from __future__ import annotations

from tests.mutants.edits import Edit, Planted

BREAKS = ("-n0", "tests/live_evm/test_breaks.py")
ASKS_CLIENT = ("tests/unit/chains/test_client.py",)
TRANSPORT, CLIENT = "chains/rpc/transport.py", "chains/rpc/client.py"

PLANTED_NODES = (
    Planted(
        "receipts that break the exchange are asked for so for ever",
        5,
        (
            Edit(
                "chains/evm/nodes/window.py",
                "            node.abilities.receipts.note_broken(error)\n",
                "            pass\n",
            ),
        ),
        asks=BREAKS,
    ),
    Planted(
        "a finality tag that breaks the exchange takes the head with it",
        5,
        (
            Edit(
                "chains/rpc/batches.py",
                "if not self._answered or not (self._doubts or is_apart):",
                "if True:",
            ),
        ),
        asks=BREAKS,
    ),
    Planted(
        "a reorganisation between two answers is taken for a lie",
        5,
        (
            Edit(
                "indexer/follow/forks.py",
                "from chains.errors import Missing, WrongNetwork\n",
                "from chains.errors import Inconsistent as Missing\nfrom chains.errors import WrongNetwork\n",
            ),
        ),
        asks=("-n0", "tests/unit/indexer/test_forks.py"),
    ),
    Planted(
        "a fork waits for an operator that may rest for an hour",
        5,
        (
            Edit(
                "chains/rpc/endpoints.py",
                "last_resort=[one for one in others if not one.distrusts]",
                "last_resort=[]",
            ),
        ),
        asks=("-n0", "tests/unit/chains/test_endpoints.py"),
    ),
    Planted(
        "a halted chain rings at every poll",
        5,
        (
            Edit(
                "indexer/follow/loop.py",
                "if self._vitals.last_error is None and self._damper.over():",
                "if self._damper.over():",
            ),
        ),
        asks=("-n0", "tests/database/indexer/test_broken_chain.py"),
    ),
    Planted(
        "a protocol's path takes the place of the endpoint's own, and its key is lost",
        5,
        (Edit(TRANSPORT, 'url.raw_path.rstrip("/") + request.path', "request.path"),),
        asks=ASKS_CLIENT,
    ),
    Planted(
        "a path loses the key in the endpoint's query",
        5,
        (Edit(TRANSPORT, "keep_query=True", "keep_query=False"),),
        asks=ASKS_CLIENT,
    ),
    Planted(
        "a path made of a stranger's words climbs out of the endpoint's",
        5,
        (Edit(TRANSPORT, "assert _PATH.fullmatch(self.path)", "assert _PATH.match(self.path)"),),
        asks=ASKS_CLIENT,
    ),
    Planted(
        "a status is read as HTTP's, whatever the protocol says",
        5,
        (Edit(TRANSPORT, "request.read_status(response.status", "read_http_status(response.status"),),
        asks=ASKS_CLIENT,
    ),
    Planted(
        "what a node says of our keys is told",
        5,
        (Edit(CLIENT, "                error.detail = self._transport.redact(error.detail)\n", ""),),
        asks=ASKS_CLIENT,
    ),
    Planted(
        "a refused rate shrinks no budget",
        5,
        (Edit(CLIENT, "if isinstance(error, Throttled):", "if isinstance(error, AssertionError):"),),
        asks=ASKS_CLIENT,
    ),
    Planted(
        "a websocket that was refused is called chance where blocks are slow",
        5,
        (Edit("gateway/doctor/chains.py", "    if not trouble and traits.block", "    if traits.block"),),
        asks=("-n0", "tests/live_evm/test_doctor.py"),
    ),
)
