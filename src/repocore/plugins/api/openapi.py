"""The description of the API as a document of OpenAPI 3.1, from its routes and their shapes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any, Final

from repocore.http import Admits, Route
from repocore.model import Action
from repocore.plugins.api.describing import TOP
from repocore.plugins.api.schemas import Schemas
from repocore.plugins.api.shapes import Listing, members
from repocore.registry import Session

__all__ = ["FIELDS", "PROBLEM", "describe", "is_described"]

_FIELD: Final = re.compile(r"\{(\w+)(?::path)?\}")
_JSON: Final = "application/json"
_MERGE: Final = "application/merge-patch+json"
PROBLEM: Final = "application/problem+json"

#: What the fields of paths mean.
FIELDS: Final[Mapping[str, str]] = {
    "format": "The format of the repository, for example conda.",
    "name": "The name of the repository, for example main.",
    "package": "The name of the package.",
    "release": "The partition of the release, a slash, and its name; it may have more slashes.",
    "path": "The path in the repository, slashes and all.",
    "account": "The name of the account.",
    "group": "The name of the group.",
    "role": "The name of the role.",
    "number": "The number, as lists have it.",
    "upload": "The id of the upload.",
    "sha256": "The SHA-256 of the bytes, in hex.",
}
_WHO: Final[Mapping[Admits, str]] = {
    Admits.ANYONE: "For everybody.",
    Admits.READERS: "For everybody; each sees what they may read.",
    Admits.ACCOUNTS: "For whoever has signed in.",
    Admits.ONESELF: "For the account that it is about, and for administrators.",
}
_SECURITY: Final[Mapping[str, dict[str, str]]] = {
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "A user and a password, or the user `__token__` and a token.",
    },
    "bearer": {"type": "http", "scheme": "bearer", "description": "A token."},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "A token."},
}
_PROBLEM_FIELDS: Final[Mapping[str, dict[str, Any]]] = {
    "type": {
        "type": "string",
        "format": "uri-reference",
        "description": "The kind of error; what stands behind # is its name and never changes.",
    },
    "title": {"type": "string", "description": "The kind in words."},
    "status": {"type": "integer", "description": "The status of the answer."},
    "detail": {"type": "string", "description": "What happened."},
    "hint": {"type": "string", "description": "What to do next."},
    "request_id": {"type": "string", "description": "The number under which the log has it."},
    "errors": {
        "type": "array",
        "description": "Each mistake, where there can be several.",
        "items": {
            "type": "object",
            "properties": {"detail": {"type": "string"}},
            "required": ["detail"],
        },
    },
}
_ABOUT: Final = """\
What people and programs do with a registry, as JSON.

