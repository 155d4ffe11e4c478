"""The one way in: from an HTTP request to a handler's `Call`, and from its `Answer` or a refusal to a response.

In reading order: give the request an id, find the operation, ask who calls, count the call, read the body within bounds,
decode it strictly, run it (once, for a repeated Idempotency-Key), answer. Does not live here: the table of operations
(`operations`), what refusals mean (`problem`), the socket (`server`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import web

from gateway.http import shapes
from gateway.http.auth import check_access, identify
from gateway.http.calls import NOBODY, Answer, Call, Caller, OpenAccess, Operation, Services, Stream
from gateway.http.decoding import check_depth, choose_shape, decode_body, decode_query, may_be_left_out
from gateway.http.idempotency import (
    KeyedCall,
    answer_once,
    answer_once_beside,
    compute_request_hash,
    read_key,
)
from gateway.http.limits import FailedLogins, spend_call
from gateway.http.problem import Problem, problem_of, problem_response
from gateway.settings import Secret
from migrations.handles import Pool
from migrations.ids import encode_id, new_id

BODY_BYTES_MAX = 1024 * 1024
BODY_TIMEOUT_S = 30.0
BUSY_CALLS_MAX = 2_000
"""Calls under way, streams included: a bound on memory, far above what the database answers at once."""

STREAM_WRITE_TIMEOUT_S = 30.0
"""A reader that takes nothing for so long has gone."""

REQUEST_ID = web.RequestKey("request_id", str)
OPERATION_NAME = web.RequestKey("operation", str)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ObserveCall = Callable[[str, int, float], None]
"""Told of every call: its operation, the status of its answer, the seconds it took."""

_log = structlog.get_logger()


class Api:
    """The application: operations bound to services."""

    def __init__(
        self,
        services: Services,
        operations: Sequence[Operation],
        *,
        admin_token: Secret,
        observe: ObserveCall = lambda operation, status, seconds: None,  # noqa: ARG005
    ) -> None:
        self._services = services
        self._operations = operations
        self._admin_token = admin_token
        self._observe = observe
        self._busy_calls = 0
        self._failed_logins = FailedLogins()

    def build(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(middlewares=[self._edge], client_max_size=BODY_BYTES_MAX)
        for operation in self._operations:
            for method in operation.methods:
                app.router.add_route(method, operation.path, self._bind(operation))
        return app

    @web.middleware
    async def _edge(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Every answer leaves by here, a refusal too, with its request id."""
        started_s = time.monotonic()
        request_id = encode_id("req", new_id(int(self._services.clock().timestamp() * 1000)))
        request[REQUEST_ID] = request_id
        self._busy_calls += 1
        try:
            if self._busy_calls > BUSY_CALLS_MAX:
                raise Problem(503, "too many calls at once", headers={"Retry-After": "1"})  # noqa: TRY301
            response = await handler(request)
        except Exception as error:  # noqa: BLE001  (the edge: whatever comes here becomes an answer)
            response = self._refuse(request, error)
        finally:
            self._busy_calls -= 1
        self._observe(request.get(OPERATION_NAME, "none"), response.status, time.monotonic() - started_s)
        return response

    def _refuse(self, request: web.Request, error: Exception) -> web.StreamResponse:
        request_id = request[REQUEST_ID]
        problem = problem_of(error)
        if problem is None:
            _log.error("request-failed", request_id=request_id, path=request.path, exc_info=error)
            problem = Problem(500, "something went wrong here; the operator can find it by request_id")
        elif problem.status >= 500:
            _log.warning("request-not-served", request_id=request_id, path=request.path, error=str(error))
        return problem_response(problem, request_id)

    def _bind(self, operation: Operation) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            request[OPERATION_NAME] = operation.name
            return await self._serve(request, operation)

        return handle

    async def _serve(self, request: web.Request, operation: Operation) -> web.StreamResponse:
        caller = NOBODY
        headers: dict[str, str] = {}
        if not isinstance(operation.access, OpenAccess):
            caller = await self._identify(request)
            headers = await spend_call(self._services.limits, caller.key_id)
            check_access(caller, operation.access)
        body = await _read_body(request) if request.method in ("POST", "PATCH", "PUT") else b""
        try:
            answer = await self._answer(request, operation, caller, body)
        except Problem as problem:
            problem.headers = {**headers, **problem.headers}
            raise
        if isinstance(answer, Stream):
            return await _stream(answer, request, headers)
        return _respond(answer, request[REQUEST_ID], headers)

    async def _identify(self, request: web.Request) -> Caller:
        place, header = request.remote or "", request.headers.get("Authorization")
        self._failed_logins.check(place, header)
        try:
            caller = await identify(self._services.pool, header, self._admin_token)
        except Problem as problem:
            if problem.status == HTTPStatus.UNAUTHORIZED:
                self._failed_logins.note_wrong(place, header)
            raise
        self._failed_logins.note_right(header)
        return caller

    async def _answer(
        self, request: web.Request, operation: Operation, caller: Caller, body: bytes
    ) -> Answer | Stream:
        async def run(pool: Pool) -> Answer | Stream:
            call = Call(
                services=self._services,
                pool=pool,
                caller=caller,
                now=self._services.clock(),
                path=request.match_info,
                query=decode_query(list(request.query.items()), operation.query or shapes.Nothing),
                body=_decode(request, operation, body),
                headers=request.headers,
                place=request.remote or "",
            )
            return await operation.run(call)

        key = request.headers.get("Idempotency-Key")
        if request.method != "POST" or key is None:
            return await run(self._services.pool)
        keyed = KeyedCall(
            caller.key_id,
            request.rel_url.raw_path,  # as sent: decoded, it may hold what a database can not
            read_key(key),
            compute_request_hash(request.query_string, body),
        )
        once = answer_once_beside if operation.waits else answer_once
        return await once(
            self._services.pool,
            self._services.box,
            keyed,
            run,
            request_id=request[REQUEST_ID],
            now=self._services.clock(),
        )


