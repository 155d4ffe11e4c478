"""
Of each network of the catalogue a made block in the form of its family, under the traits the network has.

Transaction types and header fields are those of each family's newest rules, from the sources that the profiles name.
How rows become a block is `made`, where it stands `chained`; recorded blocks beside these are `samples`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from chains.catalog import entries
from chains.evm.facts import facts_of, number_of
from chains.evm.verify import PROFILES, Check, Mode, Profile
from chains.model import Hold
from chains.traits import ChainTraits
from tests.devnet.local import token
from tests.unit.chains.verify.made import (
    PAYEE,
    PLACE,
    VALIDATOR,
    Part,
    address_of,
    log,
    part,
    signed,
    unsigned,
)
from tests.unit.chains.verify.recorded import Rows, hex_data, keccak

TRAITS = {entry.traits.alias: entry.traits for entry in entries() if entry.traits.family.value == "evm"}
OF_RECEIPTS = (Check.RECEIPTS_ROOT, Check.LOGS_BLOOM, Check.GAS_USED, Check.CREATED_ADDRESSES)
FOREIGN = "0x" + "f0" * 20
"""A token that nobody listed."""

NONCES_EACH = 64
"""More than one block's transactions use."""

NAMING = frozenset({"sourceHash", "requestId", "ticketId", "queueIndex", "input", "nonce"})
"""What makes transactions of the protocol's own different from each other."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One honest answer, and under which network's traits it is read.

    `hold` is what the network's known gaps do to it. `has_receipts`: where a block was recorded without, plain ones
    stand for them and what reads them is not tried.
    """

    name: str
    traits: ChainTraits
    block: bytes
    receipts: bytes
    hold: Hold = Hold.NONE
    has_receipts: bool = True

    @property
    def profile(self) -> Profile:
        """The network's profile, without the checks that nothing was recorded for."""
        rules = PROFILES[facts_of(self.traits).verification_profile]
        if self.has_receipts:
            return rules
        return replace(rules, modes={**rules.modes, **dict.fromkeys(OF_RECEIPTS, Mode.ABSENT)})

    def rows(self) -> tuple[Rows, list[Rows]]:
        """Fresh rows, to be bent."""
        return msgspec.json.decode(self.block), msgspec.json.decode(self.receipts)


def traits_of(alias: str) -> ChainTraits:
    """The network's own traits, with a listed token where its page names none."""
    traits = TRAITS[alias]
    return traits if traits.assets else replace(traits, assets=(token("0x" + "70" * 20),))


