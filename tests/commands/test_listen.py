"""`chainbell listen` between a real server and a developer's program, with either of them gone for a while."""

from __future__ import annotations

import json
import signal

from gateway.commands.listen import build_target
from relay.keys import signing
from tests.commands.developer import Developer, post
from tests.relay_live.receiver import Receiver, refuse


async def test_what_is_forwarded_is_what_the_relay_sends_byte_by_byte_and_header_by_header(
    developer: Developer,
) -> None:
    shell = developer.shell
    async with shell.service(), Receiver() as relayed, Receiver() as forwarded:
        created = await post(shell, "/v1/endpoints", {"url": relayed.url}, developer.api_key)
        relayed.secrets, relayed.public_keys = [created["secret"]], [created["public_key"]]
        async with developer.listening(forwarded) as ear:
            forwarded.secrets = [(await ear.said(r"secret +(whsec_\S+)"))[1]]
            forwarded.public_keys = [(await ear.said(r"public key +(whpk_\S+)"))[1]]
            await ear.said("waiting for events after sequence 0")
            await developer.publish("dep_a", "dep_b", "dep_a")
            await forwarded.until_received(3)
            await relayed.until_received(3)
            assert [(await ear.line()).split()[:2] for _ in range(3)] == [
                [str(sequence), "deposit.included"] for sequence in (1, 2, 3)
            ]
            ended = await ear.end()
    assert ended.status == 0
    assert "3 forwarded; to go on here: --from-sequence 4" in ended.err
    assert not relayed.forged + forwarded.forged
    theirs = {one.event["sequence"]: one for one in relayed.received}
    for one in forwarded.received:
        other = theirs[one.event["sequence"]]
        assert one.body == other.body
        changing = {
            "Host",
            "webhook-timestamp",
            "webhook-signature",
            "chainbell-signature",
            "chainbell-delivery",
        }
        assert one.headers.keys() == other.headers.keys()
        assert {name: value for name, value in one.headers.items() if name not in changing} == {
            name: value for name, value in other.headers.items() if name not in changing
        }


async def test_nothing_is_lost_while_the_developers_program_is_down(developer: Developer) -> None:
    async with developer.shell.service("--role", "gateway"):
        receiver = Receiver()
        async with receiver:
            pass  # its port is free again, and known
        async with developer.listening(receiver, "--from-sequence", "1") as ear:
            await ear.said("waiting")
            await developer.publish("dep_a", "dep_b")
            await ear.said("nobody answers at")
            async with receiver:
                await receiver.until_received(2)
                assert receiver.sequences == [1, 2]


async def test_a_server_that_is_killed_and_comes_back_loses_and_repeats_nothing(developer: Developer) -> None:
    async with Receiver() as receiver, developer.listening(receiver, "--from-sequence", "1") as ear:
        await ear.said("does not answer")
        async with developer.shell.service("--role", "gateway"):
            await ear.said("answers again")
            await developer.publish("dep_a")
            await receiver.until_received(1)
        await ear.said("does not answer")
        await developer.publish("dep_a", "dep_b")
        async with developer.shell.service("--role", "gateway"):
            await receiver.until_received(3)
            assert (await ear.end(signal.SIGTERM)).status == 0
    assert receiver.sequences == [1, 2, 3]


async def test_it_goes_on_where_it_is_told_to_and_shows_what_was_answered(developer: Developer) -> None:
    await developer.publish("dep_a", "dep_a", "dep_a")
    await developer.publish("dep_a", type_="deposit.confirmed")
    secret = "whsec_" + "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
    ((key, _),) = build_target("http://127.0.0.1/", signing.decode_secret(secret), 0).signing_keys
    public_key = signing.encode_public_key(signing.public_bytes(key))
    receiver = Receiver(refuse(500), [secret], [public_key])
    async with developer.shell.service("--role", "gateway"), receiver:
        for arguments, sequences in (
            (("--from-sequence", "3"), [3, 4]),
            (("--from-sequence", "1", "--types", "deposit.confirmed"), [4]),
        ):
            receiver.received.clear()
            async with developer.listening(
                receiver, "--json", *arguments, CHAINBELL_WEBHOOK_SECRET=secret
            ) as ear:
                assert (await ear.said(r"public key +(whpk_\S+)"))[1] == public_key
                lines = [json.loads(await ear.line()) for _ in sequences]
                ended = await ear.end()
            assert receiver.sequences == sequences
            assert [(line["sequence"], line["status_code"]) for line in lines] == [
                (sequence, 500) for sequence in sequences
            ]
            assert "--from-sequence 5" in ended.err
            assert secret not in ended.err
            before = [one.headers["chainbell-prev-sequence"] for one in receiver.received]
            assert before == ["0", *map(str, sequences[:-1])]
    assert not receiver.forged


async def test_what_can_not_work_is_said_at_once_and_no_key_is_repeated(developer: Developer) -> None:
    stranger = developer.api_key[:-1] + ("0" if developer.api_key[-1] != "0" else "1")
    async with developer.shell.service("--role", "gateway"):
        for arguments, environment, status, said in (
            ((), {"CHAINBELL_API_KEY": ""}, 2, "an API key is needed"),
            ((), {"CHAINBELL_API_KEY": "cb_nonsense"}, 2, "not an API key"),
            (("--server", "http://u:p@127.0.0.1/"), {}, 2, "--server"),
            (("--secret", "whsec_short"), {}, 2, "--secret"),
            (("--from-sequence", "0"), {}, 2, "start at 1"),
            ((), {"CHAINBELL_API_KEY": stranger}, 1, "answers 401"),
            (("--types", "deposit.payed"), {}, 1, "answers 422"),
        ):
            ended = await developer.listen_once(*arguments, **environment)
            assert (ended.status, said in ended.err) == (status, True), (arguments, ended.err)
            assert "Traceback" not in ended.err
            for key in ("cb_nonsense", stranger, developer.api_key):
                assert key not in ended.out + ended.err
