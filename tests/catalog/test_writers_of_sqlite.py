"""Writers of one SQLite file: they share a commit, and nothing else."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, text

from repocore.catalog.writers import Writers


class House:
    """A table of words, whose first writer can be held until others queue behind it."""

    def __init__(self, folder: Path) -> None:
        self.commits = 0
        self.path = folder / "words.db"
        self.engine = create_engine("sqlite://", creator=self.connect)
        with self.engine.begin() as connection:
            connection.execute(text("CREATE TABLE words (word TEXT PRIMARY KEY)"))
        self.writers = Writers(self.engine, str(folder / "words.lock"))
        self.pool = ThreadPoolExecutor(8)

    def connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.set_trace_callback(self.count)
        return connection

    def count(self, statement: str) -> None:
        self.commits += statement == "COMMIT"

    def words(self) -> list[str]:
        with sqlite3.connect(self.path) as connection:
            return [word for (word,) in connection.execute("SELECT word FROM words ORDER BY 1")]

    def together(self, works: list[Callable[[Connection], object]]) -> list[Future[object]]:
        """Queue the works while a first writer has its turn; the futures of all but the first."""
        begun, go = threading.Event(), threading.Event()

        def first(_connection: Connection) -> None:
            begun.set()
            assert go.wait(30)

        held = self.pool.submit(self.writers.run, first)
        assert begun.wait(30)
        futures: list[Future[object]] = []
        for number, work in enumerate(works, 1):
            futures.append(self.pool.submit(self.writers.run, work))
            while len(self.writers._queue) < number:
                pass
        self.commits = 0
        go.set()
        held.result(30)
        return futures

    def close(self) -> None:
        self.pool.shutdown()
        self.writers.close()
        self.engine.dispose()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.close()


def adds(word: str) -> Callable[[Connection], str]:
    def work(connection: Connection) -> str:
        connection.execute(text("INSERT INTO words VALUES (:word)"), {"word": word})
        return word

    return work


def adds_and_raises(word: str, error: BaseException) -> Callable[[Connection], object]:
    def work(connection: Connection) -> object:
        adds(word)(connection)
        raise error

    return work


def test_those_that_wait_share_a_commit(house: House) -> None:
    """Whoever has its turn commits once for all that queue behind it; each gets its answer."""
    futures = house.together([adds(word) for word in "abcd"])
    assert [future.result(30) for future in futures] == list("abcd")
    assert house.words() == list("abcd")
    assert house.commits == 2  # the one that was held, and all the others


def test_failure_undoes_one_work_only(house: House) -> None:
    """What a work wrote before it failed is gone; its neighbours are in."""
    failing = adds_and_raises("b", KeyError("mine"))
    good, bad, other = house.together([adds("a"), failing, adds("c")])
    assert (good.result(30), other.result(30)) == ("a", "c")
    with pytest.raises(KeyError, match="mine"):
        bad.result(30)
    assert house.words() == ["a", "c"]


def test_failure_of_the_database_undoes_all(house: House) -> None:
    """Where SQLite gives the whole transaction up, nobody is told that it succeeded."""

    def gives_up(connection: Connection) -> None:
        connection.connection.driver_connection.execute("ROLLBACK")
        raise sqlite3.OperationalError("database or disk is full")

    futures = house.together([adds("a"), gives_up, adds("c")])
    for future in futures:
        with pytest.raises(sqlite3.OperationalError, match="full"):
            future.result(30)
    assert house.words() == []
    assert house.writers.run(adds("d")) == "d"


def test_failed_commit_undoes_all(house: House) -> None:
    """A commit that fails is a failure of each work in it."""
    with house.engine.begin() as connection:
        connection.execute(text("CREATE TABLE other (word TEXT REFERENCES words (word))"))
    house.writers.run(lambda connection: connection.execute(text("PRAGMA user_version=1")))
    kept = house.writers._connection
    assert kept is not None
    kept.connection.driver_connection.execute("PRAGMA foreign_keys=ON")

    def breaks(connection: Connection) -> None:
        connection.execute(text("PRAGMA defer_foreign_keys=ON"))
        connection.execute(text("INSERT INTO other VALUES ('nobody')"))

    for future in house.together([adds("a"), breaks]):
        with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
            future.result(30)
    assert house.words() == []
    assert house.writers.run(adds("b")) == "b"


class Stopped(BaseException):
    """As a signal's handler raises it."""


def test_interrupt_is_for_its_own_thread(house: House) -> None:
    """The others are told to try again; nothing of theirs is half there."""
    futures = house.together([adds("a"), adds_and_raises("b", Stopped())])
    errors = [future.exception(30) for future in futures]
    assert sorted(type(error).__name__ for error in errors) == ["Stopped", "StorageError"]
    assert house.words() == []
    assert house.writers.run(adds("c")) == "c"


def test_processes_take_turns(house: House, tmp_path: Path) -> None:
    """Another queue over the same file waits, and loses nothing."""
    other = Writers(house.engine, str(tmp_path / "words.lock"))
    both = [house.writers, other]
    futures = [house.pool.submit(both[n % 2].run, adds(f"{n:03}")) for n in range(100)]
    assert sorted(str(future.result(60)) for future in futures) == house.words()
    other.close()


def test_close_is_idempotent(house: House) -> None:
    """A closed queue can be closed again, and opens anew when it is used."""
    house.writers.run(adds("a"))
    house.writers.close()
    house.writers.close()
    house.writers.run(adds("b"))
    assert house.words() == ["a", "b"]


FORKING = """
import os, sys, threading
from pathlib import Path
from repocore.catalog import Catalog

def catalog():
    return Catalog("sqlite:///catalog.db", folder=Path(sys.argv[1]))

def bump(transaction):
    transaction.bump_access()

parent = catalog()
parent.migrate()
ended = threading.Event()

def work():
    while not ended.is_set():
        parent.write(bump)

threads = [threading.Thread(target=work, daemon=True) for _ in range(3)]
for thread in threads:
    thread.start()
for _ in range(15):
    child = os.fork()
    if child == 0:
        mine = catalog()
        mine.write(bump)
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
ended.set()
for thread in threads:
    thread.join()
parent.write(bump)
"""


def test_a_fork_in_the_middle_of_writing_leaves_a_child_that_can_write(tmp_path) -> None:
    """Whatever other threads were about: nothing of them is left in the child."""
    command = [sys.executable, "-c", FORKING, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")
