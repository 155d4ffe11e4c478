"""`/.well-known/chainbell/{merchant_id}/keys.json`: the public keys a merchant's webhooks are signed with, for everybody.

Lives here: the handler, which asks for no key because a public key is none; a place that asks too often waits. Does not
live here: making and changing keys (relay.keys.keyring), choosing the right one (the receiver: relay.verify).
"""

from __future__ import annotations

from gateway.http.edge.calls import Answer, Call, json_answer
from gateway.http.edge.clients import share_of
from gateway.http.edge.limits import KEY_LISTS, spend
from gateway.http.edge.problem import not_found
from gateway.http.shapes.forms import shown
from gateway.http.shapes.relay import PublicKeyList, PublicKeyObject
from migrations.ids import encode_id
from relay.keys import keyring, logkeys, signing
from relay.keys.keyring import PublicKey

CACHED_S = 300
"""Shorter than any sensible overlap: whoever keeps the list so long still finds a key that signs."""


async def get_public_keys(call: Call) -> Answer:
    """Every key of a merchant's endpoints. A merchant without endpoints and no merchant at all are the same 404."""
    headers = await spend(call.services.limits, share_of(call.place), KEY_LISTS)
    merchant_id = call.id("merchant_id")
    async with call.pool.acquire() as conn:
        if not (keys := await keyring.load_public_keys(conn, merchant_id)):
            raise not_found("list of keys")
        signed = await logkeys.sign_key_list(conn, call.services.box, merchant_id, keys, now=call.now)
    listed = PublicKeyList(
        merchant_id=encode_id("mer", merchant_id),
        keys=[view_public_key(key) for key in keys],
        log_id=logkeys.log_id_of(signed.log_key),
        log_public_key=signing.encode_public_key(signed.log_key),
        note=signed.note,
    )
    cached = {"Cache-Control": f"public, max-age={CACHED_S}"}
    return Answer(200, json_answer(listed).body, headers={**headers, **cached})


def view_public_key(key: PublicKey) -> PublicKeyObject:
    """A key as everybody sees it."""
    return shown(PublicKeyObject, key, endpoint_id=encode_id("end", key.endpoint_id), algorithm="ed25519")
