"""What can go wrong when asking a chain: four kinds of weather.

Every network, protocol and decoding exception is mapped to one of these where
it enters the room, so that followers decide by kind and never by library.
Broken invariants of our own are asserts, not these.
"""

from __future__ import annotations


class ChainError(Exception):
    """Asking a chain failed; `provider` is the host that failed, never a URL."""

    def __init__(self, detail: str, *, provider: str = "") -> None:
        super().__init__(f"{provider}: {detail}" if provider else detail)
        self.detail = detail
        self.provider = provider


class Unreachable(ChainError):
    """No answer, or none that could be read: refused, reset, timed out, cut, HTML."""


class Throttled(ChainError):
    """The provider asks for fewer requests; `retry_after_s` when it said how long."""

    def __init__(self, detail: str, *, provider: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(detail, provider=provider)
        self.retry_after_s = retry_after_s


class Refused(ChainError):
    """The provider understood and said no: unknown method, pruned history, denied."""


class Missing(Refused):
    """The provider does not hold the block or receipts that were asked for.

    Near the head this is lag, not a reorganisation.
    """


class Pruned(Missing):
    """The provider keeps no balances of a block this old; asking again will not help."""


class WrongNetwork(Refused):
    """The provider serves another chain than the one configured."""


class Inconsistent(ChainError):
    """The answer contradicts itself, its hashes or what was asked.

    The provider is to blame; nothing of the answer may be used.
    """


class NoIdentity(Refused):
    """The node does not serve the block that tells its network: another one must be configured."""

    def __init__(self, detail: str) -> None:
        super().__init__(f'{detail}; name another with `identity = {{ height = …, hash = "0x…" }}`')


def name_provider(error: ChainError, provider: str) -> ChainError:
    """The same error, saying whose it is."""
    if not error.provider:
        error.provider = provider
        error.args = (f"{provider}: {error.detail}",)
    return error
