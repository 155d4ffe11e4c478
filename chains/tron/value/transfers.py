"""Rows of one checked block into transfers.  Pure, and the hot path.

Credit rests on what was executed: TRX and TRC-10 on a transfer whose result
did not fail, TRC-20 on the log of a listed contract in a run that succeeded by
its block, its receipt and its outcome alike, TRX sent by contracts on the
internal transactions that some nodes keep.  What else moves TRX (rewards, what
is unfrozen, value sent along with a call) is not counted (`docs/chains.md`).
Source of the rules: tronprotocol/documentation-en; java-tron `Program`.
"""

from __future__ import annotations

from binascii import unhexlify
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from chains.errors import Inconsistent
from chains.model import Address, AssetId, ConflictKey, Transfer, TransferKind, TxHash, format_position
from chains.traits import ChainTraits
from chains.tron.address import encode_identity, format_address, is_address, lengthen, parse_address
from chains.tron.rows.blocks import RawInfo, RawInternal, RawLog, Transaction
from chains.tron.rows.messages import Unwritable, read_int
from chains.tron.value.contracts import (
    EXECUTED,
    Asked,
    ContractType,
    Payment,
    is_plain_transfer,
    read_asked,
    read_called,
    read_payment,
)

TRANSFER_TOPIC: Final = "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
"""keccak("Transfer(address,address,uint256)")."""

WORD_DIGITS: Final = 64
EMITTER_LENGTHS: Final = frozenset({40, 42, 34})
"""20 bytes of hex, 21 of them, and base58check where a node answers in `visible`."""

PADDINGS: Final = ("0" * 24, "0" * 22 + "41")
"""Before an address in a word; some old contracts leave Tron's own first byte in it."""

MOVING_NOTES: Final = frozenset(
    {b"call".hex(), b"create".hex(), b"suicide".hex(), "call", "create", "suicide"}
)
"""Of internal transactions: others bear amounts that are votes, stakes or rights to use."""

SUCCESS: Final = "SUCCESS"


@dataclass(frozen=True, slots=True)
class AssetIndex:
    """A chain's assets, ready for look-ups: emitters by each text a node may spell them, TRC-10 by its number's digits."""

    native: AssetId
    tokens: Mapping[str, AssetId]
    numbered: Mapping[bytes, AssetId]


def compute_asset_index(traits: ChainTraits) -> AssetIndex:
    """The look-up tables of a chain's listed assets."""
    tokens: dict[str, AssetId] = {}
    numbered: dict[bytes, AssetId] = {}
    for asset in traits.assets:
        contract = asset.contract
        if contract is None:
            continue
        if is_address(contract):
            text = encode_identity(contract)
            tokens |= dict.fromkeys((text[2:], text, format_address(contract)), asset.asset_id)
        else:
            numbered[bytes(contract)] = asset.asset_id
    return AssetIndex(traits.native.asset_id, tokens, numbered)


@dataclass(frozen=True, slots=True)
class Row:
    """One transfer, but for what only its transaction knows: `place` is that of its transaction, `step` within it."""

    place: int
    step: int | None
    kind: TransferKind
    asset: AssetId
    sender: Address | None
    amount_base_units: int
    n: int


