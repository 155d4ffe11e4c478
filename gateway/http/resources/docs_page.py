"""`/openapi.json` and `/docs`: the description for programs, and the same as one page for people.

Lives here: the page, made once from the table of operations and `docs.html`; it needs no script, no font and no other
server. Does not live here: the description itself (`openapi`), prose (`docs/api.md`).
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

from gateway.apikeys import Scope
from gateway.http.edge.calls import AdminAccess, Answer, AnyKey, Call, OpenAccess, Operation, Response
from gateway.http.edge.decoding import members_of
from gateway.http.edge.problem import title_of
from gateway.http.openapi import API_VERSION, build_document, encode_document, statuses_of, tag_of
from gateway.http.operations import OPERATIONS

CODE = re.compile(r"`([^`]+)`")
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
TITLES = {
    "merchants": "Merchants",
    "keys": "Keys",
    "addresses": "Addresses",
    "deposits": "Deposits",
    "events": "Events",
    "endpoints": "Endpoints",
    "deliveries": "Deliveries",
    "public-keys": "Public keys",
    "explain": "Explaining",
    "coverage": "Coverage",
    "chains": "Chains",
    "health": "Health",
}


async def get_openapi(call: Call) -> Answer:
    """The description as JSON."""
    del call
    return Answer(200, encode_document())


async def get_docs(call: Call) -> Answer:
    """The description as a page."""
    del call
    headers = {
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    return Answer(200, render_page(), "text/html; charset=utf-8", headers)


DOCUMENTATION = (
    Operation(
        "GET", "/openapi.json", "openapi", "This description", OpenAccess(), get_openapi,
        (Response(200, "application/json", "OpenAPI 3.1."),),
    ),
    Operation(
        "GET", "/docs", "docs", "This description, for people", OpenAccess(), get_docs,
        (Response(200, "text/html", "A page."),),
    ),
)  # fmt: skip


@cache
def render_page() -> bytes:
    """The whole page."""
    template = files("gateway.http").joinpath("docs.html").read_text(encoding="utf-8")
    groups: dict[str, list[Operation]] = {}
    for operation in OPERATIONS:
        groups.setdefault(tag_of(operation), []).append(operation)
    menu = "".join(
        f'<li><a href="#{tag}">{_text(TITLES.get(tag, tag))}</a><ul>'
        + "".join(f'<li><a href="#{one.name}">{_text(one.summary)}</a></li>' for one in group)
        + "</ul></li>"
        for tag, group in groups.items()
    )
    body = "".join(
        f'<section id="{tag}"><h2>{_text(TITLES.get(tag, tag))}</h2>{"".join(map(_operation, group))}</section>'
        for tag, group in groups.items()
    )
    page = template.replace("{{version}}", API_VERSION).replace("{{menu}}", menu)
    return page.replace("{{operations}}", body).replace("{{objects}}", "".join(_objects())).encode()


def _operation(operation: Operation) -> str:
    path = _text(operation.path).replace("{", '<i class="hole">{').replace("}", "}</i>")
    return (
        f'<article id="{operation.name}"><h3><span class="verb {operation.method.lower()}">{operation.method}</span> '
        f'<code>{path}</code></h3><p class="says">{_text(operation.summary)}.<span class="who">{_access(operation)}</span></p>'
        f"{_parameters(operation)}{_body(operation)}{_answers(operation)}</article>"
    )


def _access(operation: Operation) -> str:
    match operation.access:
        case AdminAccess():
            return "admin token"
        case AnyKey():
            return "any key"
        case OpenAccess():
            return "open"
        case Scope() as scope:
            return f"scope {scope.value}"


def _parameters(operation: Operation) -> str:
    described = build_document()["paths"][operation.path][operation.method.lower()]["parameters"]
    rows = [
        f"<tr><td><code>{_text(one['name'])}</code></td><td>{one['in']}</td><td>{_kind(one['schema'])}</td>"
        f"<td>{_text(one['schema'].get('description', ''))}</td></tr>"
        for one in described
        if one["in"] != "path"
    ]
    return f"<h4>Parameters</h4><table>{''.join(rows)}</table>" if rows else ""


def _body(operation: Operation) -> str:
    if operation.body is None:
        return ""
    return (
        f"<h4>Body</h4><p>{' or '.join(_link(member.__name__) for member in members_of(operation.body))}</p>"
    )


def _answers(operation: Operation) -> str:
    rows = []
    for response in operation.responses:
        if response.shape is None:
            shape = ""
        elif isinstance(response.shape, str):
            shape = f"<code>{_text(response.shape)}</code>"
        else:
            shape = " or ".join(_link(member.__name__) for member in members_of(response.shape))
        good = "good" if response.status < 400 else "bad"
        rows.append(
            f'<tr><td class="status {good}">{response.status}</td><td>{_text(response.description)}</td><td>{shape}</td></tr>'
        )
    refusals = ", ".join(
        f'<span title="{_text(title_of(one))}">{one}</span>' for one in statuses_of(operation)
    )
    rows.append(
        f'<tr><td class="status bad">else</td><td>{refusals}</td><td>{_link("ProblemObject")}</td></tr>'
    )
    return f"<h4>Answers</h4><table>{''.join(rows)}</table>"


def _objects() -> Iterator[str]:
    for name, schema in build_document()["components"]["schemas"].items():
        says = _text(schema.get("description", ""))
        yield f'<article id="object-{name}"><h3><code>{name}</code></h3><p class="says">{says}</p>'
        if "enum" in schema:
            yield f"<p>{_kind(schema)}</p>"
        required = set(schema.get("required", ()))
        rows = [
            f"<tr><td><code>{_text(field)}</code></td><td>{_kind(one)}</td><td>{'' if field in required else 'optional'}</td>"
            f"<td>{_text(one.get('description', ''))}</td></tr>"
            for field, one in schema.get("properties", {}).items()
        ]
        yield f"<table>{''.join(rows)}</table></article>" if rows else "</article>"


def _kind(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        return _link(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(_kind(option) for option in schema["anyOf"])
    if "enum" in schema:
        return " · ".join(f"<code>{_text(str(value))}</code>" for value in schema["enum"])
    kind = str(schema.get("type", "any"))
    if kind == "array":
        return f"list of {_kind(schema['items'])}" if "items" in schema else "list"
    bounds = [
        f"{word} {schema[key]}"
        for key, word in (("minimum", "from"), ("maximum", "to"), ("maxLength", "up to"))
        if key in schema
    ]
    unit = " characters" if "maxLength" in schema else ""
    return _text(f"{kind}{', ' if bounds else ''}{' '.join(bounds)}{unit if bounds else ''}")


def _link(name: str) -> str:
    return f'<a href="#object-{name}"><code>{name}</code></a>'


def _text(value: str) -> str:
    """Escaped; what stands between backticks is set as code."""
    return CODE.sub(r"<code>\1</code>", html.escape(value))
