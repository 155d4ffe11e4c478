"""Refusals as RFC 9457 problems: the only table from what went wrong to an HTTP status.

Lives here: `Problem`, its JSON, and `problem_of`, which knows every exception that may reach the edge. Does not live here:
deciding that something is wrong (each resource), logging it (`app`). Nothing of an unknown exception is ever shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

import msgspec
from aiohttp import web

from indexer.move.registration import RegistrationConflict
from migrations.errors import DatabaseProblem
from relay.errors import Conflict, NotFound, RequestFlawed, SecretUnreadable, SequenceAhead, SequencePruned

CONTENT_TYPE = "application/problem+json"
ERRORS_MAX = 100

TITLES = {
    HTTPStatus.BAD_REQUEST: "Malformed request",
    HTTPStatus.UNAUTHORIZED: "Not authenticated",
    HTTPStatus.FORBIDDEN: "Not allowed",
    HTTPStatus.NOT_FOUND: "Not found",
    HTTPStatus.METHOD_NOT_ALLOWED: "Method not allowed",
    HTTPStatus.REQUEST_TIMEOUT: "Request too slow",
    HTTPStatus.CONFLICT: "Conflict",
    HTTPStatus.GONE: "No longer kept",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Body too large",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "Unsupported content type",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Request not accepted",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many requests",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "Headers too large",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Internal error",
    HTTPStatus.SERVICE_UNAVAILABLE: "Not available now",
}


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing wrong: a JSON pointer into the body, or /query/… or /path/…, and a sentence."""

    pointer: str
    detail: str


class Problem(Exception):
    """A refusal with everything its answer needs."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        flaws: Sequence[Flaw] = (),
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.flaws = tuple(flaws[:ERRORS_MAX])
        self.headers = dict(headers or {})
        self.members = dict(members or {})

    def body(self, request_id: str) -> bytes:
        """The JSON of the answer."""
        return msgspec.json.encode(
            {
                "type": "about:blank",
                "title": title_of(self.status),
                "status": self.status,
                "detail": self.detail,
                "errors": [{"pointer": flaw.pointer, "detail": flaw.detail} for flaw in self.flaws],
                "request_id": request_id,
                **self.members,
            }
        )


def title_of(status: int) -> str:
    """A few words for a status."""
    try:
        known = HTTPStatus(status)
    except ValueError:
        return "Refused"
    return TITLES.get(known, known.phrase)


def unprocessable(pointer: str, detail: str) -> Problem:
    """422 for one flaw."""
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, flaws=[Flaw(pointer, detail)])


def busy(detail: str, *, again_s: int = 1) -> Problem:
    """503: the same call may be answered so much later."""
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": str(again_s)})


def not_found(what: str) -> Problem:
    """404: also for what belongs to somebody else."""
    return Problem(HTTPStatus.NOT_FOUND, f"there is no such {what}")


def problem_of(error: Exception) -> Problem | None:
    """The problem that an exception means; None for one that nobody expected."""
    match error:
        case Problem():
            return error
        case RequestFlawed():
            flaws = [Flaw(flaw.pointer, flaw.detail) for flaw in error.flaws]
            return Problem(422, flaws[0].detail if flaws else "the request is not accepted", flaws=flaws)
        case NotFound():
            return Problem(404, str(error))
        case Conflict():
            return Problem(409, str(error))
        case RegistrationConflict():
            return Problem(409, error.detail)
        case SequencePruned():
            return Problem(410, str(error), members={"oldest_sequence": error.oldest_sequence})
        case SequenceAhead():
            ahead = {"head_sequence": error.head_sequence, "log_epoch": error.log_epoch}
            return Problem(409, str(error), members=ahead)
        case DatabaseProblem():
            return busy("the database does not answer; try again")
        case SecretUnreadable():
            return busy("a stored secret can not be opened; the operator must look", again_s=60)
        case web.HTTPException():
            return _of_aiohttp(error)
        case _:
            return None


def _of_aiohttp(error: web.HTTPException) -> Problem:
    match error:
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            return Problem(
                405, f"{error.method} is not for this path; {allowed} is", headers={"Allow": allowed}
            )
        case web.HTTPNotFound():
            return Problem(404, "there is nothing at this path")
        case web.HTTPRequestEntityTooLarge():
            return Problem(413, "a body has at most 1 MiB")
        case _:
            status = error.status if error.status >= HTTPStatus.BAD_REQUEST else 404
            return Problem(status, title_of(status))


def problem_response(problem: Problem, request_id: str) -> web.Response:
    """The answer as aiohttp sends it."""
    return web.Response(
        status=problem.status,
        body=problem.body(request_id),
        content_type=CONTENT_TYPE,
        headers={
            "X-Request-Id": request_id,
            "Cache-Control": "no-store",
            "Server": "chainbell",
            **problem.headers,
        },
    )