@dataclass(slots=True)
class TronTransfers:
    """The `TransferTable` of one Tron block.  Nothing on this chain is used up by one transaction only."""

    _transactions: Sequence[Transaction]
    _asked: Sequence[Asked]
    _recipients: list[bytes] = field(default_factory=list)
    _rows: list[Row] = field(default_factory=list)
    _counts: dict[tuple[int, TransferKind, AssetId, bytes], int] = field(default_factory=dict)

    def add(
        self, place: int, step: int | None, kind: TransferKind, asset: AssetId, sender: Address | None,
        recipient: bytes, amount_base_units: int,
    ) -> None:  # fmt: skip
        """One more, in block order."""
        identity = (place, kind, asset, recipient)
        n = self._counts.get(identity, 0)
        self._counts[identity] = n + 1
        self._recipients.append(recipient)
        self._rows.append(Row(place, step, kind, asset, sender, amount_base_units, n))

    @property
    def recipients(self) -> Sequence[bytes]:
        return self._recipients

    @property
    def spends(self) -> Mapping[ConflictKey, TxHash]:
        return {}

    def spent_by(self, key: ConflictKey) -> TxHash | None:  # noqa: ARG002  # nothing is
        return None

    def at(self, index: int) -> Transfer:
        row = self._rows[index]
        step = () if row.step is None else (row.step,)
        return Transfer(
            tx_hash=TxHash(self._transactions[row.place].id),
            kind=row.kind,
            asset=row.asset,
            recipient=Address(self._recipients[index]),
            senders=() if row.sender is None else (row.sender,),
            n=row.n,
            amount_base_units=row.amount_base_units,
            position=format_position(row.place, *step),
            conflict_keys=(),
            memo=self._asked[row.place].memo,
        )


@dataclass(slots=True)
class Decoded:
    """The transfers of one block, with the counts its row keeps.

    `unread` names what listed tokens logged in another shape, and transactions
    that cannot be read.  `is_executed`: the block holds a run of a contract, so
    there may be logs.  `has_internal`: a node kept what contracts sent on.
    """

    transfers: TronTransfers
    log_count: int = 0
    unlisted_transfer_count: int = 0
    unread: dict[str, None] = field(default_factory=dict)
    is_executed: bool = False
    has_internal: bool = False


def has_runs(asked: Sequence[Asked]) -> bool:
    """Whether a block holds a transaction that the virtual machine ran."""
    return any(one.kind in EXECUTED for one in asked)


def read_all_asked(transactions: Sequence[Transaction]) -> list[Asked]:
    """What each transaction asks for."""
    return [read_asked(one.raw) for one in transactions]


def decode_transfers(
    index: AssetIndex, transactions: Sequence[Transaction], asked: Sequence[Asked], infos: Sequence[RawInfo]
) -> Decoded:
    """What moved; `infos` are the receipts in the transactions' order, or none where nothing was run.

    Raises `Inconsistent` where a receipt contradicts its transaction, or cannot be read.
    """
    decoded = Decoded(TronTransfers(transactions, asked))
    for place, (transaction, one) in enumerate(zip(transactions, asked, strict=True)):
        info = infos[place] if infos else None
        if one.kind in EXECUTED:
            decoded.is_executed = True
            if info is not None:
                _collect_run(decoded, index, place, transaction, info)
        elif one.kind in {ContractType.TRANSFER, ContractType.TRANSFER_ASSET}:
            payment = read_payment(one)
            if payment is None:
                decoded.unread["a transfer that cannot be read"] = None
            elif not has_failed(transaction, info):
                _collect_payment(decoded, index, place, payment)
        elif one.kind < 0:
            decoded.unread["a transaction that cannot be read"] = None
    return decoded


def has_failed(transaction: Transaction, info: RawInfo | None) -> bool:
    """Of a transfer: one that is not executed by the virtual machine has an outcome only where it failed, or SUCCESS."""
    return (
        transaction.is_failed
        or transaction.outcome not in {"", "DEFAULT", SUCCESS}
        or (info is not None and info.result not in {"", "SUCESS"})
    )


def has_succeeded(transaction: Transaction, info: RawInfo) -> bool:
    """Whether a contract's run counts; raises `Inconsistent` where receipt and block tell different outcomes."""
    told = info.receipt.result or "DEFAULT"
    if transaction.outcome not in {"", told}:
        raise Inconsistent(
            f"the receipt of {transaction.id.hex()} says {told[:40]}, its block {transaction.outcome[:40]}"
        )
    return told == SUCCESS and info.result in {"", "SUCESS"} and not transaction.is_failed


