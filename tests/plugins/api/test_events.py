"""``/api/v1/events``: the audit trail, asked and exported."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest


@pytest.fixture
def busy(house):
    house.recipe("zlib/1.3/_/_")
    house.send("repositories/conan/main", "PATCH", {"description": "new"}, "bob")
    house.send("accounts/carl", "PATCH", {"email": "c@one.example"})
    return house


def test_events_are_listed_newest_first(busy) -> None:
    """Page after page, each once: who, through what, from where, before and after."""
    found = busy.walk("events?limit=2")
    numbers = [one["id"] for one in found]
    assert numbers == sorted(numbers, reverse=True)
    assert len(numbers) == len(set(numbers)) == len(busy.admin.audit.list(limit=50))
    [change] = busy.walk("events?who=bob")
    assert (change["kind"], change["what"]) == ("repository.changed", "conan/main")
    assert (change["via"], change["source"] is not None) == ("password", True)
    assert change["before"]["description"] == ""
    assert change["after"]["description"] == "new"


@pytest.mark.parametrize(
    ("query", "kinds"),
    [
        ("kind=account.changed&who=ann", {"account.changed"}),
        ("what=conan/main&kind=release.added", {"release.added"}),
        ("until=2001-01-01T00:00:00Z", set()),
        ("since=2101-01-01T00:00:00Z", set()),
    ],
)
def test_events_are_filtered(busy, query, kinds) -> None:
    """By who, kind, what and time."""
    assert {one["kind"] for one in busy.walk(f"events?{query}&limit=1")} == kinds


@pytest.mark.parametrize(
    "query", ["kind=release.add", "since=2101-01-01T00:00:00Z&until=2001-01-01T00:00:00Z"]
)
def test_a_filter_that_finds_nothing_ever_is_refused(busy, query) -> None:
    """With a hint, instead of an empty list."""
    for target in ("events", "events/export"):
        answer = busy.send(f"{target}?{query}")
        assert answer.status == 422
        assert "release.added" in answer.text or "earlier" in answer.text


def test_a_moment_divides_events(busy) -> None:
    """From it on, and before it."""
    everything = busy.walk("events")
    at = quote(everything[2]["at"])
    later, earlier = busy.walk(f"events?since={at}"), busy.walk(f"events?until={at}")
    assert len(later) + len(earlier) == len(everything)
    assert earlier


def test_events_are_exported_as_lines(busy) -> None:
    """The oldest first, all of them."""
    answer = busy.send("events/export")
    lines = [json.loads(line) for line in answer.body.splitlines()]
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert lines == busy.walk("events")[::-1]
    some = busy.send("events/export?who=bob").body.splitlines()
    assert [json.loads(line)["who"] for line in some] == ["bob"]


def test_events_are_for_who_manages(busy) -> None:
    """Those of a repository for its owner, all of them for an administrator."""
    assert busy.walk("events?what=conan/main", who="bob")
    for path in ("events", "events/export"):
        assert busy.send(path, who="bob").status == 404
        assert busy.send(f"{path}?what=conan/main", who="carl").status == 404
        assert busy.send(f"{path}?what=conan/main", who=None).status == 401


@pytest.mark.parametrize("query", ["since=yesterday", "until=2026-01-01", "since=2026-01-01T00:00"])
def test_a_time_has_a_zone(house, query) -> None:
    """Without one it is a mistake."""
    for path in ("events", "events/export"):
        told = house.problem(422, f"{path}?{query}")
        assert "2026-01-31T12:00:00Z" in told["errors"][0]["detail"]
