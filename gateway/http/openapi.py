"""The API's description in OpenAPI 3.1, made from the table of operations, so that it can not say anything else.

Lives here: turning `operations` and `shapes` into the document, and writing the golden copy beside this file
(`python -m gateway.http.openapi --write`; a test compares). Does not live here: the page for people (`docs_page`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from gateway.http.edge.calls import ID_PREFIXES, AdminAccess, OpenAccess, Operation
from gateway.http.edge.decoding import may_be_left_out, members_of
from gateway.http.edge.problem import CONTENT_TYPE, title_of
from gateway.http.operations import OPERATIONS
from gateway.http.shapes import forms

GOLDEN_FILE = Path(__file__).with_name("openapi.json")
API_VERSION = "2026-11-01"
REF = "#/components/schemas/{name}"
ID_DIGITS_PATTERN = "[0-9a-hjkmnp-tv-zA-HJKMNP-TV-Z]{26}"
RATE_HEADERS = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "RateLimit-Policy")
DESCRIPTION = """\
Deposits on blockchains, told by signed webhooks that are never lost.

Every answer that is not a success is a problem document (RFC 9457). Every POST takes an `Idempotency-Key`: the same call
again gives the first answer again for 24 hours. Lists are oldest first; `next` is the cursor of the page behind. Every GET
can be asked by HEAD.
"""


@cache
def build_document() -> dict[str, Any]:
    """The whole description."""
    documented = [*OPERATIONS]
    paths: dict[str, dict[str, Any]] = {}
    for operation in documented:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _describe(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "chainbell",
            "version": API_VERSION,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in dict.fromkeys(tag_of(operation) for operation in documented)],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "merchantKey": {"type": "http", "scheme": "bearer", "description": "An API key, `cb_…`."},
                "adminToken": {"type": "http", "scheme": "bearer", "description": "The operator's token."},
            },
            "headers": _rate_headers(),
            "schemas": _collect_schemas(documented),
        },
    }


@cache
def encode_document() -> bytes:
    """The same as indented JSON, always the same bytes."""
    return msgspec.json.format(msgspec.json.encode(build_document()), indent=1) + b"\n"


def tag_of(operation: Operation) -> str:
    """The resource an operation belongs to."""
    if operation.path.startswith("/.well-known/"):
        return "public-keys"
    return operation.path.split("/")[2] if operation.path.startswith("/v1/") else "health"


def statuses_of(operation: Operation) -> list[int]:
    """Every status of a refusal that an operation may answer with, ascending."""
    # 400 is HTTP itself gone wrong, which happens at any path.
    found = {400, 500, 503, *operation.problems}
    if not isinstance(operation.access, OpenAccess):
        found |= {401, 403, 429}
    if "{" in operation.path:
        found.add(404)
    if operation.query is not None or operation.method != "GET":
        found.add(422)
    if not isinstance(operation.access, OpenAccess):
        found.add(422)  # a query parameter that nobody knows
    if operation.method in ("POST", "PATCH"):
        found |= {408, 409, 413, 415}
    return sorted(found - {response.status for response in operation.responses})


def _describe(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [tag_of(operation)],
        "parameters": [*_path_parameters(operation), *_query_parameters(operation), *_headers(operation)],
        "responses": _responses(operation),
    }
    if operation.body is not None:
        described["requestBody"] = {
            "required": not may_be_left_out(operation.body),
            "content": {"application/json": {"schema": _schema_of(operation.body)}},
        }
    match operation.access:
        case OpenAccess():
            described["security"] = []
        case AdminAccess():
            described["security"] = [{"adminToken": []}]
        case _:
            described["security"] = [{"merchantKey": []}]
    return described


def _responses(operation: Operation) -> dict[str, Any]:
    is_open = isinstance(operation.access, OpenAccess)
    headers = {} if is_open else {name: {"$ref": f"#/components/headers/{name}"} for name in RATE_HEADERS}
    responses: dict[str, Any] = {}
    for response in operation.responses:
        answer: dict[str, Any] = {"description": response.description}
        if headers:
            answer["headers"] = headers
        if isinstance(response.shape, str):
            answer["content"] = {response.shape: {"schema": {"type": "string"}}}
        elif response.shape is not None:
            answer["content"] = {"application/json": {"schema": _schema_of(response.shape)}}
        responses[str(response.status)] = answer
    for status in statuses_of(operation):
        responses[str(status)] = {
            "description": title_of(status),
            "content": {CONTENT_TYPE: {"schema": _schema_of(forms.ProblemObject)}},
        }
    return dict(sorted(responses.items()))


def _path_parameters(operation: Operation) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "pattern": f"^{ID_PREFIXES[name]}_{ID_DIGITS_PATTERN}$"}
            if name in ID_PREFIXES
            else {"type": "string", "minLength": 1},
        }
        for name in names
    ]


def _query_parameters(operation: Operation) -> list[dict[str, Any]]:
    if operation.query is None:
        return []
    schema = msgspec.json.schema(operation.query)
    definitions = schema["$defs"]
    shown = definitions[operation.query.__name__]
    needed = shown.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in needed, "schema": _inline(_given(one), definitions)}
        for name, one in shown["properties"].items()
    ]


def _given(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter's schema when it is given: a query string has no null."""
    if "anyOf" not in schema:
        return schema
    options = [option for option in schema["anyOf"] if option.get("type") != "null"]
    return options[0] if len(options) == 1 else {"anyOf": options}


def _inline(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    named: dict[str, Any] = definitions[reference.rpartition("/")[2]]
    return named


def _headers(operation: Operation) -> list[dict[str, Any]]:
    if operation.method == "POST":
        schema = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"}
        return [{"name": "Idempotency-Key", "in": "header", "required": False, "schema": schema}]
    if operation.name == "stream_events":
        schema = {"type": "string", "pattern": "^[0-9]{1,15}$"}
        return [{"name": "Last-Event-ID", "in": "header", "required": False, "schema": schema}]
    return []


def _rate_headers() -> dict[str, Any]:
    said = {
        "RateLimit-Limit": "Calls in a period.",
        "RateLimit-Remaining": "Calls left in this one.",
        "RateLimit-Reset": "Seconds until all are there again.",
        "RateLimit-Policy": "The limit, and its period in seconds.",
    }
    return {
        name: {"description": text, "schema": {"type": "string" if name == "RateLimit-Policy" else "integer"}}
        for name, text in said.items()
    }


def _schema_of(shape: Any) -> dict[str, Any]:
    references = [{"$ref": REF.format(name=member.__name__)} for member in members_of(shape)]
    return references[0] if len(references) == 1 else {"oneOf": references}


def _collect_schemas(operations: Sequence[Operation]) -> dict[str, Any]:
    found: dict[Any, None] = {forms.ProblemObject: None}
    for operation in operations:
        used = [operation.body, *(response.shape for response in operation.responses)]
        for shape in used:
            if shape is not None and not isinstance(shape, str):
                found.update(dict.fromkeys(members_of(shape)))
    _, components = msgspec.json.schema_components(list(found), ref_template=REF)
    return dict(sorted(components.items()))


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare the golden copy, or write it; 1 where it is old."""
    parser = argparse.ArgumentParser(prog="python -m gateway.http.openapi", description=__doc__)
    parser.add_argument("--write", action="store_true", help="renew openapi.json")
    if parser.parse_args(arguments).write:
        GOLDEN_FILE.write_bytes(encode_document())
        return 0
    return 0 if GOLDEN_FILE.exists() and GOLDEN_FILE.read_bytes() == encode_document() else 1


if __name__ == "__main__":
    sys.exit(main())
