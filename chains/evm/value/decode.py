"""Rows of one checked block into transfers.  Pure, and the hot path.

A busy block holds thousands of logs and perhaps one deposit, so this compares
strings, turns only recipients into bytes and builds a `Transfer` when asked.
The rules are those of execution evidence: a log of a listed emitter in a
successful transaction, or the value of a successful top-level call.  Inner
calls are `chains.evm.value.traces`; whether rows may be believed is `consistency`.
"""

from __future__ import annotations

from binascii import unhexlify
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chains.errors import Inconsistent
from chains.evm.facts import facts_of, number_of
from chains.evm.rows.quantities import read_quantity
from chains.evm.rows.structs import (
    RawBlock,
    RawLog,
    RawReceipts,
    RawTransaction,
    parse_address_row,
    parse_quantity,
    parse_word,
)
from chains.evm.value.natives import (
    BELIEVED_TYPES,
    SIGNED_TYPES,
    NativeMove,
    TypeRules,
    is_success,
    read_native_moves,
)
from chains.evm.value.signers import recover_authority, recover_sender
from chains.evm.verify.fields import HashedTransaction
from chains.evm.verify.transactions import SIGNED_FIELDS
from chains.model import Address, AssetId, ConflictKey, Transfer, TransferKind, TxHash, format_position
from chains.traits import ChainTraits

TRANSFER_TOPIC = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
"""keccak("Transfer(address,address,uint256)"), the ERC-20 and ERC-721 event."""

WORD_TEXT_LENGTH = 66
ZERO_WORD = "0x" + "0" * 64
ADDRESS_PADDING = ZERO_WORD[:26]
"""What stands before an address in a word, as nearly every node spells it."""

ADDRESS_TEXT_LENGTH = 42

SET_CODE_TYPE = "0x4"
"""EIP-7702: carries authorisations, which use up nonces of their own."""

SCANS_MAX = 8
"""Hits of one block that are counted by a look at all its recipients; for more, rows are grouped once."""


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
class DecodedBlock:
    """The transfers of one block, with the counts its row keeps.

    `unread` names what was not counted and why: what listed tokens logged under
    the name of a transfer and in another event's shape, creations with value
    whose address no hash gives.
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
    _ordinals: dict[int, int] = field(default_factory=dict)
    _places: dict[bytes, list[int]] | None = None
    _scans_count: int = 0
    _senders_checked: set[int] = field(default_factory=set)
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
            senders = (payer,) if any(payer) else ()
            place = format_position(position, parse_quantity(row.log_index))
            amount_base_units = parse_quantity(row.data)
        else:
            position, tx_text = row.position, self._transactions[row.position].hash
            senders, place = () if row.sender is None else (row.sender,), format_position(position)
            amount_base_units = row.amount_base_units
        kind, asset = self._identity(row)
        self._check_sender(position)
        return Transfer(
            tx_hash=TxHash(parse_word(tx_text)),
            kind=kind,
            asset=asset,
            recipient=Address(self._recipients[index]),
            senders=senders,
            n=self._ordinal(index),
            amount_base_units=amount_base_units,
            position=place,
            conflict_keys=self._conflict_keys(position),
        )

    @property
    def spends(self) -> Mapping[ConflictKey, TxHash]:
        if self._spends is None:
            self._spends = compute_spends(self._index.chain_number, self._transactions)
        return self._spends

    def spent_by(self, key: ConflictKey) -> TxHash | None:
        spender = self.spends.get(key)
        if spender is not None:
            for position, transaction in enumerate(self._transactions):
                if compute_conflict_key(transaction) == key:
                    self._check_sender(position)
        return spender

    def _check_sender(self, position: int) -> None:
        """Raise `Inconsistent` where another signed than the row says: no hash covers its `from`."""
        if position >= len(self._transactions) or position in self._senders_checked:
            return
        self._senders_checked.add(position)
        transaction = self._transactions[position]
        if not isinstance(transaction, HashedTransaction) or transaction.type not in SIGNED_FIELDS:
            return
        signer = recover_sender(transaction)
        if signer is not None and signer != parse_address_row(transaction.sender):
            raise Inconsistent(f"{transaction.hash} was signed by 0x{signer.hex()}, not {transaction.sender}")

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
        # The first few hits are counted one by one; then rows are grouped, and numbered for the recipient that is asked
        # about: a block with a hit or two pays for one look at its recipients, and one full of hits once for each row.
        if self._places is None and self._scans_count < SCANS_MAX:
            self._scans_count += 1
            return self._count_before(index)
        if self._places is None:
            self._places = {}
            for place, recipient in enumerate(self._recipients):
                self._places.setdefault(recipient, []).append(place)
        if index not in self._ordinals:
            seen: dict[tuple[str, TransferKind, AssetId], int] = {}
            for place in self._places[self._recipients[index]]:
                identity = self._identity_in_transaction(place)
                self._ordinals[place] = seen.get(identity, 0)
                seen[identity] = self._ordinals[place] + 1
        return self._ordinals[index]

    def _count_before(self, index: int) -> int:
        """How many rows before this one pay the same recipient the same asset in the same transaction."""
        recipient, identity = self._recipients[index], self._identity_in_transaction(index)
        count, place = 0, self._recipients.index(recipient)
        while place < index:
            count += self._identity_in_transaction(place) == identity
            place = self._recipients.index(recipient, place + 1)
        return count

    def _identity_in_transaction(self, place: int) -> tuple[str, TransferKind, AssetId]:
        row = self._rows[place]
        tx_text = row.transaction_hash if isinstance(row, RawLog) else self._transactions[row.position].hash
        return tx_text, *self._identity(row)

    def _conflict_keys(self, position: int) -> tuple[ConflictKey, ...]:
        if position >= len(self._transactions):
            return ()
        key = compute_conflict_key(self._transactions[position])
        return () if key is None else (key,)


def compute_asset_index(traits: ChainTraits) -> AssetIndex:
    """The look-up table of a chain's listed assets."""
    excluded = frozenset("0x" + emitter.hex() for emitter in facts_of(traits).excluded_emitters)
    contracts = {
        "0x" + asset.contract.hex(): asset.asset_id for asset in traits.assets if asset.contract is not None
    }
    return AssetIndex(
        chain_number=number_of(traits.chain),
        native=traits.native.asset_id,
        tokens={text: asset for text, asset in contracts.items() if text not in excluded},
        excluded=excluded,
    )


