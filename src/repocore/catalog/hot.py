"""The hot path: at most ten hand-written statements, on connections of their own.

They skip SQLAlchemy because it would cost more than the query.  Each answers with the access
version beside its rows, so that one round trip also tells whether what a process remembers of
accounts, rules and repositories still holds.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

from repocore.catalog.dialects import Dialect
from repocore.catalog.faults import PoolTimeoutError, storage_error

__all__ = ["Answer", "Hot"]

#: The access version, and rows.
Answer = tuple[int, Sequence[Sequence[Any]]]

#: How often a statement is asked whose connection is lost.
_TRIES: Final = 3

_VERSION = "SELECT version FROM access"

_LATEST = """
SELECT a.version, r.name, r.released_at FROM access a
LEFT JOIN (
  SELECT name, released_at FROM releases WHERE repository_id = ? AND partition = ?
  AND released_at IS NOT NULL AND removed_at IS NULL AND yanked_at IS NULL
  ORDER BY serial DESC LIMIT 1) r ON TRUE
"""

_RELEASES = """
SELECT a.version, r.name, r.released_at, r.serial FROM access a
LEFT JOIN releases r ON r.repository_id = ? AND r.partition = ?
 AND r.released_at IS NOT NULL AND r.removed_at IS NULL AND r.yanked_at IS NULL
ORDER BY r.serial DESC
"""

# What is in quarantine is read from NOWHERE (`repocore.model.digest`) until somebody brings it.
_FILE = """
SELECT a.version, f.digest, f.size, f.partition, f.release, f.media_type, f.mutable,
       f.created_at, f.created_by,
       CASE WHEN b.stored_at IS NULL THEN '0000000000000000' ELSE b.generation END
FROM access a
LEFT JOIN files f ON f.repository_id = ? AND f.path = ?
 AND (f.release IS NULL OR EXISTS (
   SELECT 1 FROM releases r WHERE r.repository_id = f.repository_id
   AND r.partition = f.partition AND r.name = f.release
   AND r.released_at IS NOT NULL AND r.removed_at IS NULL))
LEFT JOIN blobs b ON b.digest = f.digest
"""

_FILES = """
SELECT a.version, f.path, f.digest, f.size, f.partition, f.release, f.media_type, f.mutable,
       f.created_at, f.created_by,
       CASE WHEN b.stored_at IS NULL THEN '0000000000000000' ELSE b.generation END
FROM access a
LEFT JOIN releases r ON r.repository_id = ? AND r.partition = ? AND r.name = ?
 AND r.released_at IS NOT NULL AND r.removed_at IS NULL
LEFT JOIN files f ON f.repository_id = r.repository_id AND f.partition = r.partition
 AND f.release = r.name
LEFT JOIN blobs b ON b.digest = f.digest
ORDER BY f.path
"""


_DOCUMENT = """
SELECT a.version, p.serial, g.serial, g.variant, d.digest, d.size, d.media_type, d.made_at,
       d.generation, d.content, d.immutable