Lists come in pages: `next` is the cursor of the next one, or null; the field Link has its URL.
What is shown alone has an ETag: send it in If-Match with a change, and the change is refused with
412 where somebody else was first. A PATCH changes what is sent and keeps the rest (RFC 7396).
Errors are problems (RFC 9457) with a hint on what to do next.
"""


def is_described(route: Route[Session]) -> bool:
    """Whether a route is one of the API: those of other protocols say nothing of answers."""
    return bool(route.answers) and f"{route.template}/".startswith(f"{TOP}/")


def describe(routes: Iterable[Route[Session]], url: str = "/") -> dict[str, Any]:
    """The document; ``url`` is where the application is.

    Raises `ValueError` where two shapes have one name.
    """
    schemas = Schemas()
    paths: dict[str, dict[str, Any]] = {}
    described = [route for route in routes if is_described(route)]
    tagged = {route.template for route in described if _is_tagged(route)}
    for route in described:
        operation = _operation(route, schemas)
        if route.template in tagged:
            operation.setdefault("parameters", []).extend(_conditions(route))
        path = _FIELD.sub(r"{\1}", route.template)
        paths.setdefault(path, {})[route.method.lower()] = operation
    problem = {
        "type": "object",
        "description": "What went wrong (RFC 9457).",
        "properties": dict(_PROBLEM_FIELDS),
        "required": [name for name in _PROBLEM_FIELDS if name != "errors"],
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "repocore", "version": version("repocore"), "description": _ABOUT},
        "servers": [{"url": url}],
        "tags": [{"name": name} for name in dict.fromkeys(map(_tag, paths))],
        "paths": paths,
        "components": {
            "schemas": {**schemas.made, "Problem": problem},
            "responses": {"Problem": {"description": "A problem.", "content": _problem()}},
            "securitySchemes": dict(_SECURITY),
        },
    }


def _problem() -> dict[str, Any]:
    return {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}


def _tag(path: str) -> str:
    """The room: what the path is about."""
    words = path.removeprefix(f"{TOP}/").split("/")
    if words[0] == "repositories" and len(words) > 3:  # noqa: PLR2004 - what is in a repository
        return words[3]
    return words[0]


def _operation(route: Route[Session], schemas: Schemas) -> dict[str, Any]:
    permission = route.permission
    needs = _WHO.get(permission) if isinstance(permission, Admits) else None
    handler = route.handler
    operation: dict[str, Any] = {
        "operationId": f"{handler.__module__.rpartition('.')[2]}_{handler.__name__}",
        "summary": route.summary,
        "description": needs or f"Needs the permission `{permission.value}`.",
        "tags": [_tag(_FIELD.sub(r"{\1}", route.template))],
        "x-permission": permission.value,
    }
    parameters = [*_path(route), *_query(route, schemas)]
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = _body(route, route.body, schemas)
    operation["responses"] = _answers(route, schemas)
    # Rules may let anybody read.
    anyone = permission in {Admits.ANYONE, Admits.READERS, Action.READ}
    operation["security"] = [*({name: []} for name in _SECURITY), *([{}] if anyone else [])]
    return operation


def _path(route: Route[Session]) -> Iterable[dict[str, Any]]:
    for name in _FIELD.findall(route.template):
        schema: dict[str, Any] = {"type": "string"}
        if name == "number":
            schema = {"type": "integer", "minimum": 0}
        about = FIELDS.get(name, f"The {name}.")
        yield {"name": name, "in": "path", "required": True, "description": about, "schema": schema}


def _query(route: Route[Session], schemas: Schemas) -> Iterable[dict[str, Any]]:
    for member in () if route.query is None else members(route.query):
        schema = schemas.field(member)
        about = schema.pop("description", "")
        # A query has no null: what is not sent is not asked for.
        if isinstance(schema.get("type"), list):
            schema["type"] = schema["type"][0]
            if "enum" in schema:
                schema["enum"] = [one for one in schema["enum"] if one is not None]
        yield {
            "name": member.name,
            "in": "query",
            "required": member.required,
            "description": about,
            "schema": schema,
        }


def _is_tagged(route: Route[Session]) -> bool:
    """Whether it shows one thing, with a tag; what other plugins do of that, they do not say."""
    ours = route.handler.__module__.startswith(f"{__name__.rpartition('.')[0]}.")
    return ours and route.method == "GET" and isinstance(route.answers.get(200), type)


def _conditions(route: Route[Session]) -> Iterable[dict[str, Any]]:
    """The conditions of RFC 9110 that mean something to a method."""
    if route.method == "GET":
        yield _condition("If-None-Match", "The ETag of what one has; the answer to it is 304.")
    if route.method in {"PATCH", "PUT", "DELETE"}:
        about = "The ETag of what is to be changed; for another state the answer is 412."
        yield _condition("If-Match", about)
    if route.method == "PUT":
        yield _condition("If-None-Match", "`*`: only where it is not there yet, else 412.")


def _condition(name: str, about: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": about, "schema": {"type": "string"}}


def _body(route: Route[Session], body: type, schemas: Schemas) -> dict[str, Any]:
    patch = route.method == "PATCH"
    content = {"schema": schemas.changes(body) if patch else schemas.of(body)}
    kinds = (_MERGE, _JSON) if patch else (_JSON,)
    return {"required": True, "content": dict.fromkeys(kinds, content)}


def _answers(route: Route[Session], schemas: Schemas) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    for status, shape in route.answers.items():
        answer: dict[str, Any] = {"description": "Done."}
        if isinstance(shape, str):
            answer["content"] = {shape: {}}
        elif shape is not None:
            answer["content"] = {_JSON: {"schema": schemas.of(shape)}}
        if isinstance(shape, Listing):
            link = {"description": "The next page.", "schema": {"type": "string"}}
            answer["headers"] = {"Link": link}
        answers[str(status)] = answer
    for status in ("4XX", "5XX"):
        answers[status] = {"$ref": "#/components/responses/Problem"}
    return answers
