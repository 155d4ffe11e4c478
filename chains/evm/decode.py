"""Rows of one checked block into transfers.  Pure, and the hot path.

A busy block holds thousands of logs and perhaps one deposit, so this compares
strings, turns only recipients into bytes and builds a `Transfer` when asked.
The rules are those of execution evidence: a log of a listed emitter in a
successful transaction, or the value of a successful top-level call.  Inner
calls are `chains.evm.traces`; whether rows may be believed is `consistency`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chains.errors import Inconsistent
from chains.evm.quantities import read_quantity
from chains.evm.rows import (
    FAILURE,
    SUCCESS,
    RawBlock,
    RawLog,
    RawReceipt,
    RawReceipts,
    RawTransaction,
    parse_address_row,
    parse_quantity,
    parse_word,
)
from chains.evm.signers import recover_authority
from chains.model import Address, AssetId, ConflictKey, Transfer, TransferKind, TxHash
from chains.traits import ChainTraits

TRANSFER_TOPIC = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
"""keccak("Transfer(address,address,uint256)"), the ERC-20 and ERC-721 event."""

WORD_TEXT_LENGTH = 66
ADDRESS_TEXT_LENGTH = 42

SIGNED_TYPES = frozenset({"0x0", "0x1", "0x2", "0x3", "0x4"})
"""Transaction types whose sender and nonce can be used up once.

Deposits of OP-stack chains, Arbitrum's system types and Polygon's state sync
carry made-up nonces and replace nothing; of types not known yet we cannot
tell.
"""

OP_DEPOSIT_TYPE = "0x7e"
"""OP stack: `mint` reaches the sender even when the execution fails."""

SET_CODE_TYPE = "0x4"
"""EIP-7702: carries authorisations, which use up nonces of their own."""

ARBITRUM_DEPOSIT_TYPE = "0x64"
"""Arbitrum: Ether from the parent chain; its `from` is an alias, not a payer."""

ARBITRUM_INTERNAL_TYPE = "0x6a"
"""Arbitrum: the node's own bookkeeping, never a payment."""


@dataclass(frozen=True, slots=True)
class AssetIndex:
    """A chain's assets, ready for string look-ups.

    `tokens` maps the lower-case text of an emitter to its asset; excluded
    emitters are not in it, whatever the configuration lists.
    """

    chain_number: int
    native: AssetId
    tokens: Mapping[str, AssetId]
    excluded: frozenset[str]


@dataclass(frozen=True, slots=True)
class NativeMove:
    """Native coin that moved in the transaction at `position`; `sender` None mints."""

    position: int
    kind: TransferKind
    sender: Address | None
    recipient: Address
    amount_base_units: int


@dataclass(frozen=True, slots=True)
class DecodedBlock:
    """The transfers of one block, with the counts its row keeps.

    `unread` names what listed tokens logged under the name of a transfer and in
    another event's shape: emitter and shape, once each.
    """

    transfers: EvmTransfers
    log_count: int
    unlisted_transfer_count: int
    native_moves: Sequence[NativeMove]
    unread: Sequence[str] = ()


