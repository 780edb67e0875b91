"""How SQLite looks rows up: never by walking through a repository."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.dialects import sqlite

from repocore.catalog import Catalog, blobs, documents, drafts, files, hot
from repocore.catalog.statements import Statement

STATEMENTS = {
    f"{module.__name__.rpartition('.')[2]}.{name}": value
    for module in (blobs, documents, drafts, files)
    for name, value in vars(module).items()
    if isinstance(value, Statement)
}
HOT = {
    name: value
    for name, value in vars(hot).items()
    if isinstance(value, str) and value.lstrip().startswith("SELECT")
}
#: One row, and one row.
SCANNED = {"SCAN a", "SCAN access", "SCAN r LEFT-JOIN", "SCAN p LEFT-JOIN"}
KEYED = re.compile(r"\((digest=\?|\w+=\? AND \w+=\?.*)\)")


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    folder = tmp_path_factory.mktemp("plans")
    catalog = Catalog("sqlite:///catalog.db", folder=folder)
    catalog.migrate()
    catalog.close()
    opened = sqlite3.connect(Path(folder, "catalog.db"))
    opened.create_function("repocore_now", 0, lambda: 0)
    yield opened
    opened.close()


def judge(connection: sqlite3.Connection, text: str, count: int, few: str = "") -> None:
    for *_, line in connection.execute(f"EXPLAIN QUERY PLAN {text}", [None] * count).fetchall():
        if line == few:
            continue
        assert "SCAN" not in line or line in SCANNED
        assert "SEARCH" not in line or KEYED.search(line), line


@pytest.mark.parametrize("name", STATEMENTS)
def test_commit_looks_up_by_whole_keys(connection: sqlite3.Connection, name: str) -> None:
    """No statement of an upload costs more in a repository with more in it."""
    compiled = STATEMENTS[name]._build(sqlite.insert).compile(dialect=sqlite.dialect())
    judge(connection, str(compiled), len(compiled.positiontup))


@pytest.mark.parametrize("name", HOT)
def test_hot_path_looks_up_by_whole_keys(connection: sqlite3.Connection, name: str) -> None:
    """No small read costs more in a repository with more in it."""
    # The sum over a repository's partitions reads as many rows as it has subdirs.
    few = "SEARCH partitions USING PRIMARY KEY (repository_id=?)"
    judge(connection, HOT[name], HOT[name].count("?"), few if name == "_OVERVIEW" else "")


@pytest.mark.parametrize("name", ["_SOME", "_WITHDRAWN"])
def test_what_changed_is_found_without_what_did_not(connection: sqlite3.Connection, name) -> None:
    """One more package costs the documents of its name the same among many as among few."""
    text: str = getattr(documents, name)
    keyed = re.compile(r"INDEX releases_(package|withdrawn) \(.+ AND |SEARCH x ")
    for *_, line in connection.execute(f"EXPLAIN QUERY PLAN {text}", [None] * text.count("?")):
        assert keyed.search(line) or "TEMP B-TREE" in line, line


def test_newest_is_found_without_a_sort(connection: sqlite3.Connection) -> None:
    """The thousandth revision of a recipe is found as quickly as its first."""
    plan = connection.execute(f"EXPLAIN QUERY PLAN {hot._LATEST}", [None, None]).fetchall()
    assert not [line for *_, line in plan if "TEMP B-TREE" in line]
