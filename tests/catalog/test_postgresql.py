"""A catalog in PostgreSQL: bounds of its connections, and transactions that it gives up."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from postgres_cluster import Databases
from severed import wire
from sqlalchemy import make_url, text

from repocore import ConfigurationError, StorageError
from repocore.catalog import Catalog, Transaction
from repocore.config import PostgresSettings

pytestmark = pytest.mark.postgres

Open = Callable[..., Catalog]


@pytest.fixture
def url(postgres_databases: Databases, postgres_tables: str) -> Iterator[str]:
    """A database with our tables."""
    with postgres_databases.fresh(postgres_tables) as made:
        yield made


@pytest.fixture
def opened(url: str, tmp_path: Path) -> Iterator[Open]:
    """Opens catalogs on it, by default with a table of two rows for tests."""
    with contextlib.ExitStack() as stack:

        def open_it(where: str = url, **settings: Any) -> Catalog:
            postgres = PostgresSettings(**settings)
            catalog = Catalog(where, folder=tmp_path, postgres=postgres)
            stack.callback(catalog.close)
            return catalog

        with psycopg.connect(url) as server:
            server.execute("CREATE TABLE house (id INTEGER PRIMARY KEY, bricks INTEGER)")
            server.execute("INSERT INTO house VALUES (1, 0), (2, 0)")
        yield open_it


def bricks(url: str) -> list[int]:
    with psycopg.connect(url) as server:
        return [row[0] for row in server.execute("SELECT bricks FROM house ORDER BY id")]


def lay(transaction: Transaction, house: int) -> None:
    transaction.execute(text(f"UPDATE house SET bricks = bricks + 1 WHERE id = {house}"))


def terminate(url: str, pid: int) -> None:
    """End a connection from outside; it is gone when this returns."""
    with psycopg.connect(url) as server:
        assert server.execute("SELECT pg_terminate_backend(%s, 10000)", [pid]).fetchone() == (True,)


def pid_of(transaction: Transaction) -> int:
    return int(transaction.connection.scalar(text("SELECT pg_backend_pid()")) or 0)


# ------------------------------------------------------------------------------------ what is set


def test_connections_have_the_bounds_of_the_settings(opened) -> None:
    """Those of the pool, and those of single statements."""
    catalog = opened(
        statement_timeout=timedelta(seconds=71),
        lock_timeout=timedelta(seconds=7),
        idle_timeout=timedelta(minutes=3),
        keepalive=timedelta(seconds=41),
        keepalive_interval=timedelta(seconds=5),
        keepalive_count=4,
        application_name="crew",
    )
    wanted = {
        "statement_timeout": "71s",
        "lock_timeout": "7s",
        "idle_in_transaction_session_timeout": "3min",
        "application_name": "crew",
    }
    with catalog.snapshot() as connection:
        found = {name: connection.scalar(text(f"SHOW {name}")) for name in wanted}
        driver: Any = connection.connection.driver_connection
        told = driver.info.get_parameters()
    assert found == wanted
    assert (told["keepalives_idle"], told["keepalives_interval"]) == ("41", "5")
    assert (told["keepalives_count"], told["tcp_user_timeout"]) == ("4", "61000")
    raw = catalog.dialect.raw()
    assert {name: raw.execute(f"SHOW {name}").fetchone()[0] for name in wanted} == wanted
    raw.close()


def test_a_url_goes_before_the_settings(opened, url: str) -> None:
    """Who writes an option there means it; the others stay."""
    catalog = opened(
        f"{url}?application_name=mine&options=-c%20lock_timeout%3D9s&connect_timeout=3",
        connect_timeout=timedelta(seconds=8),
    )
    with catalog.snapshot() as connection:
        shown = [
            connection.scalar(text(f"SHOW {name}"))
            for name in ("application_name", "lock_timeout", "statement_timeout")
        ]
        driver: Any = connection.connection.driver_connection
        assert driver.info.get_parameters()["connect_timeout"] == "3"
    assert shown == ["mine", "9s", "2min"]


@pytest.mark.parametrize(
    ("settings", "threshold"),
    [({}, 5), ({"prepare_after": 2}, 2), ({"prepare_after": 0}, None)],
)
def test_statements_are_prepared_as_the_settings_say(opened, settings, threshold) -> None:
    """Or not at all."""
    raw = opened(**settings).dialect.raw()
    assert raw.prepare_threshold == threshold
    raw.close()


def test_what_takes_too_long_is_ended(opened) -> None:
    """And told to try again; nothing of it stays, and the connection goes on."""
    catalog = opened(statement_timeout=timedelta(milliseconds=200))

    def slow(transaction: Transaction) -> None:
        lay(transaction, 1)
        transaction.execute(text("SELECT pg_sleep(60)"))

    with pytest.raises(StorageError, match="took too long; nothing was changed"):
        catalog.write(slow)
    with pytest.raises(StorageError, match="took too long"), catalog.snapshot() as connection:
        connection.execute(text("SELECT pg_sleep(60)"))
    assert catalog.write(pid_of)


def test_a_lock_is_not_waited_for_without_end(opened, url: str) -> None:
    """Somebody's forgotten transaction does not stop the others for ever."""
    catalog = opened(lock_timeout=timedelta(milliseconds=200))
    with psycopg.connect(url) as other:
        other.execute("UPDATE house SET bricks = 5 WHERE id = 1")
        with pytest.raises(StorageError, match="took too long"):
            catalog.write(lambda t: lay(t, 1))
    catalog.write(lambda t: lay(t, 1))
    assert bricks(url) == [6, 0]


