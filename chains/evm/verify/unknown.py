"""Which fields of an answer nobody has told us about.

Read only after a hash or root did not come out: a field we do not know may be
one that a new fork commits to, and then a mismatch is our ignorance and no
lie.  Fields that nodes are known to add for information are listed here, so
that they excuse nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

import msgspec
from msgspec import Raw, Struct

from chains.evm.rows.structs import RawReceipt

NAMES_MAX: Final = 4
NAME_CHARACTERS_MAX: Final = 40
"""A stranger's words: few, short, and letters only, since they are told to people."""

_NO_NAME: Final = re.compile(r"[^0-9A-Za-z_]")

_HEADER_INFORMATION: Final = frozenset(
    {
        "author",
        "blockExtraData",
        "extDataHash",
        "hash",
        "l1BatchNumber",
        "l1BatchTimestamp",
        "l1BlockNumber",
        "milliTimestamp",
        "sealFields",
        "sendCount",
        "sendRoot",
        "size",
        "timestampMilliseconds",
        "totalDifficulty",
        "uncles",
        "version",
    }
)

_RECEIPT_INFORMATION: Final = frozenset(
    {
        "blobGasPrice",
        "blobGasUsed",
        "blockTimestamp",
        "daFootprintGasScalar",
        "effectiveGasPrice",
        "feeCurrency",
        "from",
        "gasPrice",
        "gasUsed",
        "gasUsedForL1",
        "l1BaseFeeScalar",
        "l1BlobBaseFee",
        "l1BlobBaseFeeScalar",
        "l1BlockNumber",
        "l1Fee",
        "l1FeeScalar",
        "l1GasPrice",
        "l1GasUsed",
        "multiGasUsed",
        "operatorFeeConstant",
        "operatorFeeScalar",
        "timeboosted",
        "to",
    }
)


@lru_cache(maxsize=32)
def _list_names(struct: type[Struct]) -> frozenset[str]:
    return frozenset(item.encode_name for item in msgspec.structs.fields(struct))


def list_unknown_header_fields(raw: Raw, struct: type[Struct]) -> list[str]:
    """Names in a block's JSON that neither its struct nor the list above holds; null ones excused."""
    members: Mapping[str, Raw] = msgspec.json.decode(raw, type=dict[str, Raw])
    known = _list_names(struct) | _HEADER_INFORMATION
    return _list_unknown(members, known)


def list_unknown_receipt_fields(raws: Sequence[Raw]) -> list[str]:
    """Names in the JSON of a block's receipts, one array or one object each, that are not known."""
    known = _list_names(RawReceipt) | _RECEIPT_INFORMATION
    names: set[str] = set()
    for raw in raws:
        rows = msgspec.json.decode(raw, type=list[dict[str, Raw]] | dict[str, Raw])
        for members in rows if isinstance(rows, list) else [rows]:
            names.update(_list_unknown(members, known))
    return sorted(names)


def _list_unknown(members: Mapping[str, Raw], known: frozenset[str]) -> list[str]:
    names = (name for name, value in members.items() if name not in known and bytes(value) != b"null")
    return sorted(_NO_NAME.sub("?", name[:NAME_CHARACTERS_MAX]) for name in names)[:NAMES_MAX]