@dataclass(slots=True)
class EvmTransfers:
    """The `TransferTable` of one EVM block: rows are read only where asked.

    A row is the token's log or a native move; `recipients` runs beside them.
    """

    _index: AssetIndex
    _transactions: Sequence[RawTransaction]
    _recipients: list[bytes]
    _rows: list[RawLog | NativeMove]
    _ordinals: list[int] | None = None
    _positions: dict[str, int] | None = None
    _spends: dict[ConflictKey, TxHash] | None = None

    @property
    def recipients(self) -> Sequence[bytes]:
        return self._recipients

    def at(self, index: int) -> Transfer:
        row = self._rows[index]
        if isinstance(row, RawLog):
            position, tx_text = self._position_of(row), row.transaction_hash
            payer = Address(parse_word(row.topics[1])[12:])
            sender, log_index = payer if any(payer) else None, parse_quantity(row.log_index)
            amount_base_units = parse_quantity(row.data)
        else:
            position, tx_text = row.position, self._transactions[row.position].hash
            sender, log_index = row.sender, None
            amount_base_units = row.amount_base_units
        kind, asset = self._identity(row)
        return Transfer(
            tx_hash=TxHash(parse_word(tx_text)),
            tx_index=position,
            kind=kind,
            asset=asset,
            recipient=Address(self._recipients[index]),
            sender=sender,
            n=self._ordinal(index),
            amount_base_units=amount_base_units,
            log_index=log_index,
            conflict_keys=self._conflict_keys(position),
        )

    def spent_by(self, key: ConflictKey) -> TxHash | None:
        if self._spends is None:
            self._spends = compute_spends(self._index.chain_number, self._transactions)
        return self._spends.get(key)

    def _position_of(self, log: RawLog) -> int:
        # By hash: Ethermint counts the transactions of logs and of receipts differently.
        if self._positions is None:
            self._positions = {
                transaction.hash: position for position, transaction in enumerate(self._transactions)
            }
        position = self._positions.get(log.transaction_hash)
        # A receipt beyond the transactions (Polygon's state sync) stands behind them all.
        return len(self._transactions) if position is None else position

    def _identity(self, row: RawLog | NativeMove) -> tuple[TransferKind, AssetId]:
        if isinstance(row, RawLog):
            return TransferKind.TOKEN, self._index.tokens[row.address.lower()]
        return row.kind, self._index.native

    def _ordinal(self, index: int) -> int:
        # Counted for the whole block at the first question: a block in which
        # nothing is watched never pays for it.
        if self._ordinals is None:
            self._ordinals = []
            seen: dict[tuple[str, TransferKind, AssetId, bytes], int] = {}
            for row, recipient in zip(self._rows, self._recipients, strict=True):
                tx_text = (
                    row.transaction_hash if isinstance(row, RawLog) else self._transactions[row.position].hash
                )
                identity = (tx_text, *self._identity(row), recipient)
                ordinal = seen.get(identity, 0)
                seen[identity] = ordinal + 1
                self._ordinals.append(ordinal)
        return self._ordinals[index]

    def _conflict_keys(self, position: int) -> tuple[ConflictKey, ...]:
        if position >= len(self._transactions):
            return ()
        key = compute_conflict_key(self._transactions[position])
        return () if key is None else (key,)


def compute_asset_index(traits: ChainTraits) -> AssetIndex:
    """The look-up table of a chain's listed assets."""
    excluded = frozenset("0x" + emitter.hex() for emitter in traits.excluded_emitters)
    contracts = {
        "0x" + asset.contract.hex(): asset.asset_id for asset in traits.assets if asset.contract is not None
    }
    return AssetIndex(
        chain_number=traits.chain_number,
        native=traits.native.asset_id,
        tokens={text: asset for text, asset in contracts.items() if text not in excluded},
        excluded=excluded,
    )


def decode_transfers(
    index: AssetIndex,
    block: RawBlock,
    receipts: RawReceipts,
    inner_moves: Sequence[NativeMove] = (),
) -> DecodedBlock:
    """What moved in a block whose rows passed `consistency.check_block`.

    `inner_moves` come from the block's trace, where the chain has one.  Raises
    `Inconsistent` on rows whose values are not what their fields promise.
    """
    recipients: list[bytes] = []
    rows: list[RawLog | NativeMove] = []
    native_moves = (*_read_native_moves(block, receipts), *inner_moves)
    for move in native_moves:
        recipients.append(move.recipient)
        rows.append(move)
    log_count = unlisted_count = 0
    unread: dict[str, None] = {}
    try:
        for receipt in receipts:
            if receipt.logs:
                log_count += len(receipt.logs)
                if is_success(receipt):
                    unlisted_count += _collect_tokens(index, receipt.logs, recipients, rows, unread)
    except ValueError as error:
        raise Inconsistent(f"a token log of {block.hash} cannot be read: {error}") from None
    transfers = EvmTransfers(index, block.transactions, recipients, rows)
    return DecodedBlock(transfers, log_count, unlisted_count, native_moves, tuple(unread))


def pair_receipts(block: RawBlock, receipts: RawReceipts) -> Sequence[RawReceipt | None]:
    """One receipt a transaction, None where the chain lets one be without.

    `consistency` has checked the order, so counts tell whether any is missing.
    """
    if len(receipts) >= len(block.transactions):
        return receipts
    by_hash = {receipt.transaction_hash: receipt for receipt in receipts}
    return [by_hash.get(transaction.hash) for transaction in block.transactions]


def is_success(receipt: RawReceipt | None) -> bool:
    """Whether there is a receipt that proves success; one without a status does not."""
    if receipt is None:
        return False
    status = receipt.status
    if status == SUCCESS:
        return True
    if status == FAILURE or status is None:
        return False
    raise Inconsistent(f"a receipt of {receipt.block_hash} has the status {status[:20]!r}")


def compute_conflict_key(transaction: RawTransaction) -> ConflictKey | None:
    """Sender and nonce as bytes, or None where the type makes its nonce up or the node leaves it out."""
    if transaction.type not in SIGNED_TYPES or transaction.nonce is None:
        return None
    nonce = parse_quantity(transaction.nonce)
    if nonce >> 64:
        raise Inconsistent(f"the nonce of {transaction.hash} has more than 64 bits")
    return ConflictKey(parse_address_row(transaction.sender) + nonce.to_bytes(8, "big"))


