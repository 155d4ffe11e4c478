"""What the doctor may ask a family about a provider on trial, and about an endpoint that announces heads.

The doctor fetches by the port, as a follower does; what the provider showed itself able to do meanwhile, what that
costs, and what to do about a refusal only the family can say.  Which findings there are in all is the gateway's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from chains.errors import ChainError
from chains.model import Block
from chains.port import Provider
from chains.rpc.node_endpoint import NodeEndpoint
from chains.traits import ChainTraits


@dataclass(frozen=True, slots=True)
class Remark:
    """One sentence on how a provider is asked, and what to do; `is_well`: nothing must be done."""

    about: str
    is_well: bool
    found: str
    advice: str = ""


class Trial(Protocol):
    """One provider after it was asked; each answer rests on what was fetched before."""

    @property
    def blocks_are(self) -> str:
        """What a block of this chain is fetched as, in words."""
        ...

    @property
    def rate_per_s(self) -> float:
        """How many calls a second it allows, as far as is known; infinite where nothing is."""
        ...

    def judge_batches(self, headers_count: int) -> Remark:
        """How many calls it takes at once, after it gave so many headers."""
        ...

    def judge_blocks(self, blocks: Sequence[Block]) -> Sequence[Remark]:
        """What it does otherwise than it might, after it gave these blocks."""
        ...

    def count_calls(self, blocks: Sequence[Block]) -> int:
        """How many calls following takes with each block, if the next ones are as these were."""
        ...


@dataclass(frozen=True, slots=True)
class TrialRules:
    """One family's part in a trial.

    `start` takes one of the family's own providers.  `advise` says what to do
    about a refusal, in a configuration with this alias; None where nothing is
    the family's own.  `hear_head` listens to an endpoint for so many seconds:
    None when it announced a head, else what hindered it, empty for silence.
    `hints_advice` says what to do about an endpoint that announces nothing.
    `head_early_s`: a head's own time may be so far ahead of a right clock.
    """

    start: Callable[[Provider, ChainTraits], Trial]
    advise: Callable[[ChainError, str], str | None]
    hear_head: Callable[[ChainTraits, NodeEndpoint, float], Awaitable[str | None]]
    head_early_s: float
    hints_advice: str