async def _read_body(request: web.Request) -> bytes:
    """The whole body, within its bounds of size and time."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Problem(415, "a body is sent without Content-Encoding")
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return await request.read()
    except TimeoutError:
        raise Problem(408, f"the body did not arrive within {BODY_TIMEOUT_S:g} s") from None


def _decode(request: web.Request, operation: Operation, body: bytes) -> Any:
    if request.method not in ("POST", "PATCH", "PUT"):
        return None
    if body and request.content_type != "application/json" and "Content-Type" in request.headers:
        raise Problem(415, "a body is application/json")
    check_depth(body)
    shape = operation.body
    if shape is None or (not body and may_be_left_out(shape)):
        return decode_body(body or b"{}", shape or shapes.Nothing)
    return decode_body(body, choose_shape(shape, body))


def _respond(answer: Answer, request_id: str, headers: dict[str, str]) -> web.StreamResponse:
    content = {"Content-Type": answer.content_type} if answer.content_type else {}
    return web.Response(
        status=answer.status,
        body=answer.body,
        headers={**_always(request_id), **headers, **content, **answer.headers},
    )


async def _stream(answer: Stream, request: web.Request, headers: dict[str, str]) -> web.StreamResponse:
    """Send what comes until it ends, or until nobody reads any more."""
    response = web.StreamResponse(
        headers={
            **_always(request[REQUEST_ID]),
            **headers,
            "Content-Type": answer.content_type,
            "X-Accel-Buffering": "no",
        }
    )
    async with aclosing(answer.chunks) as chunks:
        chunk = await anext(chunks, None)  # a refusal comes here, while it can still be the answer
        await response.prepare(request)
        try:
            while chunk is not None and request.method != "HEAD":
                async with asyncio.timeout(STREAM_WRITE_TIMEOUT_S):
                    await response.write(chunk)
                chunk = await anext(chunks, None)
            await response.write_eof()
        except (ConnectionError, TimeoutError):
            response.force_close()
    return response


def _always(request_id: str) -> dict[str, str]:
    return {"X-Request-Id": request_id, "Cache-Control": "no-store", "Server": "chainbell"}
