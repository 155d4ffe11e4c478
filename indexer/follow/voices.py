"""What the other operators say: do they hold our chain, and what do they hold at a fork.

Asking only; counting votes is `evidence`, acting on them is `step`.  A
voice that cannot be heard counts for nobody, and nobody waits for it: with a
`spawn` (the service's TaskGroup) questions run beside the steps, one at a time
for each provider, and a later step takes what was answered.  Without one
(tests, simulation) a question is asked and answered at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from chains.errors import ChainError, Missing, Unreachable
from chains.model import Block, BlockHash, BlockRef, Header
from chains.port import ChainSource, Provider
from indexer.rows.storage import ChainRecord, FollowStore
from indexer.rules.evidence import Opinion, weigh_opinions

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]

PATIENCE_MIN_S = 1.0
PATIENCE_MAX_S = 10.0
NOWHERE = -1
"""Below every height."""

Heights = tuple[int, int]
"""The lowest and the highest, both included."""


def compute_patience_s(block_time_s: float) -> float:
    """How long a step may wait for a second operator where it cannot go on without: about a block, in bounds."""
    return min(max(block_time_s, PATIENCE_MIN_S), PATIENCE_MAX_S)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far other operators hold our chain; `is_whole` when one holds all that it was asked about.

    `contradicting` is who holds another block, while nobody holds it whole.
    """

    height: int
    is_whole: bool = False
    contradicting: Provider | None = None


