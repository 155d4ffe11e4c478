"""Verification of EVM blocks: recompute what a block's hash commits to.

`block` examines one answer by a profile (`profiles`, data), `verifier` is what
a chain's source holds.  `header`, `transactions`, `receipts` and `bloom` turn
rows back into what is hashed, `rlp` and `trie` are the two encodings, `fields`
the structs, `unknown` tells ignorance from lies.  Everything is pure; whether
rows agree with each other is `chains.evm.rows.consistency`.
"""

from chains.evm.verify.block import examine_block, verify_block
from chains.evm.verify.examination import Examination, Unavailable
from chains.evm.verify.profiles import PROFILES, Check, Mode, Profile
from chains.evm.verify.verifier import BlockVerifier

__all__ = [
    "PROFILES",
    "BlockVerifier",
    "Check",
    "Examination",
    "Mode",
    "Profile",
    "Unavailable",
    "examine_block",
    "verify_block",
]
