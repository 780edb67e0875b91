"""The description of the API: whole, valid, and what the routes do."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import attrs
import pytest

from repocore import Action, Role
from repocore.http import Admits, Route
from repocore.plugins.api.openapi import FIELDS, describe, is_described
from repocore.plugins.api.schemas import Schemas
from repocore.plugins.api.shapes import Listing, members

#: Routes below /api/v1 that speak the protocol of a client; these have words of their own.
THEIRS = {"POST /api/v1/upload/{channel}"}
SCALARS = {"string", "integer", "boolean", "object"}


def api_routes(house) -> list[Route]:
    every = house.registry.routes()
    return [
        route
        for route in every
        if route.template.startswith("/api/v1/")
        and f"{route.method} {route.template}" not in THEIRS
    ]


def test_every_route_of_the_api_is_described(house) -> None:
    """What it takes and what it answers: a new one without that fails here."""
    routes = api_routes(house)
    assert len(routes) > 50
    bare = [route.template for route in routes if not route.answers or not is_described(route)]
    assert bare == []
    own = [one for one in routes if one.handler.__module__.startswith("repocore.plugins.api.")]
    takes = {"POST", "PUT", "PATCH"}
    without = {
        f"{route.method} {route.template}"
        for route in own
        if route.method in takes and route.body is None
    }
    assert without == {
        "POST /api/v1/jobs/{number}/cancel",
        "POST /api/v1/jobs/{number}/retry",
        "PUT /api/v1/groups/{group}/members/{account}",
    }
    for route in own:
        assert set(re.findall(r"\{(\w+)", route.template)) <= FIELDS.keys(), route.template
        assert route.summary.endswith("."), route.template


def test_every_field_of_a_shape_says_what_it_means(house) -> None:
    """In a sentence, in queries, bodies and answers."""
    document = house.document
    for name, schema in document["components"]["schemas"].items():
        assert schema["description"], name
        for field, one in schema["properties"].items():
            assert one.get("description") or "$ref" in one, f"{name}.{field}"
    for path, methods in document["paths"].items():
        for operation in methods.values():
            for parameter in operation.get("parameters", ()):
                assert parameter["description"].endswith((".", "`")), (path, parameter)


def test_the_document_is_valid(house) -> None:
    """By a validator of OpenAPI 3.1 that is not ours."""
    validator = pytest.importorskip("openapi_spec_validator", reason="it comes with the extra dev")
    validator.validate(house.document)
    assert house.document["openapi"] == "3.1.0"


def test_the_document_says_where_it_is(house) -> None:
    """The address of the server that was asked; it is not sent twice."""
    answer = house.ask("openapi.json", HTTP_HOST="packages.example")
    assert json.loads(answer.body)["servers"] == [{"url": "http://packages.example"}]
    tag = answer.headers["etag"]
    again = house.ask("openapi.json", HTTP_HOST="packages.example", HTTP_IF_NONE_MATCH=tag)
    assert again.status == 304


def test_permissions_stand_in_the_document(house) -> None:
    """As the routes state them, and who needs to sign in."""
    for route in api_routes(house):
        path = re.sub(r":path\}", "}", route.template)
        operation = house.document["paths"][path][route.method.lower()]
        assert operation["x-permission"] == route.permission.value
        open_to_all = route.permission in {Admits.ANYONE, Admits.READERS, Action.READ}
        assert ({} in operation["security"]) == open_to_all


def test_operations_have_names_of_their_own(house) -> None:
    """So that programs can be made from the document."""
    names = [
        operation["operationId"]
        for methods in house.document["paths"].values()
        for operation in methods.values()
    ]
    assert len(names) == len(set(names))


def conditional(house, method: str, name: str) -> list[str]:
    """The templates of operations that take a condition."""
    return [
        path.removeprefix("/api/v1/")
        for path, methods in house.document["paths"].items()
        for parameter in methods.get(method, {}).get("parameters", ())
        if (parameter["name"], parameter["in"]) == (name, "header")
    ]


def filled(template: str) -> str:
    """About what is there."""
    values = {
        "format": "conan", "name": "main", "package": "zlib", "account": "carl", "role": "made",
        "release": "zlib/1.3@_/_/r1", "path": "zlib/1.3/_/_/r1/export/conanfile.py", "number": "1",
    }  # fmt: skip
    return template.format(**values)


@pytest.fixture
def stocked(house):
    house.recipe("zlib/1.3/_/_")
    house.admin.roles.add(Role(name="made", actions=frozenset({Action.READ})))
    house.value("jobs", "POST", {"kind": next(iter(house.admin.jobs.kinds()))})
    return house


def test_a_condition_that_is_described_is_looked_at(stocked) -> None:
    """Each operation refuses another state, and does nothing."""
    methods = {
        method: conditional(stocked, method, "If-Match") for method in ("patch", "put", "delete")
    }
    assert {method: len(paths) for method, paths in methods.items()} == {
        "patch": 2, "put": 1, "delete": 5
    }  # fmt: skip
    before = stocked.admin.audit.list(limit=1)
    for method, paths in methods.items():
        body = {"actions": ["write"]} if method == "put" else {}
        for path in paths:
            sent = None if method == "delete" else body
            answer = stocked.send(filled(path), method.upper(), sent, HTTP_IF_MATCH='"other"')
            assert answer.status == 412, path
    assert stocked.admin.audit.list(limit=1) == before


def test_what_is_shown_alone_has_a_tag(stocked) -> None:
    """And is not sent to who has it."""
    paths = conditional(stocked, "get", "If-None-Match")
    assert len(paths) > 8
    for path in paths:
        query = "?action=read&what=conan/main" if path.endswith("explain") else ""
        target = filled(path) + query
        answer = stocked.send(target)
        assert answer.status == 200, path
        tag = answer.headers["etag"]
        assert stocked.send(target, HTTP_IF_NONE_MATCH=tag).status == 304, path


@attrs.frozen(kw_only=True)
class Leaf:
    """A leaf."""

    size: Annotated[int, "How large."]


@attrs.frozen(kw_only=True)
class TreeView:
    """A tree."""

    leaves: Annotated[tuple[Leaf, ...], "All of them."] = ()
    best: Annotated[Leaf | None, "The best."] = None


def test_shapes_become_schemas() -> None:
    """Each once; an answer always has all of its fields."""
    schemas = Schemas()
    assert schemas.of(Listing(TreeView))["required"] == ["items", "next"]
    made = schemas.made
    assert list(made) == ["Leaf", "Tree"]
    assert made["Tree"]["required"] == ["leaves", "best"]
    assert made["Leaf"]["properties"]["size"] == {"type": "integer", "description": "How large."}
    reference = {"$ref": "#/components/schemas/Leaf"}
    assert made["Tree"]["properties"]["best"]["anyOf"] == [reference, {"type": "null"}]
    assert [member.name for member in members(TreeView)] == ["leaves", "best"]


def test_two_shapes_have_two_names() -> None:
    """The document could tell only one of them."""

    @attrs.frozen
    class Tree:
        """Another tree."""

    schemas = Schemas()
    schemas.of(TreeView)
    with pytest.raises(ValueError, match="Tree"):
        schemas.of(Tree)


def test_routes_of_others_are_left_out(tmp_path: Path) -> None:
    """Those of formats, and those that describe nothing."""
    bare = Route(
        method="GET",
        template="/api/v1/bare",
        handler=lambda _session, _request: None,
        summary="Bare.",
        permission=Admits.ANYONE,
    )
    elsewhere = attrs.evolve(bare, template="/other", answers={200: None})
    assert describe([bare, elsewhere])["paths"] == {}
