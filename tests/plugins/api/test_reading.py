"""Requests, read by shapes."""

from __future__ import annotations

import contextlib
import enum
import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import attrs
import pytest
from hypothesis import given, strategies

from repocore import Anonymous, InvalidRequestError, MissingError, RejectedError
from repocore.http import Request
from repocore.plugins.api.reading import (
    merged,
    number_of,
    read_body,
    read_changes,
    read_query,
)
from repocore.plugins.api.shapes import members


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@attrs.frozen(kw_only=True)
class Inner:
    """Inside."""

    size: Annotated[int, "How large."]
    name: Annotated[str | None, "What it is called."] = None


@attrs.frozen(kw_only=True)
class Thing:
    """A thing."""

    name: Annotated[str, "What it is called."]
    count: Annotated[int, "How many."] = 1
    on: Annotated[bool, "Whether."] = False
    at: Annotated[datetime | None, "When."] = None
    colour: Annotated[Colour | None, "Which."] = None
    tags: Annotated[tuple[str, ...], "Some."] = ()
    inner: Annotated[Inner | None, "Inside."] = None
    inners: Annotated[tuple[Inner, ...], "More."] = ()
    free: Annotated[Mapping[str, Any], "Anything."] = attrs.field(factory=dict)


def asking(body: object = None, **query: str) -> Request:
    return Request(
        method="POST",
        path="/",
        fields={"number": query.pop("number", "")},
        query=query,
        headers={},
        body=io.BytesIO(json.dumps(body).encode()),
        length=None,
        credentials=Anonymous(),
        repository="",
        base_url="",
    )


def test_a_query_is_read() -> None:
    """Words become what the shape has them for; the rest is its default."""
    given = asking(name="a", count="-3", on="true", colour="blue", at="2026-01-31T12:00:00Z")
    read = read_query(given, Thing)
    assert (read.name, read.count, read.on, read.colour) == ("a", -3, True, Colour.BLUE)
    assert read.at == datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_a_body_is_read() -> None:
    """With what is inside of it."""
    body = {
        "name": "a",
        "tags": ["x", "y"],
        "inner": {"size": 1},
        "inners": [{"size": 2, "name": "z"}],
        "free": {"deep": [{"er": None}]},
        "colour": None,
    }
    read = read_body(asking(body), Thing)
    assert (read.tags, read.inner, read.colour) == (("x", "y"), Inner(size=1), None)
    assert read.inners == (Inner(size=2, name="z"),)
    assert read.free == {"deep": [{"er": None}]}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", 1), ("name", None), ("name", "a\nb"), ("name", "\ud800"), ("name", "\0"),
        ("count", "1"), ("count", 1.0), ("count", True), ("count", 1 << 63), ("count", None),
        ("on", 1), ("on", "true"), ("at", 5), ("at", "soon"), ("at", "2026-01-31T12:00:00"),
        ("colour", "green"), ("colour", 1), ("colour", []), ("tags", "x"), ("tags", [1]),
        ("inner", 1), ("inner", {}), ("inner", {"size": 1, "more": 2}), ("inners", {"size": 1}),
        ("inners", [{"size": "x"}]), ("free", []), ("free", "x"), ("free", {"a": "\ud800"}),
        ("other", 1),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_by_its_field(field, value) -> None:
    """As a whole body, and as a change."""
    for read in (read_body, read_changes):
        body = {"name": "a", field: value}
        if read is read_changes and (field, value) == ("inner", {}):
            continue  # a change of nothing
        with pytest.raises(InvalidRequestError) as told:
            read(asking(body), Thing)
        [problem] = told.value.problems
        assert field in problem


def test_all_mistakes_are_told_at_once() -> None:
    """In the order of the fields."""
    with pytest.raises(InvalidRequestError) as told:
        read_body(asking({"count": "x", "inner": {"name": 1}}), Thing)
    assert [one.split(" ", 1)[0] for one in told.value.problems] == [
        "`name`", "`count`", "`inner.size`", "`inner.name`"
    ]  # fmt: skip
    assert str(told.value).endswith(told.value.problems[-1])


def test_a_change_has_what_was_sent() -> None:
    """No defaults, and None only where it may be asked for."""
    assert read_changes(asking({}), Thing) == {}
    sent = read_changes(asking({"inner": {"name": None}, "at": None, "on": True}), Thing)
    assert sent == {"inner": {"name": None}, "at": None, "on": True}


def test_a_number_in_a_path_is_a_number() -> None:
    """Anything else names nothing."""
    missing = MissingError("No.")
    assert number_of(asking(number="12"), missing) == 12
    for word in ("", "x", "-1", "1.0", "\u0663", "9" * 19):
        with pytest.raises(MissingError):
            number_of(asking(number=word), missing)


JSON = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers() | strategies.text(),
    lambda inner: strategies.lists(inner) | strategies.dictionaries(strategies.text(), inner),
    max_leaves=8,
)
OBJECTS = strategies.dictionaries(strategies.text(max_size=3), JSON, max_size=4)


@given(JSON)
def test_whatever_is_sent_is_read_or_refused(body) -> None:
    """Never with another error."""
    for read in (read_body, read_changes):
        with contextlib.suppress(RejectedError):
            assert read(asking(body), Thing) is not None


@given(OBJECTS, OBJECTS)
def test_a_merge_is_that_of_its_standard(target, patch) -> None:
    """What is sent is there, null is gone, the rest stays (RFC 7396 section 2)."""
    done = merged(target, patch)
    for name, value in patch.items():
        if value is None:
            assert name not in done
        elif not isinstance(value, dict):
            assert done[name] == value
    assert {name: done[name] for name in target.keys() - patch.keys()} == {
        name: target[name] for name in target.keys() - patch.keys()
    }


def test_merges_of_the_standard() -> None:
    """Examples of RFC 7396, appendix A."""
    for target, patch, wanted in (
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [1]}, {"a": {"b": "c"}}, {"a": {"b": "c"}}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ):
        assert merged(target, patch) == wanted


def test_members_say_what_they_are() -> None:
    """Their type without None, their meaning, whether they have to be there."""
    name, count, *_ = members(Thing)
    assert (name.type, name.nullable, name.required, name.help) == (
        str, False, True, "What it is called."
    )  # fmt: skip
    assert (count.required, count.default) == (False, 1)
