"""An announced block's answers, asked for along with the head: at hand for whoever asks for just that next.

An announcement is not believed: the head is asked for as ever, and only whoever wants the block that it shows finds these
answers, which go through every check.  What to ask is `window`, when a block is announced `chains.hints`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from chains.errors import ChainError
from chains.rpc.jsonrpc import Call, Reply, is_null

ALONE_LOOKS = 32
"""After an exchange with both failed, so many heads are asked for alone: whether the block was to blame is not known."""


class AskedAhead:
    """What one node answered beside its last head; nothing is older than that."""

    def __init__(self) -> None:
        self._calls: Sequence[Call] = ()
        self._outcomes: Sequence[Reply] = ()
        self._alone_looks = 0

    @contextmanager
    def asking(self, along: Sequence[Call]) -> Iterator[Sequence[Call]]:
        """What may be asked for along with a head in the block."""
        self._calls = self._outcomes = ()
        if along and self._alone_looks:
            self._alone_looks -= 1
            along = ()
        try:
            yield along
        except ChainError:
            if along:
                self._alone_looks = ALONE_LOOKS
            raise

    def keep(self, calls: Sequence[Call], outcomes: Sequence[Reply]) -> None:
        """This was answered about the announced block; where something was refused or is not held all is asked again."""
        if not any(isinstance(one, ChainError) or is_null(one) for one in outcomes):
            self._calls, self._outcomes = calls, outcomes

    def take(self, calls: Sequence[Call]) -> Sequence[Reply]:
        """The outcomes of exactly these calls, once; none where others were asked."""
        found = self._outcomes if list(calls) == list(self._calls) else ()
        self._calls = self._outcomes = ()
        return found
