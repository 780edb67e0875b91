"""What documents are made from, as each database gives it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy import delete, insert

from repocore.catalog import Catalog, documents, tables

SECTIONS = {"new": 0, "old": 0, "cut": 2}
releases = st.dictionaries(
    # A name is text of any kind, which JSON may have to escape; the end of some is cut off.
    st.text(st.sampled_from('ab1-._+"\\é漢'), min_size=1, max_size=6).map(lambda t: f"{t}.x"),
    st.tuples(
        st.sampled_from([*SECTIONS, "other"]),
        st.integers(0, 2**50),
        st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=5), min_size=1),
        st.sampled_from(["", "", "yanked_at", "removed_at", "draft"]),
        st.sampled_from(["p", "P", "q"]),
    ),
    max_size=20,
)


@pytest.fixture
def catalog(database_url: str, tmp_path: Path) -> Iterator[Catalog]:
    opened = Catalog(database_url, folder=tmp_path)
    opened.migrate()
    yield opened
    opened.close()


def fill(catalog: Catalog, world: dict[str, Any]) -> None:
    def write(transaction: Any) -> None:
        transaction.execute(delete(tables.releases))
        transaction.execute(delete(tables.repositories))
        values = {"id": 1, "format": "f", "name": "n", "mode": "hosted", "policy": "{}"}
        values |= {"description": "", "private": False, "options": "{}", "created_at": 1}
        transaction.execute(insert(tables.repositories).values(**values, bytes=0))
        for name, (section, at, record, gone, package) in world.items():
            row = {"repository_id": 1, "partition": "part", "name": name, "package": package}
            row |= {"package_key": package.casefold(), "version": "1", "sort_key": b"1"}
            row |= {"record": json.dumps(record).encode(), "section": section}
            row |= {"serial": 1, "changed": 1, "released_at": None if gone == "draft" else at}
            if gone.endswith("_at"):
                row[gone] = at
            transaction.execute(insert(tables.releases).values(**row))

    catalog.write(write)


def listed(world: dict[str, Any]) -> list[tuple[str, Any]]:
    return sorted((name, one) for name, one in world.items() if one[3] == "")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(world=releases, chunk=st.integers(1, 5))
def test_members_are_the_records_of_their_sections(catalog, world, chunk) -> None:
    """In the order of names, with their times; joined by the database."""
    fill(catalog, world)
    found: dict[str, list[Any]] = {section: [] for section in SECTIONS}
    with pytest.MonkeyPatch.context() as patch, catalog.snapshot() as connection:
        patch.setattr(documents, "_CHUNK", chunk)
        for part in documents.members(catalog.dialect, connection, 1, "part", SECTIONS, "at"):
            for section, columns in zip(SECTIONS, part, strict=True):
                if columns[0]:
                    found[section].append(columns)
    for section, cut in SECTIONS.items():
        mine = [(name, one) for name, one in listed(world) if one[0] == section]
        text = b",".join(bytes(columns[3]) for columns in found[section])
        pairs = json.loads(b"{%b}" % text, object_pairs_hook=list)
        assert [key for key, _ in pairs] == [name[: len(name) - cut] for name, _ in mine]
        for (_, pair), (_, (_, at, record, *_)) in zip(pairs, mine, strict=True):
            assert dict(pair) == {**record, "at": at // 1000}
            assert pair[-1] == ("at", at // 1000)
        assert sum(columns[0] for columns in found[section]) == len(mine)
        times = [one[1] for _, one in mine]
        bounds = [time for columns in found[section] for time in columns[1:3]]
        assert (min(bounds), max(bounds)) == (min(times), max(times)) if times else not bounds


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(world=releases)
def test_some_packages_are_a_part_of_all(catalog, world) -> None:
    """And what was withdrawn is what was listed once."""
    fill(catalog, world)
    dialect = catalog.dialect
    with catalog.snapshot() as connection:
        whole = [
            row for rows in documents.listed(dialect, connection, 1, "part", None) for row in rows
        ]
        for package in ("p", "P", "q", "r"):
            some = [
                row
                for rows in documents.listed(dialect, connection, 1, "part", package)
                for row in rows
            ]
            assert some == [row for row in whole if row[1] == package]
        gone = documents.withdrawn(dialect, connection, 1, "part")
    assert sorted(row[0] for row in whole) == [name for name, _ in listed(world)]
    expected = sorted((n, one[4]) for n, one in world.items() if one[3].endswith("_at"))
    assert gone == [(package, name) for name, package in expected]
