"""The description of the API as a page for people: plain HTML, without scripts."""

from __future__ import annotations

import base64
import hashlib
import inspect
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final, cast

from repocore import errors
from repocore.http import status_for

__all__ = ["POLICY", "errors_by_name", "page", "words"]

_STYLE: Final = """
body{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:0 auto;padding:1rem;color:#1b1b1b}
code{font:0.95em ui-monospace,monospace}
h1,h2,h3{line-height:1.2}h2{margin-top:2.5rem;border-bottom:1px solid #bbb}h3{margin-top:2rem}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.2rem .6rem .2rem 0;border-bottom:1px solid #ddd}
a{color:#0b5394}nav ul{columns:14rem;padding-left:1.2rem}dt{margin-top:.8rem}
:target{background:#fff6cc}
@media(prefers-color-scheme:dark){body{background:#16181b;color:#e4e4e4}a{color:#8ab8ff}
th,td,h2{border-color:#444}:target{background:#3a3413}}
"""
_DIGEST: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
#: What a browser may do with the page: show it, in its one style.
POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)

Tree = Mapping[str, Any]


def errors_by_name() -> Iterator[tuple[str, int, str]]:
    """The errors that a request can meet: name, status, and what they mean."""
    for name in errors.__all__:
        kind = getattr(errors, name)
        try:
            status = status_for(kind())
        except TypeError:  # one that needs words
            status = status_for(kind("…"))
        yield name, status, inspect.cleandoc(kind.__doc__ or "")


def page(document: Tree) -> str:
    """The page of a document of OpenAPI."""
    return "\n".join(_lines(document))


def _lines(document: Tree) -> Iterator[str]:
    title = f"The API of {document['info']['title']}"
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width">'
    yield f"<title>{_text(title)}</title><style>{_STYLE}</style></head><body>"
    yield f"<h1>{_text(title)}</h1>"
    for paragraph in document["info"]["description"].strip().split("\n\n"):
        yield f"<p>{_text(paragraph)}</p>"
    yield '<p>For programs: <a href="openapi.json">openapi.json</a> (OpenAPI 3.1).</p>'
    rooms = [tag["name"] for tag in document["tags"]]
    links = "".join(f'<li><a href="#{_slug(room)}">{_text(room)}</a>' for room in rooms)
    extra = '<li><a href="#shapes">Shapes</a><li><a href="#errors">Errors</a>'
    yield f"<nav><ul>{links}{extra}</ul></nav><main>"
    for room in rooms:
        yield f'<h2 id="{_slug(room)}">{_text(room)}</h2>'
        for path, method, operation in _operations(document, room):
            yield from _operation(path, method, operation)
    yield '<h2 id="shapes">Shapes</h2>'
    for name, schema in document["components"]["schemas"].items():
        yield from _shape(name, schema)
    yield '<h2 id="errors">Errors</h2><dl>'
    for name, status, meaning in errors_by_name():
        yield f'<dt id="{name}"><code>{name}</code> ({status})<dd>{_text(meaning)}'
    yield "</dl></main></body></html>"


def _operations(document: Tree, room: str) -> Iterator[tuple[str, str, Tree]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if room in operation["tags"]:
                yield path, method.upper(), operation


def _operation(path: str, method: str, operation: Tree) -> Iterator[str]:
    name = operation["operationId"]
    yield f'<section><h3 id="{_slug(name)}"><code>{method} {_text(path)}</code></h3>'
    yield f"<p>{_text(operation['summary'])} {_text(operation['description'])}</p>"
    rows = [
        (one["name"], one["in"], words(one["schema"]), one["description"])
        for one in operation.get("parameters", ())
    ]
    if rows:
        yield _table(("Parameter", "In", "Type", "Meaning"), rows)
    body = operation.get("requestBody")
    if body is not None:
        kinds = " or ".join(body["content"])
        [shape, *_] = body["content"].values()
        yield f"<p>Takes {_text(words(shape['schema']))} ({_text(kinds)}).</p>"
    for status, answer in operation["responses"].items():
        if status.isdecimal():
            yield f"<p>Answers {status}{_content(answer)}.</p>"
    yield "</section>"


def _content(answer: Tree) -> str:
    content: Tree = answer.get("content", {})
    for kind, what in content.items():
        return f": {_text(words(what['schema']) if 'schema' in what else kind)}"
    return " without a body"


def _shape(name: str, schema: Tree) -> Iterator[str]:
    yield f'<section><h3 id="{_slug(name)}">{_text(name)}</h3>'
    yield f"<p>{_text(schema['description'])}</p>"
    needed = set(schema.get("required", ()))
    rows = [
        (field, words(one), "yes" if field in needed else "no", one.get("description", ""))
        for field, one in schema["properties"].items()
    ]
    yield f"{_table(('Field', 'Type', 'Always', 'Meaning'), rows)}</section>"


def words(schema: Tree) -> str:
    """A type in words: ``list of Release``, ``text or null``."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(words(one) for one in cast("list[Tree]", schema["anyOf"]))
    if "enum" in schema:
        return " | ".join("null" if one is None else str(one) for one in schema["enum"])
    kinds: Any = schema.get("type")
    several = cast("list[Any]", kinds) if isinstance(kinds, list) else [kinds]
    return " or ".join(_word(kind, schema) for kind in several)


def _word(kind: Any, schema: Tree) -> str:
    if kind == "array":
        return f"list of {words(schema['items'])}"
    if kind == "object" and "next" in schema.get("properties", {}):
        return f"page of {words(schema['properties']['items']['items'])}"
    if kind == "string" and schema.get("format") == "date-time":
        return "time"
    return {"string": "text", "integer": "number", "boolean": "true or false"}.get(kind, str(kind))


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    first = "".join(f"<th>{one}" for one in head)
    rest = "".join(
        f"<tr><td><code>{_text(name)}</code>{''.join(f'<td>{_text(one)}' for one in others)}"
        for name, *others in rows
    )
    return f"<table><tr>{first}{rest}</table>"


def _slug(text: str) -> str:
    return escape(text.replace(" ", "-"))


def _text(text: str) -> str:
    return escape(text)