LEGACY_HEADER: Rows = {
    "parentHash": "0x" + "0a" * 32,
    "sha3Uncles": "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347",
    "miner": "0x" + "c0" * 20,
    "stateRoot": "0x" + "0b" * 32,
    "difficulty": "0x0",
    "number": "0x7a12000",
    "gasLimit": "0x3938700",
    "timestamp": "0x6a5f0000",
    "extraData": "0x63",
    "mixHash": "0x" + "0c" * 32,
    "nonce": "0x0000000000000000",
    "baseFeePerGas": "0x3b9aca00",
    "size": "0x400",
    "uncles": [],
}
WITHDRAWAL = {"index": "0x1", "validatorIndex": "0x2", "address": PAYEE, "amount": "0x3"}
CANCUN = {"blobGasUsed": "0x20000", "excessBlobGas": "0x40000", "parentBeaconBlockRoot": "0x" + "0d" * 32}
PRAGUE = {**CANCUN, "requestsHash": "0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}
AMSTERDAM = {**PRAGUE, "blockAccessListHash": "0x" + "0e" * 32, "slotNumber": "0x9"}
ISTHMUS = {
    **PRAGUE,
    "withdrawals": [],
    "withdrawalsRoot": "0x" + "0f" * 32,
    "extraData": "0x00000000fa00000006",
}
ARBITRUM_HEADER = {
    "difficulty": "0x1", "extraData": "0x" + "1a" * 32, "nonce": "0x00000000001ed08c", "miner": "0x" + "a4" * 20,
    "l1BlockNumber": "0x15b88c4", "sendCount": "0x23fb9", "sendRoot": "0x" + "1a" * 32,
}  # fmt: skip
GRANITE = {
    **CANCUN, "difficulty": "0x1", "extDataHash": "0x" + "56" * 32, "extDataGasUsed": "0x2", "blockGasCost": "0x3",
    "timestampMilliseconds": "0x1", "minDelayExcess": "0x2",
}  # fmt: skip
SETTLING = {
    **GRANITE, "targetExponent": "0x1", "minPriceExponent": "0x2", "settledHeight": "0x7a11ffd",
    "settledGasUnix": "0x6a5f0000", "settledGasNumerator": "0x1", "settledExcess": "0x2",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes the transactions of one network; `batch` tells those of one block of a chain from another's."""

    traits: ChainTraits
    batch: int = 0

    @property
    def profile(self) -> Profile:
        return PROFILES[facts_of(self.traits).verification_profile]

    def signed(
        self, kind: str, *logs: Rows, status: str = "0x1", receipt: Rows | None = None, **fields: Any
    ) -> Part:
        nonce = hex(int(fields.pop("nonce", "0x7"), 16) + NONCES_EACH * self.batch)
        row = signed(self.profile, number_of(self.traits.chain), kind, nonce=nonce, **fields)
        return part(self.profile, row, *logs, status=status, **(receipt or {}))

    def unsigned(self, kind: str, status: str = "0x1", receipt: Rows | None = None, **fields: Any) -> Part:
        fields |= {name: self.told_apart(fields[name]) for name in NAMING & fields.keys()}
        row = unsigned(self.profile, kind, **fields)
        return part(self.profile, row, status=status, **(receipt or {}))

    def told_apart(self, text: str) -> str:
        """The same number of digits for each batch another."""
        return f"0x{int(text, 16) + self.batch:0{len(text) - 2}x}"

    def token_log(self, amount: int) -> Rows:
        asset = self.traits.assets[0]
        assert asset.contract is not None
        return log("0x" + asset.contract.hex(), PAYEE, amount)

    def plain(self, *kinds: str) -> list[Part]:
        """What people do everywhere: pay, call tokens, fail, create; and once of each further type."""
        other = log(FOREIGN, PAYEE, 9, topic="0x" + "ee" * 32)
        creation: Rows = {"to": None, "input": "0x6001", "value": "0x64", "nonce": "0x9", "gas": "0x186a0"}
        parts = [
            self.signed("0x0", value="0x1bc16d674ec80000"),
            self.signed("0x2", self.token_log(1_500_000), log(FOREIGN, PAYEE, 77), to=FOREIGN, nonce="0x8"),
            self.signed("0x2", value="0x2540be400", status="0x0", nonce="0x2"),
            self.signed("0x2", **creation),
            self.signed("0x1", self.token_log(2), other, value="0x5", nonce="0x3"),
        ]
        extra: dict[str, Rows] = {
            "0x3": {"maxFeePerBlobGas": "0x1", "blobVersionedHashes": ["0x01" + "ab" * 31]},
            "0x4": {"authorizationList": [self._authorization()]},
            "0x7a": {"feeCurrency": FOREIGN, "maxFeeInFeeCurrency": "0x99"},
            "0x7b": {"feeCurrency": FOREIGN},
        }
        for at, kind in enumerate(kinds):
            receipt = {"baseFee": "0x5"} if kind == "0x7b" else {}
            paid = {"value": "0x6", "nonce": hex(32 + at), **extra[kind]}
            parts.append(self.signed(kind, self.token_log(3 + at), receipt=receipt, **paid))
        return parts

    def _authorization(self) -> Rows:
        return {
            "chainId": "0x0",
            "address": FOREIGN,
            "nonce": "0x1",
            "yParity": "0x0",
            "r": "0x3",
            "s": "0x4",
        }


Family = Callable[[Maker], tuple[Rows, list[Part]]]
"""The header fields and the transactions of one network's block."""


def ethereum(make: Maker) -> tuple[Rows, list[Part]]:
    return {**PRAGUE, "withdrawals": [WITHDRAWAL]}, make.plain("0x3", "0x4")


def amsterdam(make: Maker) -> tuple[Rows, list[Part]]:
    """Moves of the native coin log a Transfer of 0xff…fe (EIP-7708)."""
    mirror = log("0xfffffffffffffffffffffffffffffffffffffffe", PAYEE, 5)
    parts = [*make.plain("0x3", "0x4"), make.signed("0x2", mirror, value="0x5", nonce="0x10")]
    return {**AMSTERDAM, "withdrawals": [WITHDRAWAL]}, parts


def optimism(make: Maker) -> tuple[Rows, list[Part]]:
    return ISTHMUS, [*_op_deposits(make), *make.plain("0x4")]


def celo(make: Maker) -> tuple[Rows, list[Part]]:
    return ISTHMUS, [*_op_deposits(make), *make.plain("0x4", "0x7a", "0x7b")]


def _op_deposits(make: Maker) -> list[Part]:
    """The attributes of the parent block first, then what people sent over; one mints and fails."""
    receipt = {"depositNonce": "0x111", "depositReceiptVersion": "0x1"}
    depositor, attributes = (
        "0xdeaddeaddeaddeaddeaddeaddeaddeaddead0001",
        "0x4200000000000000000000000000000000000015",
    )
    system: Rows = {
        "from": depositor,
        "to": attributes,
        "input": "0x440a5e20" + "00" * 160,
        "isSystemTx": False,
    }
    paid: Rows = {"from": "0x" + "b1" * 20, "mint": "0xde0b6b3a7640000", "value": "0xde0b6b3a7640000"}
    failed: Rows = {**paid, "from": "0x" + "b2" * 20, "value": "0xf"}
    return [
        make.unsigned("0x7e", sourceHash="0x" + "21" * 32, receipt=receipt, **system),
        make.unsigned("0x7e", sourceHash="0x" + "22" * 32, receipt=receipt, **paid),
        make.unsigned("0x7e", sourceHash="0x" + "23" * 32, receipt=receipt, status="0x0", **failed),
        make.unsigned(
            "0x7e",
            sourceHash="0x" + "24" * 32,
            receipt=receipt,
            **{**paid, "mint": None, "to": None, "input": "0x6001"},
        ),
    ]


def arbitrum(make: Maker) -> tuple[Rows, list[Part]]:
    alias, chain = "0x" + "b3" * 20, hex(number_of(make.traits.chain))
    arb_os = "0x00000000000000000000000000000000000a4b05"
    common: Rows = {"from": alias, "chainId": chain, "maxFeePerGas": "0x989680"}
    request: Rows = {"requestId": "0x" + "31" * 32}
    redeem: Rows = {
        "ticketId": "0x" + "32" * 32,
        "refundTo": alias,
        "maxRefund": "0x1",
        "submissionFeeRefund": "0x2",
    }
    submit: Rows = {
        "l1BaseFee": "0x3", "depositValue": "0x4", "retryTo": PAYEE, "retryValue": "0x5", "beneficiary": alias,
        "maxSubmissionFee": "0x6", "refundTo": alias, "retryData": "0x",
    }  # fmt: skip
    start: Rows = {"from": arb_os, "to": arb_os, "chainId": chain, "input": "0x6bf6a42d" + "00" * 128}
    parts = [
        make.unsigned("0x6a", **start),
        make.unsigned("0x64", value="0xde0b6b3a7640000", **common, **request),
        make.unsigned("0x65", value="0x7", **{**common, "nonce": "0x4"}),
        make.unsigned("0x66", value="0x8", **common, **request),
        make.unsigned(
            "0x66", value="0x9", **{**common, "to": None, "input": "0x6001", "requestId": "0x" + "33" * 32}
        ),
        make.unsigned("0x69", to="0x000000000000000000000000000000000000006e", **common, **request, **submit),
        make.unsigned("0x68", value="0x5", **common, **redeem),
        *make.plain(),
    ]
    return ARBITRUM_HEADER, parts


def avalanche(make: Maker) -> tuple[Rows, list[Part]]:
    return GRANITE, make.plain()


def settling(make: Maker) -> tuple[Rows, list[Part]]:
    return SETTLING, make.plain()


def bsc(make: Maker) -> tuple[Rows, list[Part]]:
    """Last, the validator hands on the fees of the block, unpaid (consensus "parlia")."""
    validator = address_of(VALIDATOR)
    reward: Rows = {
        "to": "0x0000000000000000000000000000000000001000",
        "value": "0x2386f26fc10000",
        "gasPrice": "0x0",
    }
    parts = [
        *make.plain("0x3", "0x4"),
        make.signed("0x0", key=VALIDATOR, input="0xf340fa01" + "00" * 32, **reward),
    ]
    return {**PRAGUE, "miner": validator, "difficulty": "0x2", "withdrawals": []}, parts


def polygon(make: Maker) -> tuple[Rows, list[Part]]:
    """The log of 0x…1010 mirrors the native payment."""
    mirror = log("0x0000000000000000000000000000000000001010", PAYEE, 5, topic="0x" + "e6" * 32)
    return {"difficulty": "0x1"}, [*make.plain("0x4"), make.signed("0x2", mirror, value="0x5", nonce="0x10")]


def bridging(make: Maker) -> tuple[Rows, list[Part]]:
    """A bridge transaction in the body, whose events no row holds (PIP-74)."""
    header, parts = polygon(make)
    envelope = b"\x7f" + bytes.fromhex(make.told_apart("0xc3820102")[2:])
    row = {
        **PLACE,
        "type": "0x7f",
        "hash": hex_data(keccak(envelope)),
        "from": "0x" + "00" * 20,
        "nonce": "0x0",
    }
    row |= {"to": "0x" + "00" * 20, "value": "0x0", "gas": "0x0", "gasPrice": "0x0", "input": "0x"}
    return header, [*parts, Part(row, envelope, (make.token_log(44),))]


def linea(make: Maker) -> tuple[Rows, list[Part]]:
    return {"difficulty": "0x2", "extraData": "0x" + "11" * 97}, make.plain()


def scroll(make: Maker) -> tuple[Rows, list[Part]]:
    sender = "0x" + "b4" * 20
    message: Rows = {"queueIndex": "0x9", "sender": sender, "from": sender, "nonce": "0x9", "value": "0x11"}
    return {"difficulty": "0x1"}, [make.unsigned("0x7e", **message), *make.plain("0x4")]


FAMILIES: dict[str, Family] = {
    "ethereum": ethereum, "hoodi": ethereum, "sepolia": amsterdam,
    "optimism": optimism, "base": optimism, "base-sepolia": optimism, "optimism-sepolia": optimism, "celo": celo,
    "arbitrum": arbitrum, "arbitrum-sepolia": arbitrum,
    "avalanche": avalanche, "avalanche-fuji": settling,
    "bsc": bsc, "bsc-testnet": bsc,
    "polygon": polygon, "polygon-amoy": polygon,
    "linea": linea, "scroll": scroll,
}  # fmt: skip
"""Every network that is hashed; zkSync, which is not, is made by `chained`."""
