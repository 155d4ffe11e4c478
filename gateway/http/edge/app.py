"""The one way in: from an HTTP request to a handler's `Call`, and from its `Answer` or a refusal to a response.

In reading order: give the request an id, find the operation, ask who calls, count the call, read the body within bounds,
decode it strictly, run it (once, for a repeated Idempotency-Key), answer. A call in hand counts to its merchant's share until
its answer is sent. Does not live here: the table of operations (`operations`), what refusals mean (`problem`), the bytes
themselves (`bodies`, `sending`), the socket (`server`).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog
from aiohttp import web

from gateway.config.settings import Secret
from gateway.http.edge.auth import check_access
from gateway.http.edge.bodies import expect_bytes, read_body, wait_to_be_asked
from gateway.http.edge.calls import (
    NOBODY,
    Answer,
    Call,
    Caller,
    HealthAccess,
    OpenAccess,
    Operation,
    Services,
    Stream,
)
from gateway.http.edge.clients import find_client, share_of
from gateway.http.edge.connections import connection_of
from gateway.http.edge.decoding import check_depth, choose_shape, decode_body, decode_query, may_be_left_out
from gateway.http.edge.idempotency import (
    KeyedCall,
    answer_once,
    answer_once_beside,
    compute_request_hash,
    read_key,
)
from gateway.http.edge.limits import CALLS, Shares, spend
from gateway.http.edge.logins import Logins
from gateway.http.edge.problem import Problem, problem_of, problem_response
from gateway.http.edge.sending import ClientGone, send, send_stream
from gateway.http.shapes import forms
from gateway.process.files import CONNECTIONS_MAX
from migrations.handles import Pool
from migrations.ids import encode_id, new_id
from migrations.pool import borrowing_for

WITH_BODY = frozenset({"POST", "PATCH", "PUT"})
STATUS_GONE = 499
"""Under which calls are counted whose client hung up before it had its answer."""

REQUEST_ID = web.RequestKey("request_id", str)
OPERATION_NAME = web.RequestKey("operation", str)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ObserveCall = Callable[[str, int, float], None]
"""Told of every call: its operation, the status of its answer, the seconds it took."""

_log = structlog.get_logger()


class Api:
    """The application: operations bound to services. `connections` is how many clients may be connected at once."""

    def __init__(
        self,
        services: Services,
        operations: Sequence[Operation],
        *,
        admin_token: Secret,
        observe: ObserveCall = lambda operation, status, seconds: None,  # noqa: ARG005
        connections: int = CONNECTIONS_MAX,
    ) -> None:
        self._services = services
        self._operations = operations
        self._observe = observe
        self._shares = Shares(connections)
        self._logins = Logins(services.pool, admin_token, self._shares.strangers)

    def build(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(middlewares=[self._edge])
        for operation in self._operations:
            handler = self._bind(operation)
            for method in operation.methods:
                app.router.add_route(method, operation.path, handler, expect_handler=wait_to_be_asked)
        return app

    @web.middleware
    async def _edge(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Every answer leaves by here, a refusal too, with its request id."""
        started_s = time.monotonic()
        request[REQUEST_ID] = encode_id("req", new_id(int(self._services.clock().timestamp() * 1000)))
        with connection_of(request).serving():
            try:
                response = await self._respond(request, handler)
            except ClientGone:
                connection_of(request).cut()
                response = web.Response(status=STATUS_GONE)
        self._observe(request.get(OPERATION_NAME, "none"), response.status, time.monotonic() - started_s)
        return response

    async def _respond(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001  (the edge: whatever comes here becomes an answer)
            return await send(request, self._refuse(request, error))

    def _refuse(self, request: web.Request, error: Exception) -> web.Response:
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
        place = self._find_place(request)
        if isinstance(operation.access, OpenAccess):
            is_health = isinstance(operation.access, HealthAccess)
            share = self._shares.health if is_health else self._shares.strangers
            with share.hold(share_of(place)):
                return await self._serve_known(request, operation, NOBODY, place, {})
        caller = await self._logins.identify(place, read_once(request, "Authorization"))
        headers = await spend(self._services.limits, caller.key_id.hex, CALLS)
        check_access(caller, operation.access)
        share = self._shares.administrators if caller.is_admin else self._shares.merchants
        size = expect_bytes(request) if request.method in WITH_BODY else 0
        with (
            share.hold(caller.merchant_id),
            self._shares.bodies.hold(caller.merchant_id, size),
            borrowing_for(caller.merchant_id),
        ):
            return await self._serve_known(request, operation, caller, place, headers)

    async def _serve_known(
        self, request: web.Request, operation: Operation, caller: Caller, place: str, headers: dict[str, str]
    ) -> web.StreamResponse:
        body = b""
        if request.method in WITH_BODY:
            with connection_of(request).awaiting_client():
                body = await read_body(request)
        try:
            answer = await self._answer(request, operation, caller, place, body)
        except Problem as problem:
            problem.headers = {**headers, **problem.headers}
            raise
        if isinstance(answer, Stream):
            return await send_stream(request, answer, {**_always(request[REQUEST_ID]), **headers})
        return await send(request, _response(answer, request[REQUEST_ID], headers))

    def _find_place(self, request: web.Request) -> str:
        return find_client(
            request.remote or "",
            request.headers.getall("X-Forwarded-For", []),
            request.headers.getall("Forwarded", []),
            self._services.settings.http.trusted_proxies,
        )

    async def _answer(
        self, request: web.Request, operation: Operation, caller: Caller, place: str, body: bytes
    ) -> Answer | Stream:
        async def run(pool: Pool) -> Answer | Stream:
            call = Call(
                services=self._services,
                pool=pool,
                caller=caller,
                now=self._services.clock(),
                path=request.match_info,
                query=decode_query(list(request.query.items()), operation.query or forms.Nothing),
                body=_decode(request, operation, body),
                headers=request.headers,
                place=place,
                gone=connection_of(request).gone,
            )
            return await operation.run(call)

        key = read_once(request, "Idempotency-Key")
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


def read_once(request: web.Request, name: str) -> str | None:
    """A header that is given once; Problem 400 where there are two, of which a proxy may have read the other one."""
    values = request.headers.getall(name, [])
    if len(values) > 1:
        raise Problem(400, f"the header {name} is given twice")
    return values[0] if values else None


def _decode(request: web.Request, operation: Operation, body: bytes) -> Any:
    if request.method not in WITH_BODY:
        return None
    if body and request.content_type != "application/json" and "Content-Type" in request.headers:
        raise Problem(415, "a body is application/json")
    check_depth(body)
    shape = operation.body
    if shape is None or (not body and may_be_left_out(shape)):
        return decode_body(body or b"{}", shape or forms.Nothing)
    return decode_body(body, choose_shape(shape, body))


def _response(answer: Answer, request_id: str, headers: dict[str, str]) -> web.Response:
    content = {"Content-Type": answer.content_type} if answer.content_type else {}
    return web.Response(
        status=answer.status,
        body=answer.body,
        headers={**_always(request_id), **headers, **content, **answer.headers},
    )


def _always(request_id: str) -> dict[str, str]:
    return {"X-Request-Id": request_id, "Cache-Control": "no-store", "Server": "chainbell"}
