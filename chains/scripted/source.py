"""The port over scripted providers: who is asked, without a clock.

A provider that failed or lagged goes to the end of the line, so that every
script makes progress and two runs choose alike.  Nobody rests here; how long
real providers rest is `chains.rpc.endpoints`.
"""

from __future__ import annotations

import asyncio

from chains.errors import ChainError, Unreachable, WrongNetwork
from chains.model import HeadReport
from chains.port import Along, Provider
from chains.scripted.provider import ScriptedProvider


class ScriptedSource:
    """The port over scripted providers: the first serves until it fails.

    One that fails goes to the end of the line, so that every script makes
    progress without a clock; `failures` keeps what was told.
    """

    def __init__(self, *providers: ScriptedProvider) -> None:
        assert providers, "a chain has at least one provider"
        self.failures: list[tuple[str, ChainError]] = []
        self.lags: list[tuple[str, int, int]] = []
        self.is_down = False
        self._providers = list(providers)
        self._network_id: bytes | None = None
        self._called = asyncio.Event()
        self._is_hinted = False
        for chain in {id(provider.chain): provider.chain for provider in providers}.values():
            chain.listen(self._note_hint)

    def operator_of(self, host: str) -> str | None:
        return next((one.operator for one in self._providers if one.name == host), None)

    @property
    def operators_count(self) -> int:
        return len({provider.operator for provider in self._providers})

    def choose_provider(self) -> ScriptedProvider:
        if self.is_down:
            raise Unreachable("all providers rest")
        for provider in self._providers:
            if self._serves_pinned(provider):
                return provider
        raise WrongNetwork("has another genesis block", provider=self._providers[0].name)

    def second_opinions(self, first: Provider) -> list[ScriptedProvider]:
        heard = {first.operator}
        opinions: list[ScriptedProvider] = []
        for provider in self._providers:
            if provider.operator not in heard and self._serves_pinned(provider):
                heard.add(provider.operator)
                opinions.append(provider)
        return opinions

    def report_failure(self, provider: Provider, error: ChainError) -> None:
        self.failures.append((provider.name, error))
        self._providers.sort(key=lambda one: one.name == provider.name)

    def report_success(self, provider: Provider) -> None:
        """Nothing to forgive: nobody rests here."""

    def report_lag(self, provider: Provider, *, head_height: int, tip_height: int) -> None:
        self.lags.append((provider.name, head_height, tip_height))
        self._providers.sort(key=lambda one: one.name == provider.name)

    def pin_network(self, network_id: bytes) -> None:
        self._network_id = network_id

    async def fetch_head_hedged(
        self,
        *,
        safe: bool = True,
        final: bool = True,
        along: Along | None = None,  # noqa: ARG002  # a script has no exchanges
    ) -> tuple[ScriptedProvider, HeadReport]:
        provider = self.choose_provider()
        try:
            return provider, await provider.fetch_head_report(safe=safe, final=final)
        except ChainError as error:
            self.report_failure(provider, error)
            raise

    async def run_hints(self) -> None:
        """Returns at once: the chain itself tells."""

    @property
    def are_hints_live(self) -> bool:
        """A script tells every head."""
        return True

    @property
    def would_hint(self) -> bool:
        return True

    def wake(self) -> None:
        self._called.set()

    async def wait_for_hint(self, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                await self._called.wait()
        except TimeoutError:
            return False
        self._called.clear()
        is_hinted, self._is_hinted = self._is_hinted, False
        return is_hinted

    def _note_hint(self) -> None:
        self._is_hinted = True
        self._called.set()

    def _serves_pinned(self, provider: ScriptedProvider) -> bool:
        genesis = provider.chain.canonical[0].header.hash
        return self._network_id is None or genesis == self._network_id
