"""The assets whose transfers are looked for in the recorded Tron block: TRX, USDT, and two numbered ones."""

from __future__ import annotations

from dataclasses import replace

from chains.catalog import entry
from chains.model import Asset, AssetId
from chains.tron.address import parse_address, parse_contract
from chains.tron.value.transfers import AssetIndex, compute_asset_index

USDT = parse_address("TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t")
NUMBERED = frozenset({b"1002000", b"1005114"})


def assets() -> AssetIndex:
    """As a configuration that lists them has it."""
    found = entry("tron")
    assert found is not None
    tokens = [
        Asset(AssetId(f"tron:x/trc10:{number.decode()}"), "T", 6, parse_contract(number.decode()))
        for number in NUMBERED
    ]
    return compute_asset_index(replace(found.traits, assets=(*found.traits.assets, *tokens)))
