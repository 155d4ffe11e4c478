"""Moving every stored secret to the first encryption key, after a new one was put in front.

Lives here: `reseal_all`, safe to run at any time and to repeat; when it says 0, the old keys may go. Does not live here:
the encryption (`secretbox`).
"""

from __future__ import annotations

from uuid import UUID

from migrations.handles import Connection
from migrations.queries import load_queries
from relay.secretbox import SecretBox

QUERIES = load_queries("relay", "endpoints.sql")
CHECKPOINTS = load_queries("relay", "checkpoints.sql")

BATCH = 200
NOBODY = UUID(int=0)


async def reseal_all(conn: Connection, box: SecretBox) -> int:
    """Re-encrypt what is not under the first key, a batch a transaction; returns how many values that were.

    SecretUnreadable where a value cannot be opened: what came before it is done.
    """
    return await _reseal_endpoints(conn, box) + await _reseal_logs(conn, box)


async def _reseal_endpoints(conn: Connection, box: SecretBox) -> int:
    done, last = 0, NOBODY
    while True:
        async with conn.transaction():
            rows = await conn.fetch(QUERIES.load_sealed_values, last, BATCH)
            for row in rows:
                last = row["endpoint_id"]
                before, headers = done, row["headers_sealed"]
                if headers is not None and (new := box.reencrypt(headers, owner=last)):
                    done += 1
                    await conn.execute(QUERIES.reseal_headers, last, new)
                for key in await conn.fetch(QUERIES.load_sealed_seeds_of, last):
                    if new := box.reencrypt(key["seed_sealed"], owner=last):
                        done += 1
                        await conn.execute(QUERIES.reseal_seed, last, key["public_key"], new)
                for secret in await conn.fetch(QUERIES.load_sealed_secrets_of, last):
                    if new := box.reencrypt(secret["secret_sealed"], owner=last):
                        done += 1
                        await conn.execute(QUERIES.reseal_secret, last, secret["secret_id"], new)
                if done > before:
                    await conn.execute(QUERIES.touch_endpoint, last)
        if len(rows) < BATCH:
            return done


async def _reseal_logs(conn: Connection, box: SecretBox) -> int:
    done, last = 0, NOBODY
    while True:
        async with conn.transaction():
            rows = await conn.fetch(CHECKPOINTS.load_sealed_log_keys, last, BATCH)
            for row in rows:
                last = row["merchant_id"]
                if new := box.reencrypt(row["signing_key_sealed"], owner=last):
                    done += 1
                    await conn.execute(CHECKPOINTS.reseal_log_key, last, new)
        if len(rows) < BATCH:
            return done
