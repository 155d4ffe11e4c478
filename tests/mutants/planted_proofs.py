"""Bugs of what is sealed, signed and proven: a secret that opens elsewhere, a proof that shows less than it says.

Data only, as `planted.py`.
"""

from __future__ import annotations

from tests.mutants.edits import Edit, Planted

SECRETBOX = "relay/secretbox.py"

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
)
