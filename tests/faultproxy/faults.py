"""The faults a provider can have, as values to hand to the proxy.

`Exchange`s break a whole HTTP exchange: delays, resets, cuts, refusals, web
pages.  `Bend`s rewrite one call's answer: heads that stand still or jump,
finality that is gone, receipts that are short, logs that are missing, forged
or altered, rows of another block.  Each names what it stands for.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiohttp import web

Answer = dict[str, Any]
Bend = Callable[[list[Any], Answer], Answer | None]
Answering = Callable[[], Awaitable[bytes]]


class Exchange(Protocol):
    """How one HTTP exchange goes."""

    async def serve(self, request: web.Request, answer: Answering) -> web.StreamResponse: ...


@dataclass(frozen=True, slots=True)
class Forward:
    """As it should."""

    async def serve(self, request: web.Request, answer: Answering) -> web.StreamResponse:
        return web.Response(body=await answer(), content_type="application/json")


@dataclass(frozen=True, slots=True)
class Delay:
    """The right answer, late."""

    seconds: float

    async def serve(self, request: web.Request, answer: Answering) -> web.StreamResponse:
        await asyncio.sleep(self.seconds)
        return await Forward().serve(request, answer)


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is torn down without a word."""

    async def serve(self, request: web.Request, answer: Answering) -> web.StreamResponse:
        _abort(request)
        return web.Response()


@dataclass(frozen=True, slots=True)
class Truncate:
    """The answer breaks off; `honest` closes cleanly, as some proxies do, so that only the JSON tells."""

    share: float = 0.5
    honest: bool = False

    async def serve(self, request: web.Request, answer: Answering) -> web.StreamResponse:
        whole = await answer()
        part = whole[: int(len(whole) * self.share)]
        if self.honest:
            return web.Response(body=part, content_type="application/json")
        response = web.StreamResponse(headers={"content-length": str(len(whole))})
        await response.prepare(request)
        await response.write(part)
        _abort(request)
        return response


@dataclass(frozen=True, slots=True)
class Status:
    """An HTTP status instead of an answer."""

    status: int
    body: str = "no"
    headers: Mapping[str, str] = field(default_factory=dict)

    async def serve(self, request: web.Request, answer: Answering) -> web.StreamResponse:
        return web.Response(status=self.status, text=self.body, headers=dict(self.headers))


@dataclass(frozen=True, slots=True)
class WebPage:
    """A page where JSON was due: a captive portal, a maintenance notice."""

    status: int = 200

    async def serve(self, request: web.Request, answer: Answering) -> web.StreamResponse:
        page = "<!doctype html><title>Just a moment</title>"
        return web.Response(status=self.status, text=page, content_type="text/html")


@dataclass(frozen=True, slots=True)
class Flood:
    """An answer without end; `bomb` sends it compressed to almost nothing."""

    bytes_count: int
    bomb: bool = False

    async def serve(self, request: web.Request, answer: Answering) -> web.StreamResponse:
        if self.bomb:
            body = gzip.compress(b"[" + b" " * self.bytes_count + b"]", 6)
            return web.Response(
                body=body, headers={"content-encoding": "gzip", "content-type": "application/json"}
            )
        response = web.StreamResponse(headers={"content-type": "application/json"})
        await response.prepare(request)
        sent = 0
        while sent < self.bytes_count:
            await response.write(b" " * 65536)
            sent += 65536
        return response


@dataclass(frozen=True, slots=True)
class Raw:
    """These bytes, whatever was asked."""

    body: bytes
    status: int = 200

    async def serve(self, request: web.Request, answer: Answering) -> web.StreamResponse:
        return web.Response(status=self.status, body=self.body, content_type="application/json")


@dataclass(frozen=True, slots=True)
class Shuffled:
    """The right answers of a batch in another order, one of them twice."""

    async def serve(self, request: web.Request, answer: Answering) -> web.StreamResponse:
        answers = json.loads(await answer())
        if isinstance(answers, list):
            answers = [*answers[::-1], answers[0]]
        return web.Response(body=json.dumps(answers).encode(), content_type="application/json")


def nothing(_params: list[Any], _answer: Answer) -> Answer:
    """null: the node does not hold it."""
    return {"result": None}


def unanswered(_params: list[Any], _answer: Answer) -> Answer | None:
    """The call is left out of the batch's answer."""
    return None


def failing(code: int, message: str) -> Bend:
    """An error object."""
    return lambda _params, _answer: {"error": {"code": code, "message": message}}


def constant(result: object) -> Bend:
    """Always this result: a frozen head, a wrong chain id."""
    return lambda _params, _answer: {"result": result}


def short_receipts(_params: list[Any], answer: Answer) -> Answer:
    """The last receipt is not there yet."""
    return {"result": answer["result"][:-1]}


def no_receipts(_params: list[Any], _answer: Answer) -> Answer:
    """Receipts were cached before they existed."""
    return {"result": []}


def no_transactions(_params: list[Any], answer: Answer) -> Answer:
    """A block whose transactions got lost on the way."""
    return {"result": answer["result"] | {"transactions": []}}


def missing_log(_params: list[Any], answer: Answer) -> Answer:
    """One log is left out, and the indexes closed up so that nothing shows."""
    logs = [log for receipt in answer["result"] for log in receipt["logs"]]
    for receipt in answer["result"]:
        receipt["logs"] = [log for log in receipt["logs"] if log is not logs[0]]
    _number_logs(answer)
    return answer


def gap_in_logs(_params: list[Any], answer: Answer) -> Answer:
    """One log is left out, without care."""
    for receipt in answer["result"]:
        if receipt["logs"]:
            del receipt["logs"][0]
            break
    return answer


def forged_log(_params: list[Any], answer: Answer) -> Answer:
    """A second transfer is invented beside a real one."""
    for receipt in answer["result"]:
        if receipt["logs"]:
            receipt["logs"].append(dict(receipt["logs"][-1]))
            break
    _number_logs(answer)
    return answer


def altered_amount(_params: list[Any], answer: Answer) -> Answer:
    """A transfer's amount grows a thousandfold."""
    for receipt in answer["result"]:
        for log in receipt["logs"]:
            log["data"] = f"0x{int(log['data'], 16) * 1000:064x}"
    return answer


def hidden_failure(_params: list[Any], answer: Answer) -> Answer:
    """Every transaction is said to have succeeded."""
    for receipt in answer["result"]:
        receipt["status"] = "0x1"
    return answer


def rows_of_block(block_hash: str) -> Bend:
    """The receipts name another block, as a cache keyed by height would."""

    def bend(_params: list[Any], answer: Answer) -> Answer:
        for receipt in answer["result"]:
            receipt["blockHash"] = block_hash
            for log in receipt["logs"]:
                log["blockHash"] = block_hash
        return answer

    return bend


def removed_logs(_params: list[Any], answer: Answer) -> Answer:
    """Logs marked as removed inside receipts."""
    for receipt in answer["result"]:
        for log in receipt["logs"]:
            log["removed"] = True
    return answer


def head_moved_by(blocks: int) -> Bend:
    """A head that claims another height under the same hash."""

    def bend(_params: list[Any], answer: Answer) -> Answer:
        height = max(0, int(answer["result"]["number"], 16) + blocks)
        return {"result": answer["result"] | {"number": hex(height)}}

    return bend


def _number_logs(answer: Answer) -> None:
    index = 0
    for receipt in answer["result"]:
        for log in receipt["logs"]:
            log["logIndex"] = hex(index)
            index += 1


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
