"""`/v1/merchants` and `/v1/keys`: for the admin token.

Lives here: the handlers. Does not live here: what they do (`gateway.merchants`), their JSON (`shapes`), who may call them
(`auth`).
"""

from __future__ import annotations

from gateway import store
from gateway.apikeys import ALL_SCOPES, Scope
from gateway.http.edge.calls import NO_CONTENT, Answer, Call, json_answer
from gateway.http.edge.cursors import decode_after, page
from gateway.http.edge.problem import not_found, unprocessable
from gateway.http.shapes.forms import shown
from gateway.http.shapes.merchants import CreatedKey, CreatedMerchant, KeyObject, MerchantObject
from gateway.merchants import check_name, create_key, create_merchant, revoke_key
from gateway.store import KeyRow, Merchant
from migrations.ids import encode_id

ACTOR = "api:admin"


async def post_merchant(call: Call) -> Answer:
    """Create a merchant with a first key."""
    if flaw := check_name(call.body.name):
        raise unprocessable("/name", flaw)
    merchant, key = await create_merchant(call.pool, call.body.name, actor=ACTOR, now=call.now)
    created = CreatedMerchant(
        merchant_id=encode_id("mer", merchant.id),
        name=merchant.name,
        api_key=key.api_key.text,
        key_id=encode_id("key", key.row.id),
    )
    return json_answer(created, 201)


async def get_merchants(call: Call) -> Answer:
    """List merchants."""
    after, limit = decode_after("merchants", call.query.after), call.query.limit
    merchants = await store.list_merchants(call.pool, after=after, limit=limit + 1)
    return json_answer(
        page("merchants", merchants, limit, place=lambda one: (one.created_at, one.id), view=view_merchant)
    )


async def post_key(call: Call) -> Answer:
    """Create one more key."""
    scopes = ALL_SCOPES if call.body.scopes is None else call.body.scopes
    key = await create_key(call.pool, call.id("merchant_id"), scopes, actor=ACTOR, now=call.now)
    if key is None:
        raise not_found("merchant")
    created = CreatedKey(
        key_id=encode_id("key", key.row.id),
        api_key=key.api_key.text,
        scopes=[Scope(scope) for scope in key.row.scopes],
    )
    return json_answer(created, 201)


async def get_keys(call: Call) -> Answer:
    """List a merchant's keys."""
    merchant_id = call.id("merchant_id")
    async with call.pool.acquire() as conn:
        if await store.load_merchant(conn, merchant_id) is None:
            raise not_found("merchant")
    after, limit = decode_after("keys", call.query.after), call.query.limit
    keys = await store.list_api_keys(call.pool, merchant_id, after=after, limit=limit + 1)
    return json_answer(page("keys", keys, limit, place=lambda one: (one.created_at, one.id), view=view_key))


async def delete_key(call: Call) -> Answer:
    """Revoke a key."""
    if await revoke_key(call.pool, call.id("key_id"), actor=ACTOR, now=call.now) is None:
        raise not_found("key")
    return NO_CONTENT


def view_merchant(merchant: Merchant) -> MerchantObject:
    """A merchant as operators see it."""
    return shown(MerchantObject, merchant, merchant_id=encode_id("mer", merchant.id))


def view_key(key: KeyRow) -> KeyObject:
    """A key as operators see it."""
    ids = {"key_id": encode_id("key", key.id), "merchant_id": encode_id("mer", key.merchant_id)}
    return shown(KeyObject, key, **ids)
