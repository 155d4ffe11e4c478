"""Shares of what runs at once: each has a bound, all together have one, and what ended counts no more."""

from __future__ import annotations

import pytest

from gateway.http.edge.limits import STREAMS_PER_MERCHANT_MAX, Share, Shares
from gateway.http.edge.problem import Problem
from gateway.process.files import BACKLOG_MAX, CONNECTIONS_MAX, decide_shares


def refused_status(share: Share, who: str, cost: int = 1) -> int | None:
    """What one more gets; None where it is taken."""
    try:
        with share.hold(who, cost):
            return None
    except Problem as problem:
        return problem.status if problem.headers["Retry-After"] else None


def test_who_has_its_share_gets_429_and_all_together_503() -> None:
    share = Share(most=3, each_max=2, what="things")
    with share.hold("a"), share.hold("a"):
        assert refused_status(share, "a") == 429
        assert refused_status(share, "b") is None
        assert refused_status(share, "b", 2) == 503
        with share.hold("b"):
            assert refused_status(share, "c") == 503
    assert share.held == 0
    assert refused_status(share, "a", 2) is None


def test_what_is_refused_or_fails_counts_no_more() -> None:
    share = Share(most=2, each_max=1, what="things")
    with pytest.raises(RuntimeError), share.hold("a"):
        raise RuntimeError
    assert refused_status(share, "a") is None


@pytest.mark.parametrize("files_max", [64, 256, 1_024, 4_096, 65_536, 10**9])
def test_clients_never_have_more_than_half_of_the_files(files_max: int) -> None:
    files = decide_shares(files_max)
    assert files.connections + files.backlog <= files_max // 2
    assert files.connections <= CONNECTIONS_MAX
    assert files.backlog <= BACKLOG_MAX


def test_with_few_files_no_merchant_has_all_of_the_calls() -> None:
    shares = Shares(decide_shares(256).connections)
    assert shares.merchants.each_max >= STREAMS_PER_MERCHANT_MAX
    statuses = {refused_status(shares.merchants, "a", shares.merchants.each_max + 1)}
    assert statuses == {429}
    with shares.merchants.hold("a", shares.merchants.each_max):
        assert refused_status(shares.merchants, "b", shares.merchants.each_max) is None


def test_calls_that_cost_nothing_overlap_and_leave_nothing_behind() -> None:
    share = Share(most=2, each_max=1, what="things")
    first, second = share.hold("a", 0), share.hold("a", 0)
    with second:
        with first:
            pass
        with share.hold("a"):
            assert refused_status(share, "a") == 429
    assert share.held == 0
    assert refused_status(share, "a") is None
