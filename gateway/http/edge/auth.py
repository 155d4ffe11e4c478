"""Who is calling: a merchant's key, the admin token, or nobody.

Lives here: reading the header, comparing in constant time, and what an operation's access asks for. Does not live here:
how often wrong keys may be shown (`logins`), how keys look (`gateway.apikeys`), their rows (`gateway.store`).
"""

from __future__ import annotations

import hmac

from gateway import store
from gateway.apikeys import ApiKey, Scope, is_same_secret
from gateway.config.settings import Secret
from gateway.http.edge.calls import NOBODY, Access, AdminAccess, AnyKey, Caller, OpenAccess
from gateway.http.edge.problem import Problem
from migrations.handles import Pool

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="chainbell"'}


def read_token(header: str | None) -> str:
    """What follows "Bearer"; Problem 401 for a header that says nothing usable."""
    if header is None:
        raise _refused("an Authorization header is needed: Bearer and an API key")
    scheme, _, token = header.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise _refused("the Authorization header is not of the form: Bearer and an API key")
    if not token.isascii():  # bytes that are not UTF-8 arrive as surrogates, which encode to nothing
        raise not_a_key()
    return token


def is_admin_token(token: str, admin_token: Secret) -> bool:
    """Compare in constant time; an empty one admits nobody."""
    return bool(admin_token) and hmac.compare_digest(token.encode(), admin_token.reveal().encode())


async def find_caller(pool: Pool, shown: ApiKey) -> Caller:
    """Whose key this is; Problem 401 for one that is unknown, revoked, or a disabled merchant's."""
    found = await store.load_api_key(pool, shown.id)
    if found is None or not is_same_secret(shown.secret, found.secret_hash):
        raise not_a_key()
    if found.key.revoked_at is not None:
        raise _refused("this key was revoked")
    if found.merchant_disabled:
        raise _refused("this merchant is disabled")
    return Caller(found.key.id, found.key.merchant_id, frozenset(found.key.scopes))


def not_a_key() -> Problem:
    """401, whatever of the key is wrong."""
    return _refused("this is not a key of this server")


def check_access(caller: Caller, access: Access) -> None:
    """Return when this caller may; Problem 401 or 403 otherwise."""
    match access:
        case OpenAccess():
            return
        case AdminAccess():
            if not caller.is_admin:
                raise Problem(403, "this call is for the admin token")
        case AnyKey():
            _check_merchant(caller)
        case Scope():
            _check_merchant(caller)
            if access.value not in caller.scopes:
                raise Problem(403, f"this key lacks the scope {access.value}")


def _check_merchant(caller: Caller) -> None:
    if caller is NOBODY:
        raise _refused("an API key is needed")
    if caller.is_admin:
        raise Problem(403, "this call is for a merchant's key, not for the admin token")


def _refused(detail: str) -> Problem:
    return Problem(401, detail, headers=CHALLENGE)
