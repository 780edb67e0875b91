"""``[postgres]``: every bound of the connections, with a safe default."""

from __future__ import annotations

from datetime import timedelta

import pytest

from repocore import ConfigurationError
from repocore.config import PostgresSettings
from repocore.config.structuring import structure


def test_every_bound_is_read() -> None:
    """In the words of the reference."""
    table = {
        "pool_size": 4,
        "pool_overflow": 2,
        "pool_wait": "5s",
        "pool_recycle": "10m",
        "pool_ping": False,
        "read_connections": 3,
        "connect_timeout": "4s",
        "reconnect": "0s",
        "attempts": 2,
        "statement_timeout": "0s",
        "lock_timeout": "250ms",
        "idle_timeout": "2m",
        "keepalive": "1m",
        "keepalive_interval": "5s",
        "keepalive_count": 2,
        "application_name": "crew",
        "prepare_after": 0,
        "transaction_pooling": True,
    }
    made = structure(table, PostgresSettings)
    assert (made.pool_size, made.pool_wait) == (4, timedelta(seconds=5))
    assert (made.lock_timeout, made.statement_timeout) == (timedelta(seconds=0.25), timedelta(0))
    assert table.keys() == {name for name in PostgresSettings.__slots__ if name != "__weakref__"}


def test_every_mistake_is_told_at_once() -> None:
    """Each after its name."""
    table = {
        "pool_size": 0,
        "pool_overflow": 0,
        "read_connections": 0,
        "statement_timeout": "30d",
        "lock_timeout": "soon",
        "prepare_after": -1,
        "application_name": " ",
        "pool": 3,
    }
    with pytest.raises(ConfigurationError) as caught:
        structure(table, PostgresSettings, "postgres")
    told = {problem.partition(":")[0] for problem in caught.value.problems}
    assert told == {f"postgres.{name}" for name in table}
    assert any("24 days" in problem for problem in caught.value.problems)


def test_two_servers_fit_into_a_database_as_it_comes() -> None:
    """Which lets in a hundred, a few of them only for its administrator."""
    made = PostgresSettings()
    assert 3 * (made.pool_size + made.pool_overflow + made.read_connections) < 97
