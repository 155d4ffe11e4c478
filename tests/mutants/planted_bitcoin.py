"""Bugs that believe a block of Bitcoin's family which its header does not cover, or spell a script as another.

Data only, as `planted.py`.
"""

from __future__ import annotations

from tests.mutants.edits import Edit, Planted

BLOCK, MERKLE, AUXILIARY, BLOCKS, WIRE = (
    "chains/bitcoin/verify/block.py",
    "chains/bitcoin/verify/merkle.py",
    "chains/bitcoin/verify/auxiliary.py",
    "chains/bitcoin/rows/blocks.py",
    "chains/bitcoin/rows/wire.py",
)
OUTPUTS, TIPS, NODE, NODES_BLOCKS, PROVIDER = (
    "chains/bitcoin/value/outputs.py",
    "chains/bitcoin/nodes/tips.py",
    "chains/bitcoin/nodes/node.py",
    "chains/bitcoin/nodes/blocks.py",
    "chains/bitcoin/provider.py",
)
ADDRESSES, WORK = "chains/bitcoin/addresses.py", "chains/bitcoin/verify/work.py"
ASKED = ("tests/unit/chains/bitcoin",)


def _planted(name: str, file: str, old: str, new: str) -> Planted:
    return Planted(name, 5, (Edit(file, old, new),), asks=ASKED)


def _planted_live(name: str, file: str, old: str, new: str, asked: str) -> Planted:
    return Planted(name, 5, (Edit(file, old, new),), asks=(f"tests/live_bitcoin/test_{asked}.py",))


PLANTED_BITCOIN = (
    _planted(
        "a list that repeats its own end has a root",
        MERKLE,
        "        if any(level[place] == level[place + 1] for place in range(0, len(level) - 1, 2)):\n",
        "        if False:\n",
    ),
    _planted(
        "easier work than the coin allows counts", BLOCK, "target is None or target > limit", "target is None"
    ),
    _planted("work is believed by its bits", BLOCK, "compute_work_hash(coin, worked) > target", "False"),
    _planted(
        "witnesses that nobody committed to are believed",
        BLOCK,
        "        if any(one.has_witness for one in transactions):\n            raise",
        "        if False:\n            raise",
    ),
    _planted(
        "a commitment that is not opened holds",
        BLOCK,
        "        if not any(one.has_witness for one in transactions):\n",
        "        if True:\n",
    ),
    _planted(
        "outputs may hold more than there is together", BLOCK, "total > coin.money_max_base_units", "False"
    ),
    _planted(
        "another chain's coinbase may name another block", AUXILIARY, "marked + len(MARK) != at", "False"
    ),
    _planted(
        "another chain's coinbase may stand in no block",
        AUXILIARY,
        "follow_branch(auxiliary.coinbase.id, auxiliary.to_coinbase) != auxiliary.header[36:68]",
        "False",
    ),
    _planted(
        "what stands behind a block is passed over",
        BLOCKS,
        '    cursor.end_here("a block")\n',
        "",
    ),
    _planted(
        "a count is believed before there is room for it", WIRE, "count * item_bytes_min > self.left", "False"
    ),
    _planted("a length has several spellings", WIRE, "        if value < least:\n", "        if False:\n"),
    _planted(
        "an address may have another version's checksum",
        ADDRESSES,
        "    if check != _check_due(version):\n",
        "    if False:\n",
    ),
    _planted(
        "an address of another network is taken",
        ADDRESSES,
        "        if human != coin.prefixes.bech32:\n",
        "        if False:\n",
    ),
    _planted(
        "Litecoin's periods are Bitcoin's",
        WORK,
        "        case Retargeting.PERIODS_WHOLE if height > PERIOD_BLOCKS:\n",
        "        case Retargeting.PERIODS_WHOLE if False:\n",
    ),
    _planted(
        "a block is shown at any height",
        BLOCK,
        "    if not block.transactions[0].coinbase_script.startswith(_encode_height(height)):\n",
        "    if False:\n",
    ),
    _planted(
        "any block is the first",
        BLOCK,
        "    if (height == 0) != (block.header.hash[::-1] == coin.genesis_hash):\n",
        "    if False:\n",
    ),
    _planted("any bits are due", BLOCK, "    if header.bits != due:\n", "    if False:\n"),
    _planted(
        "outputs of nothing are transfers",
        OUTPUTS,
        "            if output.value_base_units\n        ]",
        "        ]",
    ),
    _planted(
        "a reward can be spent at once",
        OUTPUTS,
        "        return coin.coinbase_maturity_blocks\n",
        "        return 0\n",
    ),
    _planted(
        "a coinbase uses up what all of them name",
        OUTPUTS,
        "() if transaction.is_coinbase else tuple",
        "tuple",
    ),
    _planted("a gap in the count is nothing", TIPS, "        if count != expected:\n", "        if False:\n"),
    _planted_live(
        "a node that still downloads has a head",
        PROVIDER,
        "    if is_downloading:\n",
        "    if False:\n",
        "providers",
    ),
    _planted_live(
        "every version is believed", NODE, "    if version < version_min:\n", "    if False:\n", "lies"
    ),
    _planted_live(
        "every network is ours",
        NODE,
        "        if shown != coin.genesis_hash:\n",
        "        if False:\n",
        "providers",
    ),
    _planted_live(
        "a cookie is read once",
        "chains/rpc/transport.py",
        "            elif response.status == 401 and held is not None:\n",
        "            elif False:\n",
        "providers",
    ),
    _planted_live(
        "a merchant's own coins are a payment",
        "indexer/move/payers.py",
        "    if read_spent is None or not hits:\n",
        "    if True:\n",
        "own_money",
    ),
    _planted_live(
        "whose coins a block moves is looked up among older ones only",
        "indexer/rules/matching.py",
        "    owners |= {(hit.transfer.tx_hash, hit.transfer.n): hit.transfer.recipient for hit in hits}\n",
        "",
        "own_money",
    ),
    _planted_live(
        "which target was due is not asked",
        NODES_BLOCKS,
        "    await _check_due_bits(node, priority, reading, raw.header, ref.height)\n",
        "",
        "lies",
    ),
)
