"""Bugs of a verifier that believes too much, and of a server that gives what nobody should believe.

Data only, as `planted.py`.  The rules they break are the numbered steps of docs/proofs.md.
"""

from __future__ import annotations

from tests.mutants.edits import Edit, Planted

KIT, NODE_KIT = "relay/kit/verify_deposit.py", "relay/kit/verify_deposit.mjs"
BUILDER, PATHS = "chains/evm/nodes/proof.py", "chains/evm/verify/paths.py"
HANDLER = "gateway/http/resources/deposit_proofs.py"
OF_KITS = ("tests/unit/relay/test_deposit_kit.py",)
OF_BLOCKS = ("tests/unit/chains/verify/test_deposit_proofs.py",)
OF_API = ("tests/api/test_deposit_proofs.py",)
OF_ANVIL = ("tests/live/test_deposit_proofs.py",)
OF_NODES = ("tests/live_evm/test_proofs.py",)


def _believing(name: str, file: str, old: str, new: str, tests: tuple[str, ...] = OF_KITS) -> Planted:
    return Planted(f"a proof of a deposit: {name}", 12, (Edit(file, old, new),), asks=tests)


PLANTED_DEPOSIT_PROOFS = (
    _believing(
        "its header need not give the hash",
        KIT,
        " != wanted or keccak_256(parts[0]) != wanted:\n",
        " != wanted:\n",
    ),
    _believing(
        "the hash it names is enough",
        KIT,
        '    if _bytes_of(block.get("hash"), "block.hash") != wanted or keccak_256(parts[0]) != wanted:\n',
        "    if keccak_256(parts[0]) != wanted:\n",
    ),
    _believing(
        "any height will do",
        KIT,
        '    if _whole_of(block.get("height"), "block.height") != header.height:\n',
        "    if False:\n",
    ),
    _believing(
        "nodes need not follow one another",
        KIT,
        "        if keccak_256(node) != expected:\n",
        "        if False:\n",
    ),
    _believing(
        "nodes may stand behind the end",
        KIT,
        "                if position != len(nodes) - 1:\n",
        "                if False:\n",
    ),
    _believing("a leaf of another key will do", KIT, "(is_leaf and shared != rest) or ", ""),
    _believing("an extension may be empty", KIT, " or (not is_leaf and not shared):\n", ":\n"),
    _believing(
        "lengths may be spelled in any way",
        KIT,
        "        if size < 56 or not digits[0]:\n",
        "        if False:\n",
    ),
    _believing(
        "bytes may stand behind a list",
        KIT,
        "    if not whole.is_list or len(whole.encoded) != len(encoded):\n",
        "    if not whole.is_list:\n",
    ),
    _believing(
        "any transaction at that place",
        KIT,
        "    if keccak_256(envelope) != claim.tx_hash:\n",
        "    if False:\n",
    ),
    _believing(
        "a failed transaction pays, too",
        KIT,
        "    if succeeded and len(recipient) == 20:\n",
        "    if len(recipient) == 20:\n",
    ),
    _believing(
        "a failed transaction moves tokens, too",
        KIT,
        " if status else iter(())\n",
        "\n",
    ),
    _believing(
        "any contract's log",
        KIT,
        '        if _string(fields, 0, "receipt", 20) != contract:\n',
        "        if False:\n",
    ),
    _believing(
        "an event with more topics is a transfer",
        KIT,
        "        if len(topics) == 3 and topics[0]",
        "        if len(topics) >= 3 and topics[0]",
    ),
    _believing(
        "transfers of nothing are counted", KIT, " == claim.recipient and amount]\n", " == claim.recipient]\n"
    ),
    _believing(
        "the first of several is meant", KIT, "    return amounts[claim.n]\n", "    return amounts[0]\n"
    ),
    _believing("any amount", KIT, "    if amount != claim.amount_base_units:\n", "    if False:\n"),
    _believing("any id", KIT, "    if claim.deposit_id != computed:\n", "    if False:\n"),
    _believing(
        "a header that commits to other receipts",
        KIT,
        "HEADER_FIELDS = range(15, 27)\n",
        "HEADER_FIELDS = range(15, 99)\n",
    ),
    _believing(
        "deep nesting is left to the parser",
        KIT,
        '            if text.count("[") + text.count("{") > OPENINGS_MAX:\n',
        "            if False:\n",
    ),
    _believing("Node counts transfers of nothing", NODE_KIT, " && amount > 0n);\n", ");\n"),
    _believing(
        "Node takes any transaction at that place",
        NODE_KIT,
        "  if (!keccak256(envelope).equals(claim.txHash)) {\n",
        "  if (false) {\n",
    ),
    _believing(
        "Node believes a failed one",
        NODE_KIT,
        "  if (succeeded && recipient.length === 20)",
        "  if (recipient.length === 20)",
    ),
    _believing(
        "rows that do not give the root are proven",
        BUILDER,
        "            if header and roots == tuple(map(_read_root, (hashed.transactions_root, hashed.receipts_root))):\n",
        "            if header:\n",
        OF_BLOCKS,
    ),
    _believing(
        "nodes inside others are listed, too",
        PATHS,
        " and (not depth or len(node) >= 64):\n",
        ":\n",
        OF_BLOCKS,
    ),
    _believing(
        "a block that is not canonical is proven",
        BUILDER,
        "    if is_null(raw) or decode_header(raw).hash != block.hash:\n",
        "    if is_null(raw):\n",
        OF_NODES,
    ),
    _believing(
        "a block that left meanwhile is proven",
        HANDLER,
        "    if now.occurrence is None or now.occurrence.block_hash != occurrence.block_hash:\n",
        "    if False:\n",
        OF_API,
    ),
    _believing(
        "what merchants would refuse is given",
        HANDLER,
        "    except ProofInvalid as error:\n        _refuse(",
        "    except ProofInvalid as error:\n        print(",
        OF_API,
    ),
    _believing(
        "value inside a contract is asked for",
        HANDLER,
        "    if deposit.kind is TransferKind.INTERNAL:\n",
        "    if False:\n",
        OF_API,
    ),
    _believing(
        "witnesses are left out of its checkpoint",
        HANDLER,
        "found.checkpoint.note + found.checkpoint.cosignatures",
        "found.checkpoint.note",
        OF_ANVIL,
    ),
    _believing(
        "no merchant has a limit of proofs",
        HANDLER,
        "    await spend(call.services.limits, call.merchant_id.hex, PROOFS)\n",
        "",
        OF_API,
    ),
)
