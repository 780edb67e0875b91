"""``audit``: who changed what, and whether the records are whole."""

from __future__ import annotations

import json
import sqlite3

import pytest


@pytest.fixture
def stocked(program):
    program("init")
    program("user", "add", "ann", "--password-stdin", typed="right horse battery")
    program("repo", "create", "conda/other")
    return program


def test_changes_are_listed(stocked) -> None:
    """The newest first, with who made them from where; or those that are asked for."""
    found = stocked.json("audit", "list")
    assert (found[0]["what"], found[0]["kind"]) == ("conda/other", "repository.changed")
    assert found[0]["origin"]["source"].startswith("cli:")
    table = stocked("audit", "list", "--what", "ann").stdout
    assert "account.changed" in table
    assert "conda/other" not in table
    assert stocked.json("audit", "list", "--since", "2126-01-01T00:00:00Z") == []
    older = stocked.json("audit", "list", "--before", str(found[0]["id"]), "--limit", "1")
    assert older == [found[1]]


def test_changes_are_exported_line_by_line(stocked) -> None:
    """The oldest first, one object each; passwords are not among them."""
    said = stocked("audit", "export").stdout
    lines = [json.loads(line) for line in said.splitlines()]
    assert [one["id"] for one in lines] == sorted(one["id"] for one in lines)
    assert lines[-1]["after"]["private"] is False
    assert "right horse" not in said


@pytest.mark.parametrize("words", [("--since", "yesterday"), ("--since", "2026-01-01")])
def test_times_that_are_none(stocked, words) -> None:
    """They are told with an example."""
    assert "2026-01-31T12:00:00Z" in stocked.refused("audit", "list", *words)["error"]


def test_records_are_verified(stocked, tmp_path) -> None:
    """What was changed behind the program's back shows, and so does a table written anew."""
    said = stocked("audit", "verify").stdout.splitlines()
    assert "0 not sealed yet" in said[-2]
    noted = tmp_path / "noted"
    noted.write_text(said[-1] + "\n")
    stocked("repo", "create", "conda/third")
    stocked("audit", "verify", "--roots", str(noted), "--root", said[-1])
    [catalog] = tmp_path.rglob("catalog.db")
    with sqlite3.connect(catalog) as connection:
        connection.execute("UPDATE audit SET who = 'eve' WHERE id = 2")
    told = stocked("audit", "verify", status=1).stdout
    assert "was changed after it was sealed" in told
    with sqlite3.connect(catalog) as connection:
        connection.execute("DELETE FROM seals")
    stocked("audit", "verify")
    assert "was noted" in stocked("audit", "verify", "--roots", str(noted), status=1).stdout
    assert "is no seal" in stocked.refused("audit", "verify", "--root", "x")["error"]
