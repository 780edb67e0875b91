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
        with self._connection() as connection:
            done = self._done(connection)
            if done is not None and not self._missing(done):
                return ()
            connection.execute(_UNBOUND)
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [_CHANGING])
            done = self._done(connection)
            return self._make(connection) if done is None else self._advance(connection, done)

    def _make(self, connection: Any) -> Sequence[str]:
        connection.execute(SchemaManager.get_schema())
        connection.execute(_NOTES)
        self._note(connection, self._steps)
        return (_NEW,)

    def _advance(self, connection: Any, done: Collection[str]) -> Sequence[str]:
        missing = self._missing(done)
        lease = self._settings.jobs.lease.total_seconds()
        if connection.execute(_ALIVE, [lease]).fetchone()[0]:
            late = next((n for n, name in enumerate(missing) if _is_late(name)), len(missing))
            if any(not _is_late(name) for name in missing[late:]):
                message = (
                    "Workers of a version run whose queue is too old for this one; end them, and "
                    "run `repocore migrate`."
                )
                raise ConfigurationError(message)
            missing = missing[:late]
        for name in missing:
            connection.execute(self._steps[name].read_text(encoding="utf-8"))
        self._note(connection, missing)
        return missing

    def _missing(self, done: Collection[str]) -> list[str]:
        return [name for name in self._steps if name not in done]

    def _done(self, connection: Any) -> set[str] | None:
        """The steps that are done; None where there are no tables."""
        query = "SELECT to_regclass('repocore_procrastinate'), to_regclass('procrastinate_jobs')"
        noted, there = connection.execute(query).fetchone()
        if noted is None and there is None:
            return None
        if noted is None:
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
            with psycopg.connect(**connection_options(self._settings)) as connection:
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