def decode_transfers(
    index: AssetIndex,
    block: RawBlock,
    receipts: RawReceipts,
    inner_moves: Sequence[NativeMove] = (),
    rules: TypeRules = BELIEVED_TYPES,
    *,
    was_hashed: bool = False,
) -> DecodedBlock:
    """What moved in a block whose rows passed `consistency.check_block`.

    `inner_moves` come from the block's trace, where the chain has one.  Of logs
    that were hashed it is known that they can be read.  Raises
    `Inconsistent` on rows whose values are not what their fields promise.
    """
    recipients: list[bytes] = []
    rows: list[RawLog | NativeMove] = []
    unread: dict[str, None] = {}
    unread_digits: list[str] = []
    native_moves = (*read_native_moves(block, receipts, rules, unread), *inner_moves)
    for move in native_moves:
        recipients.append(move.recipient)
        rows.append(move)
    log_count = unlisted_count = 0
    try:
        for receipt in receipts:
            if receipt.logs:
                log_count += len(receipt.logs)
                if is_success(receipt):
                    unlisted_count += _collect_tokens(
                        index, receipt.logs, recipients, rows, unread, None if was_hashed else unread_digits
                    )
        unhexlify("".join(unread_digits))
    except ValueError as error:
        raise Inconsistent(f"a token log of {block.hash} cannot be read: {error}") from None
    transfers = EvmTransfers(index, block.transactions, recipients, rows)
    return DecodedBlock(transfers, log_count, unlisted_count, native_moves, tuple(unread))


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
    unread_digits: list[str] | None,
) -> int:
    """Append the listed transfers of one receipt; returns how many are unlisted.

    ERC-721 shares the event's name but indexes its third argument, and some old
    tokens index none: only two indexed arguments and one word of data are a
    transfer of an amount.  A listed token's that is none goes into `unread`.  Of
    those spelt as nearly all are, who paid how much is read where somebody asks:
    `unread_digits` has the text, so that it can be seen whether it is readable.
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
        data = log.data
        if len(topics) == 3 and len(data) == WORD_TEXT_LENGTH and data != ZERO_WORD:
            _, payer, payee = topics
            if (
                payer[:26] == ADDRESS_PADDING == payee[:26]
                and data[:2] == "0x"
                and len(payer) == WORD_TEXT_LENGTH == len(payee)
            ):
                recipients.append(unhexlify(payee[26:]))
                rows.append(log)
                if unread_digits is not None:
                    unread_digits.append(payer[26:] + data[2:])
                continue
        recipient = _read_closely(log, emitter, unread)
        if recipient is not None:
            recipients.append(recipient)
            rows.append(log)
    return unlisted_count


def _read_closely(log: RawLog, emitter: str, unread: dict[str, None]) -> bytes | None:
    """Whom a listed token's transfer of more than nothing reached, however it is spelt."""
    arguments = [parse_word(topic) for topic in log.topics[1:]]
    is_clean = not any(any(argument[:12]) for argument in arguments)
    if len(arguments) != 2 or len(log.data) > WORD_TEXT_LENGTH or not is_clean:
        shape = f"{len(log.topics)} topics and {len(bytes.fromhex(log.data[2:]))} bytes"
        unread[f"{emitter}: {shape}"] = None
        return None
    return arguments[1][12:] if read_quantity(log.data) > 0 else None


def _is_word(data: str) -> bool:
    return len(data) == WORD_TEXT_LENGTH
