"""Answers, their tags, and the conditions that requests set."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import attrs
import pytest

from repocore import Action, Anonymous, MissingError, PreconditionFailedError
from repocore.http import Request
from repocore.plugins.api.answering import plain, require_absent, require_match, tag_of, tagged


@attrs.frozen
class Thing:
    number: int
    at: datetime | None = None
    actions: tuple[Action, ...] = ()


class Fields(dict):
    """Header fields by their usual names."""


def asking(method: str = "GET", **fields: str) -> Request:
    return Request(
        method=method,
        path="/",
        fields={},
        query={},
        headers=Fields({name.replace("_", "-"): value for name, value in fields.items()}),
        body=None,
        length=None,
        credentials=Anonymous(),
        repository="",
        base_url="",
    )


def test_a_shape_is_plain() -> None:
    """Times are in UTC, words are words, tuples are lists."""
    at = datetime(2026, 1, 1, 13, tzinfo=timezone(timedelta(hours=1)))
    assert plain({"a": Thing(1, at, (Action.READ,)), "b": None}) == {
        "a": {"number": 1, "at": "2026-01-01T12:00:00+00:00", "actions": ["read"]},
        "b": None,
    }
    assert plain(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T00:00:00+00:00"


def test_a_tag_is_that_of_the_bytes() -> None:
    """Equal for equal shapes, and for no others; it is strong."""
    assert tag_of(Thing(1)) == tag_of(Thing(1)) != tag_of(Thing(2))
    answer = tagged(asking(), Thing(1))
    assert dict(answer.headers)["ETag"] == tag_of(Thing(1))
    assert json.loads(answer.body)["number"] == 1
    assert tag_of(Thing(1))[0] == '"'


def test_only_who_reads_is_told_that_nothing_changed() -> None:
    """To a change, If-None-Match with a tag means nothing of the kind."""
    tag = tag_of(Thing(1))
    assert tagged(asking(If_None_Match=tag), Thing(1)).status == 304
    assert tagged(asking("HEAD", If_None_Match=tag), Thing(1)).status == 304
    assert tagged(asking("PATCH", If_None_Match=tag), Thing(1)).status == 200


@pytest.mark.parametrize("field", ['"x"', "", 'W/"x"', ","])
def test_another_state_is_refused(field) -> None:
    """Also a weak tag, which is none for changes (RFC 9110 section 13.1.1)."""
    with pytest.raises(PreconditionFailedError):
        require_match(asking(If_Match=field), lambda: Thing(1))
    with pytest.raises(PreconditionFailedError):
        require_match(asking(If_Match=f"W/{tag_of(Thing(1))}"), lambda: Thing(1))


def test_this_state_is_taken() -> None:
    """Alone, in a list, as any; without a condition nothing is looked at."""
    tag = tag_of(Thing(1))
    for field in (tag, f'"x", {tag}', "*"):
        require_match(asking(If_Match=field), lambda: Thing(1))
    require_match(asking(), lambda: pytest.fail("it was looked at"))


def test_what_is_gone_matches_nothing() -> None:
    """Not even any state."""

    def gone():
        raise MissingError("No.")

    with pytest.raises(PreconditionFailedError):
        require_match(asking(If_Match="*"), gone)


def test_what_is_there_is_not_made_anew() -> None:
    """With If-None-Match: * only."""
    with pytest.raises(PreconditionFailedError):
        require_absent(asking(If_None_Match="*"), lambda: True)
    require_absent(asking(If_None_Match="*"), lambda: False)
    require_absent(asking(), lambda: True)
