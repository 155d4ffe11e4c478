"""What the other operators say: do they hold our chain, and what do they hold at a fork.

Asking only; counting votes is `evidence`, acting on them is `follow`.  A
voice that cannot be heard counts for nobody.
"""

from __future__ import annotations

from chains.errors import ChainError, Missing
from chains.model import BlockHash
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

    async def ask_agreement(self, record: ChainRecord, first: Provider) -> tuple[int, Provider | None]:
        """How far another operator holds our chain, and who contradicts it if nobody does."""
        agreed = record.agreed_height
        contradicting: Provider | None = None
        for other in self._source.second_opinions(first):
            try:
                theirs = await self._height_in_common(record, other)
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

    async def _height_in_common(self, record: ChainRecord, other: Provider) -> int | None:
        """The height up to which `other` holds our chain as far as one look tells; None for another block."""
        try:
            headers = await other.fetch_headers(record.tip.height, record.tip.height)
        except Missing:
            head = (await other.fetch_head_report()).head
            self._source.report_lag(other, head_height=head.height, tip_height=record.tip.height)
            if not record.start_height <= head.height < record.tip.height:
                return record.agreed_height
            ours = await self._store.load_hashes(record.chain, head.height, head.height)
            return head.height if ours.get(head.height) == head.hash else None
        return record.tip.height if headers[0].hash == record.tip.hash else None

    async def ask_opinion(
        self, record: ChainRecord, first: Provider, height: int, branch_hash: BlockHash
    ) -> Opinion:
        """What other operators hold right above the fork."""
        ours = (await self._store.load_hashes(record.chain, height, height)).get(height)
        for_branch = for_ours = 0
        for other in self._source.second_opinions(first):
            try:
                theirs = (await other.fetch_headers(height, height))[0].hash
            except Missing:
                continue
            except ChainError as error:
                self._source.report_failure(other, error)
                continue
            self.statements[other.name] = f"height {height}: 0x{theirs.hex()}"
            for_branch += theirs == branch_hash
            for_ours += theirs == ours
        return weigh_opinions(
            operators_count=self._source.operators_count, for_branch=for_branch, for_ours=for_ours
        )