@dataclass(slots=True)
class _Question:
    """What a provider holds at `asked`'s height; its answer is a block or the failure.

    `asked` was our own block there when it was asked or, `of_fork`, the
    branch's lowest.  At `heights` every chain has a block: of those the highest
    is wanted or, `of_fork`, the lowest.  `is_behind`: the answer is its head,
    which lies below them.
    """

    provider: Provider
    asked: BlockRef
    heights: Heights
    of_fork: bool = False
    wakes: bool = False
    answer: BlockRef | Exception | None = None
    is_behind: bool = False
    task: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether the provider still owes an answer."""
        return self.answer is None and (self.task is None or not self.task.done())


@dataclass(slots=True)
class _Errand:
    """Blocks of ours that are being asked for beside the steps, and what came of it; `ours` are our hashes there."""

    ours: Mapping[int, BlockHash] = field(default_factory=dict)
    blocks: Sequence[Block] = ()
    failure: Exception | None = None
    task: asyncio.Task[None] | None = None


class Voices:
    """The other operators of one chain; `statements` keeps what each last said, by host."""

    def __init__(
        self, store: FollowStore, source: ChainSource, skipped_heights_max: int, spawn: Spawn | None = None
    ) -> None:
        self._store = store
        self._source = source
        self._skipped_heights_max = skipped_heights_max
        self._spawn = spawn
        self._questions: dict[str, _Question] = {}
        self._errands: dict[str, _Errand] = {}
        self._looked_at = NOWHERE
        self.statements: dict[str, BlockRef] = {}

    @property
    def are_several(self) -> bool:
        """Whether more than one operator is configured."""
        return self._source.operators_count > 1

    def forget(self) -> None:
        """What is being asked says nothing any more: the service stops, or a dispute began."""
        for question in self._questions.values():
            if question.task is not None:
                question.task.cancel()
        self._questions.clear()
        for errand in self._errands.values():
            if errand.task is not None:
                errand.task.cancel()
        self._errands.clear()

    async def ask_agreement(
        self,
        record: ChainRecord,
        first: Provider,
        branch: Sequence[Header] = (),
        *,
        patience_s: float = 0.0,
        asks: bool = True,
        wakes: bool = False,
    ) -> Agreement:
        """How far another operator holds our chain, as far as it has been heard; `asks`: and asks on where it has.

        `branch` are the headers that a rewind is about to apply: at their
        heights they, and not the rows we still hold, are our chain.  An answer
        counts for the block it was asked about, as long as that is ours.
        `wakes`: an answer wakes the follower.
        """
        questions = self._take()
        if asks:
            tip = record.tip
            heights = (max(0, tip.height - self._skipped_heights_max), tip.height)
            await self._ask(self._source.second_opinions(first), tip, heights, wakes=wakes)
        await self._wait(patience_s)
        agreed, is_whole = record.agreed_height, False
        contradicting: Provider | None = None
        for question in questions + self._take():
            asked, answer = question.asked, question.answer
            if question.of_fork or not isinstance(answer, BlockRef):
                continue
            if branch and question.provider.operator == first.operator:
                continue  # who shows the branch is no second voice for it
            if await self._our_hash(record, asked.height, branch) != asked.hash:
                continue
            if question.is_behind:
                self._source.report_lag(question.provider, head_height=answer.height, tip_height=asked.height)
                if answer.height < record.start_height:
                    continue
            if await self._our_hash(record, answer.height, branch) != answer.hash:
                contradicting = contradicting or question.provider
                continue
            agreed = max(agreed, answer.height)
            is_whole = is_whole or answer.height == asked.height
            if answer.height < asked.height and not question.is_behind:
                # It goes on above our block, and calls none canonical at its height.
                contradicting = contradicting or question.provider
        return Agreement(agreed, is_whole, None if is_whole else contradicting)

    async def fetch_witness(
        self, record: ChainRecord, provider: Provider, *, heights_max: int
    ) -> Sequence[Block]:
        """Held blocks that one operator served, as another one tells them; nothing where none are or nobody can."""
        first = record.held_height
        if first is None:
            return ()
        last = min(record.tip.height, first + heights_max - 1)
        return await self._run_errand(
            "witness", record, lambda errand: self._fetch_witness(errand, record, provider, first, last)
        )

    async def _fetch_witness(
        self, errand: _Errand, record: ChainRecord, provider: Provider, first: int, last: int
    ) -> None:
        servers = await self._store.load_servers(record.chain, first, last)
        heights = sorted(servers)
        if not heights:
            return
        operators = {height: self._source.operator_of(servers[height]) for height in heights}
        of_one = operators[heights[0]]
        *_, last = takewhile(lambda height: operators[height] == of_one, heights)
        await self._ask_another(errand, record, provider, first, last, but=of_one)

    async def look_again(self, record: ChainRecord, provider: Provider) -> Sequence[Block]:
        """A block of ours that holds deposits on one word, as an operator tells it who did not serve it.

        One at a time, each in its turn from the lowest up, so that one which
        nobody can show keeps no other waiting.
        """
        if not self.are_several:
            return ()
        return await self._run_errand(
            "look", record, lambda errand: self._fetch_look(errand, record, provider)
        )

    async def _fetch_look(self, errand: _Errand, record: ChainRecord, provider: Provider) -> None:
        height = await self._store.load_height_on_one_word(record.chain, above_height=self._looked_at)
        self._looked_at = NOWHERE if height is None else height
        if height is None or height > record.agreed_height:
            return
        servers = await self._store.load_servers(record.chain, height, height)
        server = self._source.operator_of(servers.get(height, ""))
        await self._ask_another(errand, record, provider, height, height, but=server)

    async def _ask_another(
        self,
        errand: _Errand,
        record: ChainRecord,
        provider: Provider,
        first: int,
        last: int,
        *,
        but: str | None,
    ) -> None:
        """Blocks of ours from the first operator beside the one who served them that can tell them."""
        errand.ours = await self._store.load_hashes(record.chain, first, last)
        for other in (provider, *self._source.second_opinions(provider)):
            if other.operator == but:
                continue
            try:
                blocks = await other.fetch_blocks(first, last)
            except Missing:
                continue
            except ChainError as error:
                self._source.report_failure(other, error)
                continue
            if blocks and blocks[0].header.parent.height < first:
                errand.blocks = blocks
                return

    async def _run_errand(
        self, name: str, record: ChainRecord, fetch: Callable[[_Errand], Coroutine[Any, Any, None]]
    ) -> Sequence[Block]:
        """What an errand brought, if it is back and what it was sent for is still ours; sends one where none is out."""
        errand = self._errands.get(name)
        if errand is None:
            self._errands[name] = errand = _Errand()
            if self._spawn is None:
                await self._send(errand, fetch)
            else:
                errand.task = self._spawn(self._send(errand, fetch))
        if errand.task is not None and not errand.task.done():
            return ()
        self._errands.pop(name, None)  # `forget` may have been before us
        if errand.failure is not None:
            raise errand.failure
        if not errand.blocks or not errand.ours:
            return ()
        ours = await self._store.load_hashes(record.chain, min(errand.ours), max(errand.ours))
        return errand.blocks if ours == errand.ours else ()

    async def _send(self, errand: _Errand, fetch: Callable[[_Errand], Coroutine[Any, Any, None]]) -> None:
        """Fill the errand; a failure is kept for whoever takes it, since raised here it would end the TaskGroup."""
        try:
            await fetch(errand)
        except Exception as error:  # noqa: BLE001  # as in `_listen`
            errand.failure = error
        if errand.blocks and self._spawn is not None:
            self._source.wake()

    async def ask_opinion(
        self,
        record: ChainRecord,
        first: Provider,
        fork: BlockRef,
        branch: BlockRef,
        *,
        patience_s: float = 0.0,
    ) -> Opinion:
        """What other operators hold right above the fork, as far as they have been heard; `branch` is its block there."""
        above = fork.height + 1
        held = await self._store.load_hashes(record.chain, above, above + self._skipped_heights_max)
        ours = None if not held else BlockRef(min(held), held[min(held)])
        for_branch: set[str] = set()
        for_ours: set[str] = set()
        questions = self._take()
        highest = branch.height if ours is None else max(branch.height, ours.height)
        others = self._source.second_opinions(first)
        await self._ask(others, branch, (above, highest), of_fork=True)
        await self._wait(patience_s)
        for question in questions + self._take():
            answer, other = question.answer, question.provider
            if not question.of_fork or question.asked != branch or other.operator == first.operator:
                continue  # it was asked before this fork was seen, or of who shows it now
            if not isinstance(answer, BlockRef) or answer.height < above:
                continue
            self.statements[other.name] = answer
            # Two providers of one operator are one voice.
            if answer == branch:
                for_branch.add(other.operator)
            elif answer == ours:
                for_ours.add(other.operator)
        return weigh_opinions(
            operators_count=self._source.operators_count,
            for_branch=len(for_branch),
            for_ours=len(for_ours - for_branch),
        )

    async def _ask(
        self,
        others: Sequence[Provider],
        asked: BlockRef,
        heights: Heights,
        *,
        of_fork: bool = False,
        wakes: bool = False,
    ) -> None:
        """One question to everybody who owes none."""
        for other in others:
            if other.name in self._questions:
                continue
            question = _Question(other, asked, heights, of_fork, wakes)
            if self._spawn is None:
                await self._listen(question)
            else:
                question.task = self._spawn(self._listen(question))
            self._questions[other.name] = question

    async def _listen(self, question: _Question) -> None:
        """Hear one answer out, however long it takes; a failure is one too, and is raised by whoever takes it."""
        try:
            await _fetch_held(question)
        except Exception as error:  # noqa: BLE001  # raised here it would end the TaskGroup
            question.answer = error
        if question.wakes and self._spawn is not None:
            self._source.wake()

    async def _wait(self, patience_s: float) -> None:
        tasks = [one.task for one in self._questions.values() if one.task is not None]
        if tasks and patience_s:
            await asyncio.wait(tasks, timeout=patience_s)

    def _take(self) -> list[_Question]:
        """Every question that was answered, once. Whoever was asked was a second voice beside the one that showed the block."""
        taken = [one for one in self._questions.values() if not one.is_open]
        for question in taken:
            del self._questions[question.provider.name]
        for question in taken:
            if isinstance(question.answer, ChainError):
                self._source.report_failure(question.provider, question.answer)
            elif question.answer is None:
                self._source.report_failure(question.provider, Unreachable("was not heard out"))
            elif isinstance(question.answer, Exception):
                raise question.answer
        return taken

    async def _our_hash(self, record: ChainRecord, height: int, branch: Sequence[Header]) -> BlockHash | None:
        if height >= record.tip.height:
            return record.tip.hash if height == record.tip.height else None
        if branch and height > branch[0].parent.height:
            return next((header.hash for header in branch if header.height == height), None)
        return (await self._store.load_hashes(record.chain, height, height)).get(height)


@asynccontextmanager
async def soon(provider: Provider, patience_s: float | None) -> AsyncIterator[None]:
    """What is asked inside is answered in time, or the provider is `Unreachable`; None waits as the transport does."""
    try:
        async with nullcontext() if patience_s is None else asyncio.timeout(patience_s):
            yield
    except TimeoutError:
        raise Unreachable(f"did not answer within {patience_s:g} s", provider=provider.name) from None


async def _fetch_held(question: _Question) -> None:
    """The block it calls canonical at the height that was asked for, or its head where that is lower."""
    provider, (first, last) = question.provider, question.heights
    try:
        headers = await provider.fetch_headers(first, last)
    except Missing as missing:
        head = (await provider.fetch_head_report(safe=False, final=False)).head
        if head.height >= last:
            # It has come meanwhile: nothing was said about it.
            raise missing from None
        if not question.of_fork or head.height < first:
            question.is_behind, question.answer = True, head.ref
            return
        headers = await provider.fetch_headers(first, head.height)
    if not headers:
        raise Missing(f"shows no block from {first} to {last}", provider=provider.name)
    question.answer = headers[0 if question.of_fork else -1].ref