def test_an_idle_transaction_is_ended(opened, url: str) -> None:
    """The database does not wait for who has forgotten it; the work is done anew."""
    catalog = opened(idle_timeout=timedelta(milliseconds=300))
    tries: list[int] = []

    def forgetful(transaction: Transaction) -> None:
        lay(transaction, 1)
        tries.append(pid_of(transaction))
        if len(tries) == 1:
            gone = psycopg.connect(url, autocommit=True)
            while gone.execute(
                "SELECT 1 FROM pg_stat_activity WHERE pid = %s", [tries[0]]
            ).fetchone():
                time.sleep(0.05)
            gone.close()
        lay(transaction, 2)

    catalog.write(forgetful)
    assert (len(tries), bricks(url)) == (2, [1, 1])


def test_the_pool_is_bounded(opened) -> None:
    """Who finds no connection is told so in the end, and nobody else is disturbed."""
    catalog = opened(pool_size=1, pool_overflow=1, pool_wait=timedelta(milliseconds=200))
    with catalog.snapshot(), catalog.snapshot():
        with pytest.raises(StorageError, match="too busy"):
            catalog.write(pid_of)
        with pytest.raises(StorageError, match="too busy"), catalog.snapshot():
            pass
    assert catalog.write(pid_of)


def test_old_connections_are_replaced(opened) -> None:
    """After `pool_recycle`."""
    catalog = opened(pool_recycle=timedelta(milliseconds=1), pool_overflow=1)
    first = catalog.write(pid_of)
    time.sleep(0.01)
    assert catalog.write(pid_of) != first
    lasting = opened()
    assert lasting.write(pid_of) == lasting.write(pid_of)


def test_reading_connections_are_bounded_and_shared(opened, url: str) -> None:
    """Many threads, most of which end, share as many as there may be."""
    catalog = opened(read_connections=2)
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(lambda _: catalog.hot.version(), range(400))) == {1}
    with psycopg.connect(url) as server:
        count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'repocore'"
        assert server.execute(count).fetchone() in {(1,), (2,)}
    catalog.close()
    assert catalog.hot._opened == 0


def test_who_finds_no_reading_connection_is_told(opened) -> None:
    """After `pool_wait`, and who lets go is followed at once."""
    catalog = opened(read_connections=1, pool_wait=timedelta(milliseconds=100))
    taken = catalog.hot._take()
    with pytest.raises(StorageError, match="too busy"):
        catalog.hot.version()
    assert catalog.hot._run(taken, "SELECT 1", ()) == [(1,)]
    assert catalog.hot.version() == 1


def test_whoever_holds_names_leaves_connections_for_work(opened) -> None:
    """Otherwise those who make documents would wait for each other's connections."""
    catalog = opened(pool_size=2, pool_overflow=2)
    with catalog.single("a") as first, catalog.single("b") as second:
        assert (first, second) == (True, True)
        with catalog.single("c") as third:
            assert third is False
        assert catalog.write(pid_of)
    with catalog.single("c") as third:
        assert third is True


# -------------------------------------------------------------------------------- what is given up


def test_two_that_wait_for_each_other_both_come_through(opened, url: str) -> None:
    """PostgreSQL ends one of them, and it is run again."""
    catalog = opened()
    tries: list[int] = []
    met = threading.Barrier(2)

    def build(first: int, second: int) -> None:
        def work(transaction: Transaction) -> None:
            tries.append(first)
            lay(transaction, first)
            if tries.count(first) == 1:
                met.wait(20)
            lay(transaction, second)

        catalog.write(work)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(build, (1, 2), (2, 1)))
    assert bricks(url) == [2, 2]
    assert len(tries) == 3


