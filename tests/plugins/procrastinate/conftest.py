"""A catalog in PostgreSQL whose jobs are procrastinate's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import attrs
import psycopg
import pytest

from repocore.config import JobSettings, Settings

SOON = JobSettings(
    interval=timedelta(milliseconds=50),
    backoff=timedelta(milliseconds=50),
    lease=timedelta(seconds=2),
    attempts=3,
)

#: The rows of a query, on a connection of its own.
Ask = Callable[..., list[tuple[object, ...]]]


@pytest.fixture
def settings(postgres_databases, postgres_tables, tmp_path: Path) -> Iterator[Settings]:
    """The queue has no tables yet."""
    with postgres_databases.fresh(postgres_tables) as url:
        yield Settings(data=tmp_path / "data", catalog=url, runner="procrastinate:2", jobs=SOON)


@pytest.fixture
def ask(settings: Settings) -> Ask:
    def work(query: str, *values: object) -> list[tuple[object, ...]]:
        with psycopg.connect(settings.catalog, autocommit=True) as connection:
            cursor = connection.execute(query, values or None)
            return cursor.fetchall() if cursor.description else []

    return work


@pytest.fixture
def submitting(settings: Settings) -> Settings:
    """The settings of a process that runs no jobs."""
    return attrs.evolve(settings, runner="procrastinate:0")