def compute_spends(chain_number: int, transactions: Sequence[RawTransaction]) -> dict[ConflictKey, TxHash]:
    """Every sender's and authority's nonce that these transactions used up, and by which one.

    An authorisation (EIP-7702) is skipped by the chain when its nonce is not
    its authority's next one, which no row shows.  It counts all the same: it
    only says why a deposit that is gone may never return, and one that does
    return is included again.  A nonce that its owner's transaction used is
    that transaction's.
    """
    spends: dict[ConflictKey, TxHash] = {}
    for transaction in transactions:
        if transaction.authorization_list and transaction.type == SET_CODE_TYPE:
            tx_hash = TxHash(parse_word(transaction.hash))
            for authorization in transaction.authorization_list:
                authority = recover_authority(authorization, chain_number)
                if authority is not None:
                    spends.setdefault(_key(authority, parse_quantity(authorization.nonce or "")), tx_hash)
    for transaction in transactions:
        key = compute_conflict_key(transaction)
        if key is not None:
            spends[key] = TxHash(parse_word(transaction.hash))
    return spends


def _key(address: Address, nonce: int) -> ConflictKey:
    return ConflictKey(address + nonce.to_bytes(8, "big"))


def _collect_tokens(
    index: AssetIndex,
    logs: list[RawLog],
    recipients: list[bytes],
    rows: list[RawLog | NativeMove],
    unread: dict[str, None],
) -> int:
    """Append the listed transfers of one receipt; returns how many are unlisted.

    ERC-721 shares the event's name but indexes its third argument, and some old
    tokens index none: only two indexed arguments and one word of data are a
    transfer of an amount.  A listed token's that is none goes into `unread`.
    Raises ValueError on values that are none.
    """
    tokens, unlisted_count = index.tokens, 0
    for log in logs:
        topics = log.topics
        if not topics:
            continue
        topic = topics[0]
        if topic != TRANSFER_TOPIC and topic.lower() != TRANSFER_TOPIC:
            continue
        emitter = log.address
        if emitter not in tokens:
            emitter = emitter.lower()
            if len(emitter) != ADDRESS_TEXT_LENGTH:
                raise ValueError(f"no emitter: {emitter[:80]!r}")
            if emitter not in tokens:
                if emitter not in index.excluded and _is_word(log.data) and len(topics) == 3:
                    unlisted_count += 1
                continue
        arguments = [parse_word(topic) for topic in topics[1:]]
        is_clean = not any(any(argument[:12]) for argument in arguments)
        if len(arguments) != 2 or len(log.data) > WORD_TEXT_LENGTH or not is_clean:
            shape = f"{len(topics)} topics and {len(bytes.fromhex(log.data[2:]))} bytes"
            unread[f"{emitter}: {shape}"] = None
        elif read_quantity(log.data) > 0:
            recipients.append(arguments[1][12:])
            rows.append(log)
    return unlisted_count


def _is_word(data: str) -> bool:
    return len(data) == WORD_TEXT_LENGTH


def _read_native_moves(block: RawBlock, receipts: RawReceipts) -> list[NativeMove]:
    """The coins that transactions carry themselves, calls inside them aside.

    OP-stack deposits first mint to their sender, whether or not the execution
    succeeds, and then move `value` like any transaction; credited as such, a
    bridge deposit to oneself and one to somebody else both come out right.
    """
    moves: list[NativeMove] = []
    paired = pair_receipts(block, receipts)
    for position, transaction in enumerate(block.transactions):
        kind = transaction.type
        if kind == OP_DEPOSIT_TYPE and transaction.mint is not None:
            sender = Address(parse_address_row(transaction.sender))
            moves.append(_move(position, None, sender, transaction.mint))
        if (
            transaction.value == "0x0"
            or kind == ARBITRUM_INTERNAL_TYPE
            or not parse_quantity(transaction.value)
        ):
            continue
        receipt = paired[position]
        if receipt is None or not is_success(receipt):
            continue
        to = transaction.to or receipt.contract_address
        if to is None:
            raise Inconsistent(f"{transaction.hash} sent value and created nothing")
        sender = Address(parse_address_row(transaction.sender))
        payer = None if kind == ARBITRUM_DEPOSIT_TYPE else sender
        moves.append(_move(position, payer, Address(parse_address_row(to)), transaction.value))
    return [move for move in moves if move.amount_base_units > 0]


def _move(position: int, sender: Address | None, recipient: Address, amount: str) -> NativeMove:
    return NativeMove(position, TransferKind.NATIVE, sender, recipient, parse_quantity(amount))
