"""The JSON of merchants and keys as types.

Lives here, pure: bodies and objects of `/v1/merchants` and `/v1/keys`. Does not live here: turning rows into them
(`resources.merchants`).
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from gateway.apikeys import Scope
from gateway.http.shapes.forms import Given, Strict

Name = Annotated[str, Meta(min_length=1, max_length=200)]


class NewMerchant(Strict, frozen=True):
    """`POST /v1/merchants`."""

    name: Name


class NewKeyBody(Strict, frozen=True):
    """`POST /v1/merchants/{merchant_id}/keys`; every scope when left out."""

    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=16)] | None = None


class CreatedMerchant(Given, frozen=True):
    """A merchant with its first key, which is shown once."""

    merchant_id: str
    name: str
    api_key: str
    key_id: str


class MerchantObject(Given, frozen=True):
    """A merchant."""

    merchant_id: str
    name: str
    created_at: str
    disabled_at: str | None


class MerchantPage(Given, frozen=True):
    """A page of merchants."""

    items: list[MerchantObject]
    next: str | None


class CreatedKey(Given, frozen=True):
    """A key, which is shown once."""

    key_id: str
    api_key: str
    scopes: list[Scope]


class KeyObject(Given, frozen=True):
    """A key without its secret."""

    key_id: str
    merchant_id: str
    scopes: list[Scope]
    created_at: str
    revoked_at: str | None


class KeyPage(Given, frozen=True):
    """A page of keys."""

    items: list[KeyObject]
    next: str | None
