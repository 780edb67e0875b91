"""Our jobs in procrastinate's tables."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from procrastinate.exceptions import ConnectorException

from repocore import Job
from repocore.plugins.procrastinate.queue import Queue, _plain, queue_of
from repocore.plugins.procrastinate.tables import QueueTables


def job(number: int, **more: Any) -> Job:
    moment = datetime.now(UTC) - timedelta(seconds=1)
    given = {"kind": "act", "run_after": moment, "created_by": "ann", "created_at": moment}
    return Job(id=number, **{**given, **more})


@pytest.fixture
def connection(settings) -> Iterator[Any]:
    QueueTables(settings).migrate()
    with psycopg.connect(settings.catalog) as opened:
        yield opened


def test_a_kind_has_a_queue_of_its_own() -> None:
    """Whose name fits into that of a channel."""
    long = {queue_of("k" * 50), queue_of("k" * 51), queue_of("ü" * 21)}
    assert queue_of("gc") == "gc"
    assert len(long) == 3
    assert {len(name) for name in long} == {40}


@pytest.mark.postgres
def test_tasks_are_as_their_jobs(connection) -> None:
    """The number of the job is all that they carry: no payload, and no key."""
    later = datetime.now(UTC) + timedelta(hours=1)
    jobs = [job(7, key="secret"), job(8, priority=5), job(9, run_after=later, key="ü" * 500)]
    made = Queue().defer(connection, jobs)
    rows = connection.execute(
        "SELECT id, queue_name, args, priority, lock, scheduled_at FROM procrastinate_jobs "
        "ORDER BY id"
    ).fetchall()
    assert [row[0] for row in rows] == list(made)
    assert [row[1:4] for row in rows] == [
        ("act", {"job": 7}, 0),
        ("act", {"job": 8}, 5),
        ("act", {"job": 9}, 0),
    ]
    assert rows[0][4] not in {None, rows[2][4]}
    assert "secret" not in rows[0][4]
    assert [row[5] for row in rows] == [None, None, later]


@pytest.mark.postgres
def test_what_was_begun_is_not_withdrawn(connection) -> None:
    """Nor what is another job's."""
    queue = Queue()
    begun, waiting, other = queue.defer(connection, [job(1), job(2), job(3)])
    connection.execute("UPDATE procrastinate_jobs SET status = 'doing' WHERE id = %s", [begun])
    assert list(queue.withdraw(connection, {begun: 1, waiting: 2, other: 99})) == [begun]
    left = connection.execute("SELECT id FROM procrastinate_jobs ORDER BY id").fetchall()
    assert left == [(begun,), (other,)]


@pytest.mark.postgres
def test_what_was_begun_is_begun_anew(connection) -> None:
    """What has ended, or is gone, is not."""
    queue = Queue()
    begun, waiting, ended = queue.defer(connection, [job(1), job(2), job(3)])
    update = "UPDATE procrastinate_jobs SET status = %s WHERE id = %s"
    connection.execute(update, ["doing", begun])
    connection.execute(update, ["failed", ended])
    alive = queue.revive(connection, {begun: 1, waiting: 2, ended: 3, 999: 4})
    assert sorted(alive) == [begun, waiting]
    states = connection.execute("SELECT DISTINCT status FROM procrastinate_jobs WHERE id < 3")
    assert states.fetchall() == [("todo",)]


@pytest.mark.postgres
def test_an_error_is_the_driver_s(connection) -> None:
    """So that the catalog knows whether to begin the transaction anew."""
    connection.execute("DROP TABLE procrastinate_jobs CASCADE")
    with pytest.raises(psycopg.errors.UndefinedTable):
        Queue().defer(connection, [job(1)])
    with pytest.raises(ConnectorException), _plain():
        raise ConnectorException
