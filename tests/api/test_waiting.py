"""A payment that waits, as merchants see it: in lists, by itself, explained, and in what is told of the chain."""

from __future__ import annotations

from dataclasses import replace

from chains.mempool import FeeRung
from chains.scripted import ScriptedMempool
from indexer.follow.mempools.look import Looked, MempoolLooker
from indexer.follow.status import Vitals
from indexer.rows.work_store import ChainStatus, write_status
from indexer.rules.waiting import MempoolBoard
from tests.api.world import WATCHED, World, read_clock
from tests.devnet.local import to_address


async def test_a_merchant_sees_what_waits_when_it_is_expected_and_that_it_is_no_credit(
    world: World, key: str
) -> None:
    line = world.lines["local"]
    await world.watch(key)
    mempool = ScriptedMempool(line.chain, fee_rungs=(FeeRung(1, 9_000), FeeRung(6, 4_000)))
    tx = replace(line.chain.pay(to_address(WATCHED), 500), fee_rate_per_kvb=4_000)
    line.chain.broadcast(tx)
    board = MempoolBoard()
    looker = MempoolLooker(line.follower.desk, mempool, board)
    assert isinstance(await looker.step(read_clock(), is_whole=True, asks_fees=True), Looked)
    (deposit,) = (await world.call("GET", "/v1/deposits?state=seen", key=key)).json["items"]
    assert deposit == (await world.call("GET", f"/v1/deposits/{deposit['id']}", key=key)).json
    assert (deposit["state"], deposit["credited_base_units"], deposit["block"]) == ("seen", "0", None)
    assert deposit["waiting"] == {
        "fee_rate_per_kvb": "4000",
        "fee_rate_wanted_per_kvb": "9000",
        "has_unconfirmed_parents": False,
        "expected_blocks": 6,
    }
    (event,) = (await world.call("GET", "/v1/events", key=key)).json["items"]
    assert (event["type"], event["data"]["deposit"]["waiting"]) == ("deposit.seen", deposit["waiting"])
    path = f"/v1/explain?chain=local&tx_hash={deposit['tx_hash']}"
    (finding,) = (await world.call("GET", path, key=key)).json["findings"]
    assert finding["reason"] == "pending"
    assert "within 6 blocks" in finding["text"]
    await line.mine(tx)
    (deposit,) = (await world.call("GET", "/v1/deposits", key=key)).json["items"]
    assert (deposit["state"], deposit["waiting"]) == ("included", None)
    detail = Vitals(list, board).detail(None)
    chain = line.chain.traits.chain
    await write_status(world.pool, ChainStatus(chain, "local", None, detail, read_clock()))
    told = (await world.call("GET", "/v1/chains/local", key=key)).json
    assert told["mempools"] == [
        {"host": "node-a.test", "state": "read", "waiting_count": 1, "unread_count": 0, "last_error": None}
    ]
    assert told["fees"] == [
        {"blocks": 1, "fee_rate_per_kvb": "9000"},
        {"blocks": 6, "fee_rate_per_kvb": "4000"},
    ]
