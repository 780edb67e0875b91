"""The opened catalog: its transactions and its migrations."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from repocore.catalog import schema
from repocore.catalog.dialects import Dialect, open_dialect
from repocore.catalog.faults import DoubtError, GivenUpError, PoolTimeoutError, storage_error
from repocore.catalog.hot import Hot
from repocore.catalog.schema import HEAD, Schema
from repocore.catalog.transactions import SERVER, Transaction
from repocore.config import PostgresSettings
from repocore.errors import ConfigurationError
from repocore.model import Origin

__all__ = ["HEAD", "Catalog"]

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Catalog:
    """A database with our tables; one for a registry.

    ``postgres`` bounds the connections to a database of that kind.  Raises `ConfigurationError`
    where the URL is not usable.
    """

    def __init__(
        self,
        url: str,
        *,
        folder: Path,
        clock: Callable[[], int] | None = None,
        postgres: PostgresSettings | None = None,
    ) -> None:
        postgres = postgres or PostgresSettings()
        self._dialect = open_dialect(_absolute(url, folder), clock, postgres)
        #: Whether events are kept for listeners.
        self.listened = False
        #: Whether changes are recorded; asked with each transaction.
        self.recorded: Callable[[], bool] = lambda: True
        #: Entered, with a name, around each transaction; for those who measure.
        self.span: Callable[[str], AbstractContextManager[object]] = _unwatched
        self.hot = Hot(self._dialect, postgres.pool_wait.total_seconds())

    def write(self, work: Callable[[Transaction], T], origin: Origin = SERVER) -> T:
        """Run the work in a transaction: all of it is committed, or an exception undoes it.

        The records of what it changes say that it comes from the origin.

        A transaction that the database gave up for another's sake, or whose connection broke
        before the commit, is run again, so the work must change nothing but the catalog.  Raises
        `StorageFullError` or `StorageError` where the database cannot, and `StorageError` where
        the connection broke at the commit: then nobody knows.
        """
        with self._failing(), self.span("write"):
            return self._dialect.write(
                lambda connection: work(
                    Transaction(connection, self._dialect, self.listened, origin, self.recorded())
                )
            )

    @contextmanager
    def _failing(self) -> Generator[None]:
        """Say what the database's errors mean."""
        try:
            yield
        except (GivenUpError, DBAPIError) as error:
            cause = error.__cause__ if isinstance(error, GivenUpError) else error
            raise storage_error(cause.orig if isinstance(cause, DBAPIError) else cause) from error
        except (DoubtError, PoolTimeoutError, *self._dialect.errors) as error:
            raise storage_error(error) from error

    @property
    def dialect(self) -> Dialect:
        """The database, for queries that run by its driver."""
        return self._dialect

    @contextmanager
    def snapshot(self) -> Generator[Connection]:
        """Read: every query of the block sees the same state.

        Raises `StorageError` where the database cannot.
        """
        engine = self._dialect.engine
        options: dict[str, Any] = {}
        if engine.dialect.name == "postgresql":
            options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with (
            self._failing(),
            self.span("snapshot"),
            engine.connect().execution_options(**options) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def single(self, name: str) -> Generator[bool]:
        """Whether this is the only one in the installation that now does a thing of that name."""
        with self._failing(), self._dialect.single(name) as alone:
            yield alone

    def migrate(self, each: Callable[[str], object] = str) -> None:
        """Bring the tables to this version's schema; does nothing where they are.  Idempotent,
        also when several processes start at once, and readable meanwhile.

        ``each`` is told of every revision that is done.  Raises `ConfigurationError` where the
        schema is newer and not for us, and `StorageError`.
        """
        if self.schema().is_current:
            return
        with self._failing(), self._dialect.migrating():
            while done := self._dialect.alter(schema.step):
                each(done)

    def build(self, work: Callable[[Connection], T]) -> T:
        """Do work on the tables themselves in one transaction, nobody else being at it.

        Raises what the work raises, and `StorageError`.
        """
        with self._failing(), self._dialect.migrating():
            return self._dialect.alter(work)

    def require_current(self) -> None:
        """Raise `ConfigurationError` unless the tables are as this version needs them."""
        found = self.schema()
        if not found.is_current:
            self.close()
            raise ConfigurationError(found.advice)

    def schema(self) -> Schema:
        """What the tables are like.

        Raises `ConfigurationError` where the database cannot be opened, and where the schema is
        newer and not for us; nothing of it is open then.
        """
        try:
            with self._dialect.engine.connect() as connection:
                found = schema.read(connection)
            found.check()
        except ConfigurationError:
            self.close()
            raise
        except DBAPIError as error:
            self.close()
            _log.error("catalog: %s", error.orig)
            message = "The catalog's database cannot be opened; check `catalog` in the settings."
            raise ConfigurationError(message) from error
        return found

    def pending(self) -> Sequence[schema.Revision]:
        """What `migrate` would do, in order."""
        return schema.pending(self.schema())

    def close(self) -> None:
        """Close every connection; idempotent."""
        self.hot.close()
        self._dialect.close()


_UNWATCHED: AbstractContextManager[object] = nullcontext()


def _unwatched(_name: str) -> AbstractContextManager[object]:
    return _UNWATCHED


def _absolute(url: str, folder: Path) -> str:
    prefix = "sqlite:///"
    if url.startswith(prefix) and url.removeprefix(prefix) not in {"", ":memory:"}:
        path = folder / url.removeprefix(prefix)
        path.parent.mkdir(parents=True, exist_ok=True)
        return f"{prefix}{path}"
    return url
