"""Writers of one SQLite file: those that wait for their turn share a transaction.

A commit costs two writes to the disk whatever is in it, and another process's commit empties our
page cache.  So whoever has its turn also does the work of those that queue behind it in this
process, each inside a savepoint of its own, and commits once for all.  Nobody is told of success
before that commit.
"""

from __future__ import annotations

import collections
import contextlib
import fcntl
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs
from sqlalchemy import Connection, Engine

from repocore.errors import StorageError

__all__ = ["Writers"]

#: A bound on how long a transaction grows, and other processes wait.
_TOGETHER: Final = 16

#: Seconds that a fork waits for a transaction to end.
_PATIENCE: Final = 10.0

Work = Callable[[Connection], Any]
#: The queues of this process.
_EVERY: weakref.WeakSet[Writers] = weakref.WeakSet()
_held: list[threading.Lock] = []


@attrs.define(eq=False)
class _Turn:
    work: Work
    answer: Any = None
    error: BaseException | None = None
    done: bool = False


class Writers:
    """The queue of a process; between processes, a lock on a file decides.

    SQLite's own busy time-out is no queue: under load one process starves another.  It stays as
    the last resort for programs that do not know the lock.
    """

    def __init__(self, engine: Engine, lock_file: str) -> None:
        self._engine = engine
        self._lock_file = os.open(lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # Not in `close`, after which a writer may still come: it would lock another's descriptor.
        weakref.finalize(self, os.close, self._lock_file)
        self._queue: collections.deque[_Turn] = collections.deque()
        #: Held by whoever writes.
        self.mutex = threading.Lock()
        # One for all: to check a connection out, reset it and give it back takes longer than a
        # small transaction.
        self._connection: Connection | None = None
        _EVERY.add(self)

    def run(self, work: Work) -> Any:
        """Do the work in a transaction and return its answer, once it is committed.

        What it raises undoes it, and nobody else's work.
        """
        turn = _Turn(work)
        self._queue.append(turn)
        try:
            with self.mutex:
                # Somebody before us may have done it already.
                while not turn.done:
                    self._run_some()
        finally:
            if not turn.done:  # interrupted: nobody is to do it later
                with contextlib.suppress(ValueError):
                    self._queue.remove(turn)
        if turn.error is not None:
            raise turn.error
        return turn.answer

    def close(self) -> None:
        """Close the connection; idempotent."""
        with self.mutex:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _run_some(self) -> None:
        fcntl.flock(self._lock_file, fcntl.LOCK_EX)
        try:
            count = min(len(self._queue), _TOGETHER)
            turns = [self._queue.popleft() for _ in range(count)]
            try:
                self._run_together(turns)
            finally:
                for turn in turns:
                    turn.done = True
        finally:
            fcntl.flock(self._lock_file, fcntl.LOCK_UN)

    def _run_together(self, turns: Sequence[_Turn]) -> None:
        if self._connection is None:
            opened = self._engine.connect()
            self._connection = opened.execution_options(isolation_level="AUTOCOMMIT")
        connection = self._connection
        driver: Any = connection.connection.driver_connection
        try:
            driver.execute("BEGIN IMMEDIATE")
            if len(turns) == 1:
                turns[0].answer = turns[0].work(connection)
            else:
                for turn in turns:
                    _run_apart(driver, connection, turn)
            driver.execute("COMMIT")
        except BaseException as error:
            # Some failures, a full disk among them, have SQLite roll back by itself.
            if driver.in_transaction:
                driver.execute("ROLLBACK")
            for turn in turns:
                turn.error = turn.error or _told(error)
            if not isinstance(error, Exception):
                raise


def _run_apart(driver: Any, connection: Connection, turn: _Turn) -> None:
    driver.execute("SAVEPOINT turn")
    try:
        turn.answer = turn.work(connection)
    except Exception as error:
        if not driver.in_transaction:
            raise  # and with it goes the work of all
        driver.execute("ROLLBACK TO turn")
        turn.error = error
    driver.execute("RELEASE turn")


def _told(error: BaseException) -> Exception:
    if isinstance(error, Exception):
        return error
    # An interrupt is for the thread that it was sent to.
    message = "The server was stopped in the middle of the change; nothing was changed. Try again."
    return StorageError(message)


def _hold() -> None:
    """Let no transaction be in the middle when the process forks.

    SQLite notes in memory who holds its locks.  A child would have that note and not the thread
    that could let go of them, and never write again.
    """
    # The thread that forks may itself be in the middle of one; then nothing can be done.
    found = [writers.mutex for writers in list(_EVERY)]
    _held.extend(mutex for mutex in found if mutex.acquire(timeout=_PATIENCE))


def _free() -> None:
    while _held:
        _held.pop().release()


os.register_at_fork(before=_hold, after_in_parent=_free, after_in_child=_free)
