"""PostgreSQL is stopped, crashes and comes back while a catalog in it is used."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import psycopg
import pytest
from postgres_cluster import Cluster, NoPostgresError, newest_binaries, restartable_cluster
from sqlalchemy import text

from repocore import StorageError
from repocore.catalog import Catalog, Transaction
from repocore.config import PostgresSettings

pytestmark = pytest.mark.postgres

LANES = 8


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A server that may be stopped; it forgets nothing that it has acknowledged."""
    wanted = os.environ.get("REPOCORE_TEST_POSTGRES")
    if wanted == "0":
        pytest.skip("REPOCORE_TEST_POSTGRES=0 leaves PostgreSQL out")
    try:
        binaries = newest_binaries()
    except NoPostgresError as problem:
        if wanted == "require":
            raise
        pytest.skip(str(problem))
    with restartable_cluster(binaries, synchronous_commit="on") as made:
        yield made


@pytest.fixture
def opened(cluster: Cluster, tmp_path: Path) -> Iterator[Callable[..., Catalog]]:
    """Opens catalogs on that server."""
    with psycopg.connect(cluster.url, autocommit=True) as server:
        server.execute("DROP TABLE IF EXISTS house")
        server.execute("CREATE TABLE house (id INTEGER PRIMARY KEY)")
    with contextlib.ExitStack() as stack:

        def open_it(**settings: Any) -> Catalog:
            catalog = Catalog(cluster.url, folder=tmp_path, postgres=PostgresSettings(**settings))
            stack.callback(catalog.close)
            catalog.migrate()
            return catalog

        yield open_it


def pid_of(transaction: Transaction) -> int:
    return int(transaction.connection.scalar(text("SELECT pg_backend_pid()")) or 0)


def test_a_server_that_stays_away_holds_up_nobody(opened, cluster: Cluster) -> None:
    """After `reconnect` requests fail at once, until it is back."""
    catalog = opened(reconnect=timedelta(milliseconds=300))
    assert catalog.hot.version() == 1
    cluster.stop()
    try:
        for _ in range(3):
            with pytest.raises(StorageError, match="nothing was changed"):
                catalog.write(pid_of)
            with pytest.raises(StorageError):
                catalog.hot.version()
            with pytest.raises(StorageError), catalog.snapshot():
                pass
        with pytest.raises(StorageError), catalog.single("seal"):
            pass
    finally:
        cluster.start()
    assert catalog.write(pid_of)
    assert catalog.hot.version() == 1


@pytest.mark.parametrize("ping", [True, False], ids=["tried before", "not tried"])
def test_the_first_after_a_restart_gets_no_error(opened, cluster: Cluster, ping: bool) -> None:
    """As many connections as there were are dead."""
    catalog = opened(pool_ping=ping)
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(catalog.snapshot()).execute(text("SELECT 1"))
    cluster.stop()
    cluster.start()
    assert catalog.write(pid_of)
    assert catalog.hot.version() == 1


@attrs.define
class Builders:
    """Threads that write without a pause, and what they were told."""

    catalog: Catalog
    acknowledged: list[int] = attrs.field(factory=list)
    doubtful: list[int] = attrs.field(factory=list)
    failed: list[BaseException] = attrs.field(factory=list)
    ended: threading.Event = attrs.field(factory=threading.Event)

    def build(self, lane: int) -> None:
        try:
            for number in range(lane, 1 << 30, LANES):
                if self.ended.is_set():
                    return
                self._write(number)
                assert self.catalog.hot.version() == 1
        except BaseException as error:  # noqa: BLE001 - told by the test
            self.failed.append(error)

    def _write(self, number: int) -> None:
        statement = text(f"INSERT INTO house VALUES ({number})")
        try:
            self.catalog.write(lambda transaction: bool(transaction.execute(statement)))
        except StorageError as error:
            if "may be there or not" not in str(error):
                raise
            self.doubtful.append(number)
        else:
            self.acknowledged.append(number)

    def await_more(self, count: int = 50) -> None:
        before = len(self.acknowledged)
        while len(self.acknowledged) < before + count and not self.failed:
            time.sleep(0.01)


@contextlib.contextmanager
def building(catalog: Catalog) -> Iterator[Builders]:
    builders = Builders(catalog)
    threads = [threading.Thread(target=builders.build, args=(lane,)) for lane in range(LANES)]
    for thread in threads:
        thread.start()
    try:
        yield builders
    finally:
        builders.ended.set()
        for thread in threads:
            thread.join(90)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["restart", "crash"])
def test_a_restart_under_load_loses_nothing(opened, cluster: Cluster, how) -> None:
    """Every write that was acknowledged is there once, and none was refused: at worst one does not
    know whether it is there.
    """
    catalog = opened(reconnect=timedelta(seconds=60), attempts=50)
    with building(catalog) as builders:
        for _ in range(2):
            builders.await_more()
            cluster.stop(how)
            cluster.start()
        builders.await_more()
    assert builders.failed == []
    with psycopg.connect(cluster.url) as server:
        there = {row[0] for row in server.execute("SELECT id FROM house")}
    assert {*builders.acknowledged} <= there
    assert there <= {*builders.acknowledged, *builders.doubtful}
    assert len(builders.doubtful) <= 2 * LANES
