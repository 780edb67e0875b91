"""Tables of plugins become their classes, or a list of problems."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from repocore.config import Secret, load_settings, structure_table
from repocore.errors import ConfigurationError


@attrs.frozen(kw_only=True)
class Door:
    width: float = 1.0
    keys: frozenset[int] = frozenset()


@attrs.frozen(kw_only=True)
class House:
    secret: Secret
    opened: bool = False
    rest: timedelta | None = None
    plan: Path | None = None
    doors: tuple[Door, ...] = ()
    extra: Mapping[str, Any] = attrs.field(factory=dict[str, Any])


def test_table_becomes_the_class(tmp_path):
    """Numbers of the environment are texts where texts are wanted; paths are beside the file."""
    (tmp_path / "repocore.toml").write_text(
        '[plugins.house]\nplan = "plan.txt"\nrest = "1h"\nextra = { a = [1, "b"] }\n'
        "[[plugins.house.doors]]\nwidth = 2\nkeys = [1, 2]\n",
        encoding="utf-8",
    )
    environ = {"REPOCORE__PLUGINS__HOUSE__SECRET": "42", "REPOCORE__PLUGINS__HOUSE__OPENED": "true"}
    settings = load_settings(data=tmp_path, environ=environ)
    house = structure_table("house", House, settings.plugins.tables["house"])
    assert house == House(
        secret=Secret("42"),
        opened=True,
        rest=timedelta(hours=1),
        plan=tmp_path / "plan.txt",
        doors=(Door(width=2.0, keys=frozenset({1, 2})),),
        extra={"a": [1, "b"]},
    )
    assert "42" not in repr(house.secret)
    assert repr(house.secret) in repr(house)


def test_every_problem_of_a_table():
    """Each problem is told after the key that it is about, down to the element of a list."""
    raw = {
        "opend": True,
        "opened": "yes",
        "rest": True,
        "plan": 5,
        "doors": [{"width": "wide"}, {"keys": [1, True]}, 3],
    }
    with pytest.raises(ConfigurationError) as caught:
        structure_table("house", House, raw)
    assert {problem.partition(": ")[0] for problem in caught.value.problems} == {
        "plugins.house.secret",
        "plugins.house.opend",
        "plugins.house.opened",
        "plugins.house.rest",
        "plugins.house.plan",
        "plugins.house.doors[0].width",
        "plugins.house.doors[1].keys[1]",
        "plugins.house.doors[2]",
    }
    assert "did you mean opened?" in str(caught.value)


def test_strange_errors_of_a_class_are_problems_too():
    """A class that raises something of its own gives a problem, and no traceback."""

    @attrs.frozen
    class Broken:
        def __attrs_post_init__(self) -> None:
            raise RuntimeError

    with pytest.raises(ConfigurationError, match=r"plugins\.x: "):
        structure_table("x", Broken, {})


@pytest.mark.parametrize("text", ["xs", 5, {"a": 1}])
def test_a_list_is_a_list(text):
    """One text is not taken for a list of its letters."""
    with pytest.raises(ConfigurationError, match="expected a list"):
        structure_table("house", House, {"secret": "x", "doors": text})
