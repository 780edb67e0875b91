"""Statements of the write path: compiled once, on both databases the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import bindparam, select, update

from repocore.catalog import Catalog, statements, tables
from repocore.catalog.statements import Statement
from repocore.errors import StorageError

_p = tables.partitions
_OPEN = Statement(
    lambda insert: (
        insert(_p)
        .values(statements.columns(_p, serial=7))
        .on_conflict_do_nothing()
        .returning(_p.c.serial)
    )
)
_COUNT = Statement(
    lambda _: update(_p).where(_p.c.name == bindparam("named"), _p.c.serial > 6).values(serial=None)
)
_ADD = Statement(
    lambda _: update(_p).where(_p.c.name == bindparam("named")).values(serial=_p.c.serial + 1)
)


@pytest.fixture
def catalog(database_url: str, tmp_path: Path) -> Iterator[Catalog]:
    opened = Catalog(database_url, folder=tmp_path)
    opened.migrate()
    yield opened
    opened.close()


def test_rows_and_counts(catalog: Catalog) -> None:
    """A statement answers with the rows that it returns, or with how many it changed."""
    opened = [
        catalog.write(lambda t: t.rows(_OPEN, repository_id=1, name="zlib/1.3")) for _ in range(2)
    ]
    assert [[tuple(row) for row in rows] for rows in opened] == [[(7,)], []]
    assert catalog.write(lambda t: t.change(_ADD, named="zlib/1.3")) == 1
    assert catalog.write(lambda t: t.change(_ADD, named="other")) == 0
    with catalog.snapshot() as connection:
        assert connection.execute(select(_p.c.serial)).scalars().all() == [8]


def test_statement_is_built_once(catalog: Catalog) -> None:
    """Building and compiling happens at the first run of a database, not of a connection."""
    built: list[object] = []

    def build(_insert: object) -> object:
        built.append(_insert)
        return update(_p).where(_p.c.name == bindparam("named")).values(serial=0)

    statement = Statement(build)  # type: ignore[arg-type]
    for name in ("a", "b"):
        catalog.write(lambda t, name=name: t.change(statement, named=name))
    assert len(built) == 1


def test_parameter_that_is_missing(catalog: Catalog) -> None:
    """A forgotten value is an error, never a null."""
    with pytest.raises((KeyError, StorageError)):
        catalog.write(lambda t: t.rows(_OPEN, name="zlib/1.3"))


def test_failure_of_the_driver(catalog: Catalog) -> None:
    """What the driver refuses undoes the transaction, and its words stay with us."""
    catalog.write(lambda t: t.rows(_OPEN, repository_id=1, name="zlib/1.3"))

    def work(transaction: object) -> None:
        transaction.change(_ADD, named="zlib/1.3")  # type: ignore[attr-defined]
        transaction.change(_COUNT, named="zlib/1.3")  # type: ignore[attr-defined]

    with pytest.raises(StorageError, match="nothing was changed") as caught:
        catalog.write(work)
    assert "serial" not in str(caught.value)
    with catalog.snapshot() as connection:
        assert connection.execute(select(_p.c.serial)).scalars().all() == [7]
