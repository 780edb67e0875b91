"""The hot path: at most ten hand-written statements, each on its thread's own connection.

They skip SQLAlchemy because it would cost more than the query.  Each answers with the access
version beside its rows, so that one round trip also tells whether what a process remembers of
accounts, rules and repositories still holds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["Answer", "Hot"]

#: The access version, and rows.
Answer = tuple[int, Sequence[Sequence[Any]]]

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

_FILE = """
SELECT a.version, f.digest, f.size, f.partition, f.release, f.media_type, f.mutable,
       f.created_at, f.created_by, b.generation
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
       f.created_at, f.created_by, b.generation
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
    """The statements, bound to a database."""

    def __init__(self, connect: Callable[[], Any], mark: str) -> None:
        self._connect = connect
        self._local = threading.local()
        self._opened: list[Any] = []
        self._lock = threading.Lock()
        texts = (_VERSION, _LATEST, _RELEASES, _FILE, _FILES, _DOCUMENT, _OVERVIEW)
        marked = (statement.replace("?", mark) for statement in texts)
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
        """Close the connections of every thread; idempotent."""
        with self._lock:
            opened, self._opened = self._opened, []
            self._local = threading.local()
        for connection in opened:
            connection.close()

    def _ask(self, statement: str, parameters: tuple[Any, ...]) -> Answer:
        rows = self._all(statement, parameters)
        # The outer join answers with nulls where there is nothing but the version.
        return rows[0][0], [] if rows[0][1] is None else [row[1:] for row in rows]

    def _all(self, statement: str, parameters: tuple[Any, ...]) -> list[Any]:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            return self._open().execute(statement, parameters).fetchall()
        try:
            return connection.execute(statement, parameters).fetchall()
        except Exception:  # noqa: BLE001 - whatever the driver raises when its server went away
            # A restarted server leaves dead connections behind; a read may be repeated.
            self._forget(connection)
            return self._open().execute(statement, parameters).fetchall()

    def _open(self) -> Any:
        connection = self._connect()
        self._local.connection = connection
        with self._lock:
            self._opened.append(connection)
        return connection

    def _forget(self, connection: Any) -> None:
        with self._lock:
            if connection in self._opened:
                self._opened.remove(connection)
        connection.close()
