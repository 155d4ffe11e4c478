"""How one step of following can end: a handful of values, so that loops and tests can name them.

Weather (an unreachable or lying provider) is an exception and not here:
`chains.errors`, and `storage` for the database's.
"""

from __future__ import annotations

from dataclasses import dataclass

from chains.model import BlockRef
from indexer.rules.evidence import Opinion, Suspicion
from indexer.rules.plan import Moved


@dataclass(frozen=True, slots=True)
class Idle:
    """The head is our tip; heights may have matured."""

    moved: Moved | None = None


@dataclass(frozen=True, slots=True)
class Advanced:
    """Blocks were applied; `head_height` is what the provider claims is newest."""

    moved: Moved
    head_height: int


@dataclass(frozen=True, slots=True)
class Rewound:
    """A branch was left for another one in one move."""

    moved: Moved
    fork: BlockRef


@dataclass(frozen=True, slots=True)
class Lagging:
    """The provider is behind us; nothing moves."""

    head_height: int


@dataclass(frozen=True, slots=True)
class Suspecting:
    """A fork was seen that is not yet, or not any more, evidence enough."""

    suspicion: Suspicion
    opinion: Opinion


@dataclass(frozen=True, slots=True)
class Halted:
    """Nothing is followed until an operator resumes or accepts the reorganisation."""

    reason: str


@dataclass(frozen=True, slots=True)
class Started:
    """The chain's first canonical block was recorded."""

    first: BlockRef


@dataclass(frozen=True, slots=True)
class NotYet:
    """The configured start height has not been reached."""

    head_height: int


StepOutcome = Idle | Advanced | Rewound | Lagging | Suspecting | Halted | Started | NotYet


def describe_standstill(outcome: StepOutcome) -> str | None:
    """Why a chain stands still though every step went well; None where it does not."""
    match outcome:
        case Halted(reason=reason):
            return f"halted: {reason}"
        case Lagging(head_height=head_height):
            return f"its provider's head {head_height} is one that was followed already"
        case Suspecting(suspicion=suspicion, opinion=opinion):
            return f"a provider shows another chain above height {suspicion.fork.height}; other operators: {opinion.value}"
        case _:
            return None
