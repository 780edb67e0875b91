"""The description of the API: whole, valid, and what the routes do."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import attrs
import pytest

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
    takes = {"POST", "PUT", "PATCH"}
    without = {
        f"{route.method} {route.template}"
        for route in routes
        if route.method in takes and route.body is None
    }
    assert without == {
        "POST /api/v1/jobs/{number}/cancel",
        "POST /api/v1/jobs/{number}/retry",
        "PUT /api/v1/groups/{group}/members/{account}",
    }
    for route in routes:
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
        open_to_all = route.permission in {Admits.ANYONE, Admits.READERS}
        assert ({} in operation["security"]) == open_to_all


def test_operations_have_names_of_their_own(house) -> None:
    """So that programs can be made from the document."""
    names = [
        operation["operationId"]
        for methods in house.document["paths"].values()
        for operation in methods.values()
    ]
    assert len(names) == len(set(names))


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
