"""Bugs of what is sealed, signed and proven: a secret that opens elsewhere, a proof that shows less than it says.

Data only, as `planted.py`.
"""

from __future__ import annotations

from tests.mutants.edits import Edit, Planted

SECRETBOX, STRICT, VERIFY, VERIFY_LOG, WITNESSING = (
    "relay/keys/secretbox.py",
    "relay/strict.py",
    "relay/verify.py",
    "relay/verify_log.py",
    "relay/proof/witnessing.py",
)

OF_ANCHORS = ("tests/unit/relay/test_anchors.py",)

PLANTED_PROOFS = (
    Planted(
        "a sealed value opens in every column of its owner",
        10,
        (Edit(SECRETBOX, 'self.column.encode() + b"\\x00" + self.owner.bytes', "self.owner.bytes"),),
    ),
    Planted(
        "a former secret opens as the current one",
        10,
        (Edit(SECRETBOX, "self.owner.bytes + self.row\n", "self.owner.bytes\n"),),
    ),
    Planted(
        "the form that names no column is read by everybody",
        10,
        (
            Edit(
                SECRETBOX,
                "        if not sealed.startswith(_VERSION):\n",
                "        if sealed.startswith(_VERSION_BEFORE):\n"
                "            return self._decrypt(sealed, place.owner.bytes)\n"
                "        if not sealed.startswith(_VERSION):\n",
            ),
        ),
    ),
    Planted(
        "a value of the form before is moved to where it does not fit",
        10,
        (Edit(SECRETBOX, "        if not fits(plain):\n", "        if False:\n"),),
    ),
    Planted(
        "a key under which anybody signs is believed",
        10,
        (Edit(STRICT, "len(raw) != 32 or is_unsound(raw)", "len(raw) != 32"),),
    ),
    Planted(
        "a signature of small order is believed",
        10,
        (Edit(STRICT, " or is_unsound(signature[:32]):", ":"),),
    ),
    Planted(
        "a key that was changed is told to those only who ask",
        10,
        (
            Edit(
                "relay/keys/keyring.py",
                "    await tell_keys(conn, merchant_id, endpoint_id, now=now)\n    return made\n",
                "    await tell_keys_where_asked(conn, merchant_id, endpoint_id, now=now)\n    return made\n",
            ),
        ),
        asks=("tests/database/relay/test_endpoints.py", "-k", "change_of_keys"),
    ),
    Planted(
        "an empty secret is believed",
        10,
        (
            Edit(
                STRICT,
                "SECRET_BYTES_MIN, SECRET_BYTES_MAX = 24, 64",
                "SECRET_BYTES_MIN, SECRET_BYTES_MAX = 0, 64",
            ),
        ),
    ),
    Planted(
        "a sequence before that nobody signed is believed",
        4,
        (Edit(VERIFY, "_parse_sequence(prev) if is_vouched else None", "_parse_sequence(prev)"),),
    ),
    Planted(
        "another body of one event is a repeat",
        6,
        (Edit(VERIFY, "seen is True or event.body_hash in (None, seen)", "bool(seen)"),),
    ),
    Planted(
        "a checkpoint may be older than the one before it",
        4,
        (Edit(VERIFY_LOG, "    if second.time_s < first.time_s:\n", "    if False:\n"),),
    ),
    Planted(
        "an epoch may have two beginnings",
        4,
        (
            Edit(
                VERIFY_LOG,
                "    if second.log_epoch == first.log_epoch and second.epoch_after != first.epoch_after:\n",
                "    if False:\n",
            ),
        ),
    ),
    Planted(
        "a webhook key may be dated back",
        4,
        (
            Edit(
                VERIFY_LOG,
                "        if was is None and _unix_time_s(begun) < horizon_s:\n",
                "        if False:\n",
            ),
        ),
    ),
    Planted(
        "a witness signs along what does not continue",
        4,
        (
            Edit(
                WITNESSING,
                '    return None if _is_continued(known, asked) else Refusal(422, "the proof does not hold")\n',
                "    return None\n",
            ),
        ),
    ),
    Planted(
        "a witness signs along a second root of one size",
        4,
        (
            Edit(
                WITNESSING,
                "    if known is not None and asked.size == known.size and asked.root_hash != known.root_hash:\n",
                "    if False:\n",
            ),
            Edit(WITNESSING, "    return not asked.path and is_empty\n", "    return True\n"),
            Edit(
                WITNESSING,
                "    if known is None or known.size == 0:\n",
                "    if known is None or known.size == asked.size:\n",
            ),
        ),
    ),
    Planted(
        "an anchor of another note is believed",
        10,
        (
            Edit(
                VERIFY_LOG,
                'if hashlib.sha256(note.encode("utf-8", "surrogatepass")).hexdigest() != found[1].lower():',
                "if False:",
            ),
        ),
        asks=OF_ANCHORS,
    ),
    Planted(
        "a hash at the beginning of anything is an anchor",
        10,
        (Edit(VERIFY_LOG, "_ANCHOR.fullmatch(anchored)", "_ANCHOR.match(anchored)"),),
        asks=OF_ANCHORS,
    ),
    Planted(
        "the kit for Node believes an anchor of another note",
        10,
        (
            Edit(
                "relay/kit/verify_log.mjs",
                'if (createHash("sha256").update(note, "utf8").digest("hex") !== found[1].toLowerCase()) {',
                "if (false) {",
            ),
        ),
        asks=("tests/unit/relay/test_kits_agree.py",),
    ),
    Planted(
        "what is anchored is a note without its witnesses",
        10,
        (
            Edit(
                "gateway/commands/anchors.py",
                "note = checkpoint.note + checkpoint.cosignatures",
                "note = checkpoint.note",
            ),
        ),
        asks=("tests/commands/test_logs.py",),
    ),
)
