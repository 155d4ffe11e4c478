"""How long a node that refused all receipts at once is spared the question.  Pure."""

from __future__ import annotations

import pytest

from chains.errors import ChainError, Missing, Refused, Unreachable
from chains.evm.nodes.receipts import ReceiptsForm, ReceiptsWay
from chains.rpc.refusals import UnknownMethod


def count_questions(way: ReceiptsWay, refusal: ChainError, blocks: int) -> int:
    asked = 0
    for _ in range(blocks):
        if way.choose_form() is ReceiptsForm.BY_TRANSACTION:
            way.note_block_by_transaction()
        else:
            asked += 1
            way.note_refused(refusal)
    return asked


@pytest.mark.parametrize(
    ("refusal", "asked_max"),
    [(UnknownMethod("x"), 3), (Refused("x"), 8), (Missing("x"), 14), (Unreachable("x"), 14)],
)
def test_the_better_way_is_tried_again_seldom_and_never_given_up(refusal: ChainError, asked_max: int) -> None:
    way = ReceiptsWay()
    assert 2 <= count_questions(way, refusal, 10_000) <= asked_max
    while way.choose_form() is ReceiptsForm.BY_TRANSACTION:
        way.note_block_by_transaction()
    way.note_given()
    assert (way.refusals, way.choose_form()) == (0, ReceiptsForm.BY_HASH)


def test_one_bad_moment_costs_one_block() -> None:
    way = ReceiptsWay()
    way.note_refused(Unreachable("timed out"))
    way.note_block_by_transaction()
    assert way.choose_form() is ReceiptsForm.BY_HASH