FROM access a
LEFT JOIN partitions p ON p.repository_id = ? AND p.name = ?
LEFT JOIN generations g ON g.repository_id = ? AND g.partition = ? AND g.kind = ?
LEFT JOIN documents d ON d.repository_id = ? AND d.path = ?
"""

_OVERVIEW = _DOCUMENT.replace(
    "LEFT JOIN partitions p ON p.repository_id = ? AND p.name = ?",
    """LEFT JOIN (
  SELECT CAST(SUM(serial) AS BIGINT) AS serial FROM partitions
  WHERE repository_id = ? AND name <> ?) p ON TRUE""",
)


class Hot:
    """The statements, bound to a database.

    They share a few connections, of which a thread has one for as long as its statement runs: the
    last one that came back first, so that it has prepared what is asked.
    """

    def __init__(self, dialect: Dialect, patience: float) -> None:
        self._dialect = dialect
        self._patience = patience
        #: Those that nobody uses at the moment.
        self._free: list[Any] = []
        self._closed = False
        # These two are changed by whoever holds the next.
        self._opened = self._waiting = 0
        self._turn = threading.Condition()
        texts = (_VERSION, _LATEST, _RELEASES, _FILE, _FILES, _DOCUMENT, _OVERVIEW)
        marked = (statement.replace("?", dialect.mark) for statement in texts)
        (self._version, self._latest, self._releases, self._file, self._files, *rest) = marked
        self._document, self._overview = rest

    def version(self) -> int:
        """The access version."""
        return self._all(self._version, ())[0][0]

    def latest(self, repository: int, partition: str) -> Answer:
        """(name, released_at) of the newest listed release of a partition."""
        return self._ask(self._latest, (repository, partition))

    def releases(self, repository: int, partition: str) -> Answer:
        """(name, released_at, serial) of each listed release of a partition, newest first."""
        return self._ask(self._releases, (repository, partition))

    def file(self, repository: int, path: str) -> Answer:
        """The columns of `rows.file_of` for a visible file."""
        return self._ask(self._file, (repository, path))

    def files(self, repository: int, partition: str, release: str) -> Answer:
        """The path and the columns of `rows.file_of` for each file of a visible release."""
        return self._ask(self._files, (repository, partition, release))

    def document(self, repository: int, partition: str, kind: str, path: str) -> Answer:
        """One row: the partition's serial, the serial and variant of its generation of that kind,
        and (digest, size, media type, made_at, generation, content, immutable) of the document at
        the path; nulls for what there is not.  Of the partition ``""``, the sum of all serials.
        """
        statement = self._document if partition else self._overview
        named = (repository, partition, repository, partition, kind, repository, path)
        rows = self._all(statement, named)
        return rows[0][0], [rows[0][1:]]

    def close(self) -> None:
        """Close every connection; one that is in use, once it is not.  Idempotent."""
        self._closed = True
        self._drop()

    def _ask(self, statement: str, parameters: tuple[Any, ...]) -> Answer:
        rows = self._all(statement, parameters)
        # The outer join answers with nulls where there is nothing but the version.
        return rows[0][0], [] if rows[0][1] is None else [row[1:] for row in rows]

    def _all(self, statement: str, parameters: tuple[Any, ...]) -> list[Any]:
        """Every row; a read is repeated where its connection was lost.  Raises `StorageError`."""
        for _ in range(_TRIES - 1):
            connection = self._take()
            try:
                return self._run(connection, statement, parameters)
            except self._dialect.errors as error:
                if not self._dialect.lost(connection):
                    raise storage_error(error) from error
                self._drop()  # a restart has left dead connections behind
        try:
            return self._run(self._take(), statement, parameters)
        except self._dialect.errors as error:
            raise storage_error(error) from error

    def _run(self, connection: Any, statement: str, parameters: tuple[Any, ...]) -> list[Any]:
        try:
            rows = connection.execute(statement, parameters).fetchall()
        except BaseException:
            self._close(connection)  # nobody knows in which state it is
            raise
        self._free.append(connection)
        if self._waiting:
            with self._turn:
                self._turn.notify()
        if self._closed:
            self._drop()
        return rows

    def _take(self) -> Any:
        # Without the lock: both ways of a list's end are one step of the interpreter.
        try:
            return self._free.pop()
        except IndexError:
            pass
        free = self._wait()
        if free is not None:
            return free
        try:
            return self._dialect.raw()
        except BaseException as error:
            self._closed_one()
            if isinstance(error, self._dialect.errors):
                raise storage_error(error) from error
            raise

    def _wait(self) -> Any:
        """A connection that has become free, or None: another one may be opened."""
        until = time.monotonic() + self._patience
        with self._turn:
            self._waiting += 1
            try:
                while True:
                    with contextlib.suppress(IndexError):
                        return self._free.pop()
                    if self._opened < self._dialect.readers:
                        self._opened += 1
                        return None
                    if not self._turn.wait(max(0, until - time.monotonic())):
                        raise storage_error(PoolTimeoutError("no connection became free"))
            finally:
                self._waiting -= 1

    def _drop(self) -> None:
        with contextlib.suppress(IndexError):
            while True:
                self._close(self._free.pop())

    def _close(self, connection: Any) -> None:
        connection.close()
        self._closed_one()

    def _closed_one(self) -> None:
        with self._turn:
            self._opened -= 1
            self._turn.notify()
