"""How SQLite looks for what may go: one walk through the releases, and keys for all else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event, insert

from repocore.catalog import Catalog, Transaction, releases, removals, retention, tables
from repocore.catalog.retention import Bounds
from repocore.catalog.rows import StoredRepository
from repocore.model import Repository

ALL = Bounds(newest=3, downloaded=1, younger=1, uploading=1)
WALK = "SEARCH releases USING PRIMARY KEY (repository_id=? AND (partition,name)>(?,?))"
WHOLE = re.compile(r"\(repository_id=\? AND (partition|parent|name)=\?|digest=\?")
KEYED = re.compile(r"\(repository_id=\? AND (partition|parent)=\?")


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    opened = Catalog("sqlite:///catalog.db", folder=tmp_path)
    opened.migrate()
    yield opened
    opened.close()


def plans(catalog: Catalog, work) -> list[str]:
    """The lines of the plans of all that is asked in the work."""
    asked = []
    with catalog.snapshot() as connection:
        event.listen(
            connection,
            "before_cursor_execute",
            lambda _c, _cursor, text, given, *_rest: asked.append((text, given)),
        )
        work(connection)
        told = list(asked)
        return [
            line
            for text, given in told
            for *_, line in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", given)
        ]


@pytest.mark.parametrize("hanging", [False, True])
def test_a_page_is_one_walk(catalog: Catalog, hanging: bool) -> None:
    """Whatever is asked of a release is found by a key, and the order needs no sort."""

    def page(connection) -> None:
        retention.page(connection, 1, ALL, ("", ""), 10, hanging=hanging)

    lines = plans(catalog, page)
    assert lines.count(WALK) == 1
    others = [line for line in lines if re.match("SEARCH|SCAN [^C]", line) and line != WALK]
    assert len(others) > 10
    assert [line for line in others if not KEYED.search(line)] == []
    assert not [line for line in lines if "TEMP B-TREE" in line]


def test_versions_and_numbers_of_a_package_are_in_its_index(catalog: Catalog) -> None:
    """However large a channel is, a release is compared with those of its name only."""
    bounds = Bounds(
        newest=3,
        versions=True,
        each=5,
        beyond=(1, "linux-64", "x"),
        downloaded=None,
        younger=None,
        uploading=1,
    )

    def page(connection) -> None:
        retention.page(connection, 1, bounds, ("", ""), 10, hanging=False)

    lines = plans(catalog, page)
    assert lines.count(WALK) == 1
    index = "newer USING INDEX releases_package (repository_id=? AND package_key=?"
    assert sum(index in line for line in lines) == 2
    newer = [line for line in lines if "newer" in line and index not in line]
    assert newer == []


def test_a_deletion_looks_up_by_keys(catalog: Catalog) -> None:
    """A recipe with packages is deleted at the same cost, however many others there are."""
    house = StoredRepository(1, Repository(format="conan", name="main"))
    rows = [("zlib/1.3@_/_", "r1", None)]
    rows += [(f"zlib/1.3@_/_#r1:{pid}", "p1", "zlib/1.3@_/_#r1") for pid in "abc"]
    asked = []

    def fill(transaction: Transaction) -> None:
        for partition, name, parent in rows:
            transaction.execute(
                insert(tables.partitions).values(repository_id=1, name=partition, serial=1)
            )
            transaction.execute(
                insert(tables.releases).values(
                    repository_id=1,
                    partition=partition,
                    name=name,
                    parent=parent,
                    package="zlib",
                    package_key="zlib",
                    version="1.3@_/_",
                    sort_key=b"",
                    serial=1,
                    released_at=1,
                    record=b"{}",
                )
            )

    def remove(transaction: Transaction) -> int:
        event.listen(
            transaction.connection,
            "before_cursor_execute",
            lambda _c, _cursor, text, given, *_rest: asked.append((text, given)),
        )
        return removals.remove(transaction, house, releases.select_one(1, *rows[0][:2]), "ann")

    catalog.write(fill)
    assert catalog.write(remove) == 1
    told = list(asked)
    with catalog.snapshot() as connection:
        lines = [
            line
            for text, given in told
            for *_, line in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", given)
        ]
    looked = [line for line in lines if re.match("SEARCH|SCAN", line)]
    assert any("files" in line for line in looked)
    assert [line for line in looked if not WHOLE.search(line)] == []


def test_what_hangs_on_a_release_is_found_by_its_key(catalog: Catalog) -> None:
    """Neither to list packages nor to delete a recipe is the repository walked through."""

    def children(connection) -> None:
        connection.execute(
            releases._r.select().where(releases.select_children(1, "zlib/1.3@_/_", "r1"))
        )

    lines = [line for line in plans(catalog, children) if re.match("SEARCH|SCAN", line)]
    assert lines
    assert [line for line in lines if not KEYED.search(line)] == []
