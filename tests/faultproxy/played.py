"""A provider that lies about one block: its rows as a liar wrote them, whichever way they are asked for.

Which lie it is the test decides; here is only where its rows are answered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.faultproxy.faults import Answer, Bend
from tests.faultproxy.proxy import FaultProxy


def play(
    proxy: FaultProxy, honest: dict[str, Any], block: dict[str, Any], receipts: list[Any]
) -> Counter[str]:
    """From now on answer these rows where the `honest` block or its receipts are asked for; counts how often."""
    heard: Counter[str] = Counter()

    def saying(what: str, result: object) -> Bend:
        def bend(_params: list[Any], _answer: Answer) -> Answer:
            heard[what] += 1
            return {"result": result}

        return bend

    def is_asked(*references: object) -> Callable[[list[Any]], bool]:
        return lambda params: params[0] in references and params[1:] in ([], [True])

    block_hash, height = honest["hash"], honest["number"]
    said, said_receipts = saying("block", block), saying("receipts", receipts)
    proxy.bend("eth_getBlockByHash", said, when=is_asked(block_hash))
    proxy.bend("eth_getBlockByNumber", said, when=is_asked(height))
    by_any_name = is_asked(block_hash, height, {"blockHash": block_hash})
    proxy.bend("eth_getBlockReceipts", said_receipts, when=by_any_name)
    for receipt in receipts:
        by_transaction = is_asked(receipt["transactionHash"])
        proxy.bend("eth_getTransactionReceipt", saying("receipt", receipt), when=by_transaction)
    return heard