def test_a_serialization_failure_is_run_again(opened, url: str) -> None:
    """Nobody's change is overwritten by what was read before it."""
    catalog = opened()
    tries: list[int] = []

    def work(transaction: Transaction) -> None:
        transaction.execute(text("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"))
        before = transaction.connection.scalar(text("SELECT bricks FROM house WHERE id = 1")) or 0
        tries.append(before)
        if len(tries) == 1:
            with psycopg.connect(url) as other:
                other.execute("UPDATE house SET bricks = 40 WHERE id = 1")
        transaction.execute(text(f"UPDATE house SET bricks = {before + 1} WHERE id = 1"))

    catalog.write(work)
    assert (tries, bricks(url)) == ([0, 40], [41, 0])


def test_it_is_not_run_again_for_ever(opened, url: str) -> None:
    """After `attempts`, it is told that nothing was changed."""
    catalog = opened(attempts=3)
    tries: list[int] = []

    def doomed(transaction: Transaction) -> None:
        lay(transaction, 1)
        tries.append(pid_of(transaction))
        terminate(url, tries[-1])
        lay(transaction, 1)

    with pytest.raises(StorageError, match="nothing was changed"):
        catalog.write(doomed)
    assert (len(tries), bricks(url)) == (3, [0, 0])


@pytest.mark.parametrize("last", [False, True], ids=["in the middle", "before the commit"])
def test_a_connection_that_is_ended_is_replaced(opened, url: str, last: bool) -> None:
    """Before the commit nothing has happened: the work is done anew, once."""
    catalog = opened()
    pids: list[int] = []

    def work(transaction: Transaction) -> str:
        lay(transaction, 1)
        pids.append(pid_of(transaction))
        if len(pids) == 1:
            terminate(url, pids[0])
        if not last:
            lay(transaction, 2)
        return "done"

    assert catalog.write(work) == "done"
    assert len(set(pids)) == 2
    assert bricks(url) == [1, 0 if last else 1]


def test_what_the_work_raises_is_raised(opened, url: str) -> None:
    """Once, also where the connection has gone by then."""
    catalog = opened()
    tries: list[int] = []

    def work(transaction: Transaction) -> None:
        lay(transaction, 1)
        tries.append(1)
        terminate(url, pid_of(transaction))
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        catalog.write(work)
    assert (len(tries), bricks(url)) == (1, [0, 0])
    assert catalog.write(pid_of)


def test_a_commit_without_an_answer_is_in_doubt(opened, url: str) -> None:
    """It has happened, or not: nobody says that nothing was changed, and it is not done twice."""
    address = make_url(url)
    with wire(int(address.port or 0)) as between:
        catalog = opened(
            address.set(port=between.port)
            .update_query_dict({"sslmode": "disable"})
            .render_as_string(hide_password=False)
        )
        assert catalog.write(pid_of)
        between.breaks = lambda data: b"COMMIT" in data
        with pytest.raises(StorageError, match="may be there or not"):
            catalog.write(lambda t: lay(t, 1))
        between.breaks = lambda _data: False
        assert between.cut == 1
        catalog.write(lambda t: lay(t, 2))
    assert bricks(url) == [1, 1]


# ------------------------------------------------------------------------------- the server is away


def test_reads_survive_the_end_of_their_connections(opened, url: str) -> None:
    """Of the pool, and of single statements: nobody gets an error."""
    catalog = opened()
    assert catalog.hot.version() == 1
    with psycopg.connect(url, autocommit=True) as server:
        ended = server.execute(
            "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity "
            "WHERE application_name = 'repocore' AND datname = current_database()"
        ).fetchone()
    assert ended == (1,)
    assert catalog.hot.version() == 1
    with catalog.snapshot() as connection:
        assert connection.scalar(text("SELECT version FROM access")) == 1


def test_whoever_was_alone_may_have_lost_that(opened, url: str) -> None:
    """The thing that was done is done; the name is free again."""
    catalog = opened()
    with catalog.single("seal") as alone:
        assert alone
        with psycopg.connect(url, autocommit=True) as server:
            server.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
                "WHERE application_name = 'repocore' AND datname = current_database()"
            )
    with catalog.single("seal") as alone:
        assert alone


def test_a_server_that_was_never_there_is_not_waited_for(opened, url: str) -> None:
    """Its address may be wrong: who starts is told at once."""
    nowhere = make_url(url).set(port=1).render_as_string(hide_password=False)
    with pytest.raises(ConfigurationError, match="cannot be opened; check `catalog`"):
        opened(nowhere, reconnect=timedelta(hours=1)).schema()
