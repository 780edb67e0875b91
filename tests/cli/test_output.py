"""What commands print."""

from __future__ import annotations

import errno
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from repocore import Action, Rule
from repocore.cli.output import State, plain, printable, progress, report_error


def test_values_become_json():
    """Values of the house are objects, sets are sorted, times are ISO 8601."""
    rule = Rule(subject="*", actions=frozenset({Action.WRITE, Action.READ}), pattern="**")
    value = plain({"rule": rule, 1: [Path("a"), timedelta(seconds=2), None, True]})
    assert json.loads(json.dumps(value)) == value
    assert value["rule"]["actions"] == ["read", "write"]
    assert value["1"] == ["a", 2.0, None, True]
    assert plain(datetime(2026, 1, 2, tzinfo=UTC)) == "2026-01-02T00:00:00+00:00"


@given(st.text())
def test_nothing_moves_the_terminal(text):
    """Whatever others have called things, a line stays a line."""
    shown = printable(text)
    assert shown.isprintable()
    assert shown == text or not text.isprintable()


def test_no_bar_without_a_terminal():
    """A pipe sees no progress."""
    with progress(State()) as bar:
        assert bar is None


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EACCES, "Run this as the account that owns it"),
        (errno.EROFS, "Choose a folder"),
        (errno.ENOSPC, "Make room"),
        (errno.EISDIR, "house"),
    ],
)
def test_refusal_of_the_system_says_what_next(number, advice, capsys):
    """One line: what the system said, of which file, and what to do where that is known."""
    report_error(State(), OSError(number, os.strerror(number), "house"))
    line = capsys.readouterr().err
    assert line.startswith(f"repocore: {os.strerror(number)}: house")
    assert advice in line
    assert line.count("\n") == 1
