"""Wake-ups: heard in every process within milliseconds, or not at all, and then everybody is told to look."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest

from relay.workers.storage import HeadSequences
from tests.redis.conftest import Member, open_member, until
from tests.redis.server import RedisServer

pytestmark = pytest.mark.usefixtures("patient")


def hear(member: Member) -> list[HeadSequences]:
    """What this process is told from now on."""
    heard: list[HeadSequences] = []
    member.shared.wakes.listen(heard.append)
    return heard


async def until_connected(one: Member, other: Member) -> tuple[list[HeadSequences], list[HeadSequences]]:
    """Both hear both; what was told until then is forgotten."""
    heard = hear(one), hear(other)
    probe = uuid4()
    for teller, listener in ((one, heard[1]), (other, heard[0])):
        while not any(probe in heads for heads in listener):
            teller.shared.wakes.tell({probe: 1})
            await asyncio.sleep(0.02)
        listener.clear()
    await asyncio.sleep(0.05)
    for listener in heard:
        listener.clear()
    return heard


async def test_what_one_process_tells_every_process_hears_once(members: tuple[Member, Member]) -> None:
    ours, theirs = await until_connected(*members)
    merchant = uuid4()
    members[0].shared.wakes.tell({merchant: 7})
    assert ours == [{merchant: 7}], "without any way round"
    await until(lambda: bool(theirs))
    await asyncio.sleep(0.1)
    assert theirs == [{merchant: 7}]
    assert ours == [{merchant: 7}], "its own message does not come back"


async def test_a_burst_travels_together_and_keeps_the_newest_head(members: tuple[Member, Member]) -> None:
    _, theirs = await until_connected(*members)
    merchants = [uuid4() for _ in range(20)]
    for sequence in (3, 9, 5):
        for merchant in merchants:
            members[0].shared.wakes.tell({merchant: sequence})
    await until(lambda: bool(theirs))
    await asyncio.sleep(0.1)
    assert theirs == [dict.fromkeys(merchants, 9)]


async def test_too_many_merchants_are_told_as_any(members: tuple[Member, Member]) -> None:
    _, theirs = await until_connected(*members)
    members[0].shared.wakes.tell({UUID(int=n): 1 for n in range(5_000)})
    members[0].shared.wakes.tell({})
    await until(lambda: bool(theirs))
    assert theirs[0] == {}


async def test_whoever_stopped_listening_hears_nothing(members: tuple[Member, Member]) -> None:
    heard: list[HeadSequences] = []
    forget = members[0].shared.wakes.listen(heard.append)
    forget()
    forget()
    members[0].shared.wakes.tell({uuid4(): 1})
    assert not heard


async def test_after_every_outage_everybody_is_told_to_look(
    members: tuple[Member, Member], server: RedisServer
) -> None:
    ours, theirs = await until_connected(*members)
    server.kill()
    merchant = uuid4()
    members[0].shared.wakes.tell({merchant: 1})
    assert ours[-1] == {merchant: 1}, "this process hears itself without Redis"
    await until(lambda: not members[1].is_up)
    assert merchant not in {key for heads in theirs for key in heads}
    await server.start()
    await until(lambda: {} in theirs)
    await until_connected(*members)


async def test_what_was_told_to_a_frozen_redis_is_told_as_any_when_it_goes_on(
    server: RedisServer, members: tuple[Member, Member]
) -> None:
    _, theirs = await until_connected(*members)
    server.freeze()
    members[0].shared.wakes.tell({uuid4(): 1})
    await until(lambda: not members[0].is_up)
    members[0].shared.wakes.tell({uuid4(): 1})
    server.thaw()
    await until(lambda: {} in theirs)
    await until_connected(*members)


async def test_a_subscription_that_was_cut_or_fell_silent_is_made_again(
    server: RedisServer, members: tuple[Member, Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, theirs = await until_connected(*members)
    await server.command("CLIENT", "KILL", "TYPE", "pubsub")
    await until(lambda: {} in theirs)
    monkeypatch.setattr("gateway.redis.wakes.QUIET_S", 0.2)
    await until_connected(*members)
    await asyncio.sleep(1.0)
    assert members[1].is_up, "a quiet subscription that answers is no trouble"
    theirs.clear()
    server.freeze()
    await until(lambda: not members[1].is_up)
    await asyncio.sleep(0.5)
    server.thaw()
    await until(lambda: {} in theirs)
    await until_connected(*members)


async def test_rubbish_on_the_channel_wakes_nobody_and_is_counted(
    members: tuple[Member, Member], server: RedisServer
) -> None:
    _, theirs = await until_connected(*members)
    (channel,) = await _channels(server)
    for rubbish in (b"", b"x", b"\xff" * 40, b"0" * 32 + b"not:a:notice", b"0" * 32 + b"11:1"):
        await server.command("PUBLISH", channel, rubbish)
    merchant = uuid4()
    members[0].shared.wakes.tell({merchant: 2})
    await until(lambda: {merchant: 2} in theirs)
    assert all(heads in ({}, {merchant: 2}) for heads in theirs)
    assert members[1].metric("chainbell_redis_errors_total", use="wakes", kind="message") >= 2
    assert members[1].is_up


async def test_another_installation_on_the_same_redis_hears_nothing(
    members: tuple[Member, Member], server: RedisServer
) -> None:
    async with open_member(server.url, b"k" * 32) as stranger:
        await until(lambda: stranger.is_up)
        overheard = hear(stranger)
        await until_connected(*members)
        await asyncio.sleep(0.1)
        assert not [heads for heads in overheard if heads]


async def _channels(server: RedisServer) -> list[bytes]:
    found = await server.command("PUBSUB", "CHANNELS", "*")
    assert isinstance(found, list)
    return found
