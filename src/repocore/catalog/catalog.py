"""The opened catalog: its transactions and its migrations."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError, OperationalError

from repocore.catalog.dialects import Dialect, open_dialect
from repocore.catalog.hot import Hot
from repocore.catalog.transactions import SERVER, Transaction
from repocore.errors import ConfigurationError, StorageError, StorageFullError
from repocore.model import Origin

__all__ = ["HEAD", "Catalog"]

_log = logging.getLogger(__name__)

#: The newest revision in ``migrations/versions``.
HEAD = "0006"
_MIGRATING = 0x7265706F
#: PostgreSQL ends one of two transactions that wait for each other.
_GIVEN_UP = frozenset({"40P01", "40001"})
_ATTEMPTS = 5

T = TypeVar("T")


class Catalog:
    """A database with our tables; one for a registry.

    Raises `ConfigurationError` where the URL is not usable or the schema is newer than we are.
    """

    def __init__(self, url: str, *, folder: Path, clock: Callable[[], int] | None = None) -> None:
        self._dialect = open_dialect(_absolute(url, folder), clock)
        #: Whether events are kept for listeners.
        self.listened = False
        self.hot = Hot(self._dialect.raw, self._dialect.mark)

    def write(self, work: Callable[[Transaction], T], origin: Origin = SERVER) -> T:
        """Run the work in a transaction: all of it is committed, or an exception undoes it.

        The records of what it changes say that it comes from the origin.

        A transaction that the database gave up for another's sake is run again, so the work must
        change nothing but the catalog.  Raises `StorageFullError` or `StorageError` where the
        database cannot.
        """
        for attempt in range(_ATTEMPTS):
            try:
                return self._dialect.write(
                    lambda connection: work(
                        Transaction(connection, self._dialect, self.listened, origin)
                    )
                )
            except (DBAPIError, *self._dialect.errors) as error:
                cause = error.orig if isinstance(error, DBAPIError) else error
                again = getattr(cause, "sqlstate", None) in _GIVEN_UP
                if not again or attempt == _ATTEMPTS - 1:
                    raise _storage_error(cause) from error
        raise AssertionError

    @property
    def dialect(self) -> Dialect:
        """The database, for queries that run by its driver."""
        return self._dialect

    @contextmanager
    def snapshot(self) -> Generator[Connection]:
        """Read: every query of the block sees the same state."""
        engine = self._dialect.engine
        options: dict[str, Any] = {}
        if engine.dialect.name == "postgresql":
            options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with engine.connect().execution_options(**options) as connection, connection.begin():
            yield connection

    @contextmanager
    def single(self, name: str) -> Generator[bool]:
        """Whether this is the only one in the installation that now does a thing of that name."""
        with self._dialect.single(name) as alone:
            yield alone

    def migrate(self) -> None:
        """Bring the tables to this version's schema; does nothing where they are.  Idempotent,
        also when several processes start at once.
        """
        if self._revision() == HEAD:
            return
        # Alembic costs a fifth of a second; only a new or an older catalog pays it.
        from repocore.catalog.migrations.run import known, upgrade  # noqa: PLC0415

        def work(connection: Connection) -> None:
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATING})"))
            current = self._revision(connection)
            if current is not None and not known(current):
                message = (
                    f"The catalog was written by a newer repocore (schema {current}); "
                    "install that version or a later one."
                )
                raise ConfigurationError(message)
            upgrade(connection)

        self._dialect.write(work)

    def _revision(self, connection: Connection | None = None) -> str | None:
        if connection is None:
            try:
                with self._dialect.engine.connect() as opened:
                    return self._revision(opened)
            except OperationalError as error:
                message = (
                    "The catalog's database cannot be opened; check `catalog` in the settings."
                )
                raise ConfigurationError(message) from error
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.scalar(text("SELECT version_num FROM alembic_version"))

    def close(self) -> None:
        """Close every connection; idempotent."""
        self.hot.close()
        self._dialect.close()


def _absolute(url: str, folder: Path) -> str:
    prefix = "sqlite:///"
    if url.startswith(prefix) and url.removeprefix(prefix) not in {"", ":memory:"}:
        path = folder / url.removeprefix(prefix)
        path.parent.mkdir(parents=True, exist_ok=True)
        return f"{prefix}{path}"
    return url


def _storage_error(error: BaseException | None) -> StorageError:
    reason = str(error)
    _log.error("catalog: %s", reason)
    cause = getattr(error, "__cause__", None)
    full = isinstance(cause, OSError) and cause.errno == errno.ENOSPC
    if full or "is full" in reason or "No space left" in reason:
        return StorageFullError()
    message = "The catalog's database failed; nothing was changed. Try again."
    return StorageError(message)
