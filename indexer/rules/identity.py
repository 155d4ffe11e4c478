"""Who a deposit is: one identity whatever the chain does with it (CONTRACT 2).

Pure.  Height, block hash and log index say where a deposit occurred and are
no part of this.
"""

from __future__ import annotations

import hashlib
from typing import NewType
from uuid import UUID

from chains.model import ChainId, Transfer

MerchantId = NewType("MerchantId", UUID)
AddressId = NewType("AddressId", UUID)
DepositId = NewType("DepositId", UUID)

DEPOSIT_ID_DOMAIN = "chainbell-deposit-1"


def compute_deposit_id(
    merchant_id_text: str, chain: ChainId, transfer: Transfer, *, tx_hash_text: str, recipient_text: str
) -> DepositId:
    """The first 16 bytes of SHA-256 over the lines that CONTRACT 2 lists.

    `merchant_id_text` is the public form (`mer_...`); `tx_hash_text` and
    `recipient_text` are the family's own lower-case forms.
    """
    lines = (
        DEPOSIT_ID_DOMAIN,
        merchant_id_text,
        chain,
        tx_hash_text,
        transfer.kind.value,
        transfer.asset.lower(),
        recipient_text,
        str(transfer.n),
    )
    return DepositId(UUID(bytes=hashlib.sha256("\n".join(lines).encode()).digest()[:16]))