def _collect_payment(decoded: Decoded, index: AssetIndex, place: int, payment: Payment) -> None:
    if payment.token is None:
        kind, asset = TransferKind.NATIVE, index.native
    else:
        listed = index.numbered.get(payment.token)
        if listed is None:
            decoded.unlisted_transfer_count += 1
            return
        kind, asset = TransferKind.TRC10, listed
    decoded.transfers.add(
        place, None, kind, asset, payment.sender, payment.recipient, payment.amount_base_units
    )


def _collect_run(
    decoded: Decoded, index: AssetIndex, place: int, transaction: Transaction, info: RawInfo
) -> None:
    decoded.log_count += len(info.logs)
    decoded.has_internal = decoded.has_internal or bool(info.internal)
    if not has_succeeded(transaction, info):
        return
    try:
        for step, log in enumerate(info.logs):
            if log.topics and log.topics[0].lower() == TRANSFER_TOPIC:
                _collect_log(decoded, index, place, step, log)
        for step, move in enumerate(info.internal, start=len(info.logs)):
            _collect_internal(decoded, index, place, step, move)
    except ValueError as error:
        raise Inconsistent(f"the receipt of {transaction.id.hex()} cannot be read: {error}") from None


def _collect_log(decoded: Decoded, index: AssetIndex, place: int, step: int, log: RawLog) -> None:
    asset = index.tokens.get(log.address) or index.tokens.get(log.address.lower())
    if asset is None:
        if len(log.address) not in EMITTER_LENGTHS:
            raise ValueError(f"no emitter: {log.address:.40}")
        decoded.unlisted_transfer_count += len(log.topics) == 3 and len(log.data) == WORD_DIGITS
        return
    arguments = read_arguments(log)
    if arguments is None:
        decoded.unread[f"{log.address}: {len(log.topics)} topics and {len(log.data) // 2} bytes"] = None
        return
    sender, recipient, amount_base_units = arguments
    if amount_base_units:
        decoded.transfers.add(place, step, TransferKind.TOKEN, asset, sender, recipient, amount_base_units)


def read_arguments(log: RawLog) -> tuple[Address | None, Address, int] | None:
    """Sender, recipient and amount of a TRC-20's transfer; None for an event of another shape.

    Raises ValueError on what is no hex.
    """
    if len(log.topics) != 3 or len(log.data) != WORD_DIGITS:
        return None
    sender, recipient = (_read_word_address(topic) for topic in log.topics[1:])
    if sender is None or recipient is None:
        return None
    return (
        lengthen(sender) if any(sender) else None,
        lengthen(recipient),
        int.from_bytes(unhexlify(log.data), "big"),
    )


def _read_word_address(word: str) -> bytes | None:
    short = unhexlify(word)[12:]
    return short if len(word) == WORD_DIGITS and word[:24] in PADDINGS else None


def _collect_internal(decoded: Decoded, index: AssetIndex, place: int, step: int, move: RawInternal) -> None:
    if move.rejected or move.note.lower() not in MOVING_NOTES or move.caller == move.recipient:
        return
    for value in move.values:
        amount_base_units = read_amount(value.amount)
        if amount_base_units and not value.token:
            sender, recipient = parse_address(move.caller), parse_address(move.recipient)
            decoded.transfers.add(
                place, step, TransferKind.INTERNAL, index.native, sender, recipient, amount_base_units
            )


def read_amount(told: int | str) -> int:
    """An amount of TRX; raises ValueError for one that is none."""
    try:
        found = read_int(told)
    except Unwritable as error:
        raise ValueError(str(error)) from None
    if found < 0:
        raise ValueError(f"an amount below nothing: {found}")
    return found


def shows_itself(assets: AssetIndex, transaction: Transaction) -> bool:
    """Whether a transaction says itself what it moves: TRX, a TRC-10, or a listed TRC-20 by a plain call that succeeded."""
    asked = read_asked(transaction.raw)
    if asked.kind in {ContractType.TRANSFER, ContractType.TRANSFER_ASSET}:
        return True
    if asked.kind != ContractType.TRIGGER_SMART or transaction.outcome != SUCCESS:
        return False
    contract, data = read_called(asked)
    return contract[1:].hex() in assets.tokens and is_plain_transfer(data)
