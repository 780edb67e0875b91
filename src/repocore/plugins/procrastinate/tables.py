"""The tables of the queue: procrastinate's own, beside those of the catalog.

Their names begin with ``procrastinate_``.  procrastinate notes nowhere which of its migrations were
done, so a table of ours does.  Each is either good beside workers of the version before (``pre``),
or to be done once those have ended (``post``).
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Generator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import psycopg
from procrastinate.schema import SchemaManager

from repocore.config import Settings
from repocore.errors import ConfigurationError, StorageError
from repocore.plugins.procrastinate.database import connection_options

__all__ = ["QueueTables"]

#: The advisory lock of whoever changes these tables; the same in every version.
_CHANGING: Final = 0x70726F63
_NEW: Final = "procrastinate"
_NOTES: Final = """
CREATE TABLE repocore_procrastinate (
  name TEXT COLLATE "C" PRIMARY KEY, done_at TIMESTAMPTZ NOT NULL DEFAULT now()
)
"""
#: Not by `to_regclass`, which may remember what was true before the lock was waited for.
_THERE: Final = """
SELECT relname FROM pg_class
WHERE relname IN ('procrastinate_jobs', 'repocore_procrastinate') AND pg_table_is_visible(oid)
"""
_NOTED: Final = "repocore_procrastinate"
_UNBOUND: Final = """
SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '0', true)
"""
_ALIVE: Final = """
SELECT EXISTS (
  SELECT FROM procrastinate_workers WHERE last_heartbeat > now() - make_interval(secs => %s)
)
"""


class QueueTables:
    """What is there of the tables, and what this version needs; connects where it is asked."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        folder = Path(SchemaManager.get_migrations_path())
        #: By name, which is their order.
        self._steps = {path.stem: path for path in sorted(folder.glob("*.sql"))}

    def pending(self) -> Sequence[tuple[str, str]]:
        """What `migrate` would do; raises `ConfigurationError` and `StorageError`."""
        told = f"procrastinate {version('procrastinate')}"
        with self._connection() as connection:
            done = self._done(connection)
        if done is None:
            return [(_NEW, f"The tables of the queue, by {told}.")]
        return [(name, f"A step of {told}.") for name in self._missing(done)]

    def require_current(self) -> None:
        """Raise `ConfigurationError` unless this version can work with what is there."""
        with self._connection() as connection:
            done = self._done(connection)
        if done is None or any(not _is_late(name) for name in self._missing(done)):
            message = "The tables of the queue are missing or old; run `repocore migrate`."
            raise ConfigurationError(message)

    def migrate(self) -> Sequence[str]:
        """Make the tables, or do what they lack; the names of what was done.

        Idempotent, also when several processes start at once.  What is for later waits until nobody
        works.  Raises `ConfigurationError` where the tables are not for us, and `StorageError`.
        """
        made: list[str] = []
        with self._connection() as connection:
            done = self._done(connection)
            if done is not None and not self._missing(done):
                return ()
            # Each by itself: a step may use what the one before has added to a type.
            while True:
                with connection.transaction():
                    name = self._step(connection)
                if name is None:
                    return made
                made.append(name)

    def _step(self, connection: Any) -> str | None:
        connection.execute(_UNBOUND)
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_CHANGING])
        done = self._done(connection)
        if done is None:
            connection.execute(SchemaManager.get_schema())
            connection.execute(_NOTES)
            self._note(connection, self._steps)
            return _NEW
        missing = self._missing(done)
        if not missing or (_is_late(missing[0]) and self._has_to_wait(connection, missing)):
            return None
        connection.execute(self._steps[missing[0]].read_text(encoding="utf-8"))
        self._note(connection, missing[:1])
        return missing[0]

    def _has_to_wait(self, connection: Any, missing: Sequence[str]) -> bool:
        lease = self._settings.jobs.lease.total_seconds()
        alive = connection.execute(_ALIVE, [lease]).fetchone()[0]
        if alive and not all(_is_late(name) for name in missing):
            message = (
                "Workers of a version run whose queue is too old for this one; end them, and run "
                "`repocore migrate`."
            )
            raise ConfigurationError(message)
        return alive

    def _missing(self, done: Collection[str]) -> list[str]:
        return [name for name in self._steps if name not in done]

    def _done(self, connection: Any) -> set[str] | None:
        """The steps that are done; None where there are no tables."""
        there = {row[0] for row in connection.execute(_THERE)}
        if not there:
            return None
        if _NOTED not in there:
            message = (
                "The catalog's database has tables of a procrastinate that is not repocore's; give "
                "the catalog a database of its own."
            )
            raise ConfigurationError(message)
        done = {row[0] for row in connection.execute("SELECT name FROM repocore_procrastinate")}
        if any(_is_late(name) for name in done - self._steps.keys()):
            message = "The queue is of a newer procrastinate; install that version or a later one."
            raise ConfigurationError(message)
        return done

    @staticmethod
    def _note(connection: Any, names: Collection[str]) -> None:
        statement = "INSERT INTO repocore_procrastinate (name) SELECT unnest(%s::text[])"
        connection.execute(statement, [list(names)])

    @contextlib.contextmanager
    def _connection(self) -> Generator[Any]:
        try:
            with psycopg.connect(
                **connection_options(self._settings), autocommit=True
            ) as connection:
                yield connection
        except psycopg.errors.InsufficientPrivilege as error:
            message = (
                "This role of the database may not make the tables of the queue; run "
                "`repocore migrate` with the `catalog` of their owner."
            )
            raise ConfigurationError(message) from error
        except psycopg.Error as error:
            raise StorageError from error


def _is_late(name: str) -> bool:
    return "_post_" in name
