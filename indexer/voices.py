"""What the other operators say: do they hold our chain, and what do they hold at a fork.

Asking only; counting votes is `evidence`, acting on them is `follow`.  A
voice that cannot be heard counts for nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile

from chains.errors import ChainError, Missing
from chains.model import Block, BlockHash, Header
from chains.port import ChainSource, Provider
from indexer.evidence import Opinion, weigh_opinions
from indexer.storage import ChainRecord, FollowStore


class Voices:
    """The other operators of one chain; `statements` keeps what each last said, by host."""

    def __init__(self, store: FollowStore, source: ChainSource) -> None:
        self._store = store
        self._source = source
        self.statements: dict[str, str] = {}

    @property
    def are_several(self) -> bool:
        """Whether more than one operator is configured."""
        return self._source.operators_count > 1

    async def ask_agreement(
        self, record: ChainRecord, first: Provider, branch: Sequence[Header] = ()
    ) -> tuple[int, Provider | None]:
        """How far another operator holds our chain, and who contradicts it if nobody does.

        `branch` are the headers that a rewind is about to apply: at their
        heights they, and not the rows we still hold, are our chain.
        """
        agreed = record.agreed_height
        contradicting: Provider | None = None
        applied = {header.height: header.hash for header in branch}
        for other in self._source.second_opinions(first):
            try:
                theirs = await self._height_in_common(record, other, applied)
            except ChainError as error:
                self._source.report_failure(other, error)
                continue
            if theirs is None:
                contradicting = contradicting or other
                continue
            agreed = max(agreed, theirs)
            if theirs == record.tip.height:
                return agreed, None
        return agreed, contradicting if agreed < record.tip.height else None

    async def _height_in_common(
        self, record: ChainRecord, other: Provider, applied: Mapping[int, BlockHash]
    ) -> int | None:
        """The height up to which `other` holds our chain as far as one look tells; None for another block."""
        try:
            headers = await other.fetch_headers(record.tip.height, record.tip.height)
        except Missing:
            head = (await other.fetch_head_report()).head
            self._source.report_lag(other, head_height=head.height, tip_height=record.tip.height)
            if not record.start_height <= head.height < record.tip.height:
                return record.agreed_height
            ours = applied.get(head.height)
            if ours is None:
                rows = await self._store.load_hashes(record.chain, head.height, head.height)
                ours = rows.get(head.height)
            return head.height if ours == head.hash else None
        return record.tip.height if headers[0].hash == record.tip.hash else None

    async def fetch_witness(
        self, record: ChainRecord, provider: Provider, *, blocks_max: int
    ) -> Sequence[Block]:
        """Held blocks that one operator served, as another one tells them; nothing where nobody can."""
        first = record.held_height
        assert first is not None
        last = min(record.tip.height, first + blocks_max - 1)
        servers = await self._store.load_servers(record.chain, first, last)
        operators = [self._source.operator_of(servers.get(height, "")) for height in range(first, last + 1)]
        of_one = takewhile(lambda operator: operator == operators[0], operators)
        last = first + sum(1 for _ in of_one) - 1
        for other in (provider, *self._source.second_opinions(provider)):
            if other.operator == operators[0]:
                continue
            try:
                return await other.fetch_blocks(first, last)
            except Missing:
                continue
            except ChainError as error:
                self._source.report_failure(other, error)
        return ()

    async def ask_opinion(
        self, record: ChainRecord, first: Provider, height: int, branch_hash: BlockHash
    ) -> Opinion:
        """What other operators hold right above the fork."""
        ours = (await self._store.load_hashes(record.chain, height, height)).get(height)
        for_branch: set[str] = set()
        for_ours: set[str] = set()
        for other in self._source.second_opinions(first):
            try:
                theirs = (await other.fetch_headers(height, height))[0].hash
            except Missing:
                continue
            except ChainError as error:
                self._source.report_failure(other, error)
                continue
            self.statements[other.name] = f"height {height}: 0x{theirs.hex()}"
            # Two providers of one operator are one voice.
            if theirs == branch_hash:
                for_branch.add(other.operator)
            elif theirs == ours:
                for_ours.add(other.operator)
        return weigh_opinions(
            operators_count=self._source.operators_count,
            for_branch=len(for_branch),
            for_ours=len(for_ours - for_branch),
        )
