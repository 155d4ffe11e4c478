"""`chainbell listen`: a merchant's events at a developer's own machine, signed as the relay signs.

Lives here: the command: where to read and to post, the key, the secret, and a line for each event. It runs where the
developer is and asks for no configuration: the pull API and an API key are all it has. Does not live here: reading the log
(`gateway.pull`), forwarding (`gateway.listen`).
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import os
import signal
from urllib.parse import urlsplit

from gateway.apikeys import decode_api_key
from gateway.commands.frame import BadUse, Command, CommandFailed, Frame
from gateway.config.settings import Secret
from gateway.listen import Forwarded, Listener
from gateway.pull import LogReader, ServerRefuses
from migrations.ids import encode_id, new_id
from relay.keys import signing
from relay.out.addresses import judge_url
from relay.out.egress import Egress
from relay.out.targets import Target
from relay.settings import RelaySettings

SERVER = "http://127.0.0.1:8480"
SERVER_VARIABLE = "CHAINBELL_SERVER"
KEY_VARIABLE = "CHAINBELL_API_KEY"
SECRET_VARIABLE = "CHAINBELL_WEBHOOK_SECRET"
SIGNING_KEY_CONTEXT = b"chainbell-listen-1"


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--forward", metavar="URL", required=True, help="where to post: http://localhost:3000/hook"
    )
    parser.add_argument(
        "--server", metavar="URL", help=f"chainbell's API (else ${SERVER_VARIABLE}, else {SERVER})"
    )
    parser.add_argument(
        "--api-key",
        metavar="KEY",
        help=f"cb_… with the scope events (better in ${KEY_VARIABLE}: others can see options)",
    )
    parser.add_argument(
        "--secret",
        metavar="SECRET",
        help=f"whsec_… to sign with (else ${SECRET_VARIABLE}, else one is made and shown)",
    )
    parser.add_argument("--types", metavar="A,B", help="only these event types; all when left out")
    parser.add_argument(
        "--from-sequence",
        metavar="N",
        type=int,
        help="begin with this event; with what comes next when left out",
    )


def read_url(option: str, text: str) -> str:
    """A URL to read from or to post to; raises BadUse."""
    if complaint := judge_url(text, allow_private_networks=True):
        raise BadUse(f"{option}: {complaint}")
    return text


def read_server(frame: Frame) -> str:
    """Where the API is, without a slash at its end; raises BadUse."""
    given = frame.arguments.server or frame.environment.get(SERVER_VARIABLE) or SERVER
    server = read_url("--server", given).rstrip("/")
    if urlsplit(server).query:
        raise BadUse("--server: the address of the API has no query")
    return server


def read_key(frame: Frame) -> Secret:
    """The merchant's key; raises BadUse, which does not repeat it."""
    text = frame.arguments.api_key or frame.environment.get(KEY_VARIABLE)
    if not text:
        raise BadUse(f"an API key is needed: ${KEY_VARIABLE}, or --api-key")
    try:
        return Secret(decode_api_key(text.strip()).text)
    except ValueError as error:
        raise BadUse("--api-key: this is not an API key (cb_…)") from error


def read_secret(frame: Frame) -> bytes:
    """The secret to sign with: the one given, or a new one, which is shown; raises BadUse."""
    given = frame.arguments.secret or frame.environment.get(SECRET_VARIABLE)
    if given:
        try:
            return signing.decode_secret(given.strip())
        except ValueError as error:
            raise BadUse(f"--secret: {error}") from error
    secret = os.urandom(signing.SECRET_BYTES)
    frame.terminal.say(f"secret      {signing.encode_secret(secret)}")
    return secret


def build_target(url: str, secret: bytes, endpoint_id_ms: int) -> Target:
    """Where to post. The signing key follows from the secret, so the same secret always has the same public key."""
    seed = hmac.digest(secret, SIGNING_KEY_CONTEXT, "sha256")
    return Target(
        new_id(endpoint_id_ms), url, {}, ((secret, None),), ((signing.signing_key_from_seed(seed), None),)
    )


async def _listen(frame: Frame) -> int:
    asked = frame.arguments
    if asked.from_sequence is not None and asked.from_sequence < 1:
        raise BadUse("--from-sequence: sequences start at 1")
    url = read_url("--forward", asked.forward)
    server, api_key = read_server(frame), read_key(frame)
    target = build_target(url, read_secret(frame), int(frame.now().timestamp() * 1000))
    (key, _), *_ = target.signing_keys
    public_key = signing.encode_public_key(signing.public_bytes(key))
    frame.terminal.say(f"public key  {public_key}")
    frame.terminal.say(f"from {server} to {url}; Ctrl-C ends it")
    timeout_s = RelaySettings().attempt_timeout_s
    async with (
        LogReader(server, api_key) as reader,
        Egress(timeout_s=timeout_s, allow_private_networks=True) as egress,
    ):
        listener = Listener(
            reader,
            egress,
            target,
            types=asked.types,
            now=frame.now,
            told=lambda forwarded: _tell(frame, forwarded),
            say=frame.terminal.say,
        )
        await _run_until_stopped(listener, asked.from_sequence)
    frame.terminal.say(
        f"{listener.forwarded_count} forwarded; to go on here: --from-sequence {listener.place + 1}"
    )
    return 0


async def _run_until_stopped(listener: Listener, from_sequence: int | None) -> None:
    """Until Ctrl-C or SIGTERM, which is how this command is meant to end."""
    task = asyncio.current_task()
    assert task is not None, "a command runs in a task"
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        await listener.run(from_sequence)
    except asyncio.CancelledError:
        task.uncancel()
    except ServerRefuses as error:
        raise CommandFailed(str(error)) from error


def _tell(frame: Frame, forwarded: Forwarded) -> None:
    event, outcome = forwarded.event, forwarded.outcome
    view = {
        "sequence": event.sequence,
        "type": event.type,
        "id": encode_id("evt", event.event_id),
        "outcome": outcome.kind.value,
        "status_code": outcome.status_code,
        "duration_ms": outcome.duration_ms,
    }
    answer = outcome.kind.value if outcome.status_code is None else str(outcome.status_code)
    line = f"{event.sequence:>8}  {event.type:<24}  {view['id']}  {answer} in {outcome.duration_ms} ms"
    frame.terminal.data(view, lambda: [line])


LISTEN = Command("listen", "forward events to your own machine, signed as webhooks", _listen, _arguments)
