"""What SQLite and PostgreSQL do differently: all of it."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol, TypeVar

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Table,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import QueuePool
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import BigInteger

from repocore.catalog.postgresql import PostgreSQL
from repocore.catalog.writers import Writers
from repocore.config import PostgresSettings
from repocore.errors import ConfigurationError

__all__ = ["Dialect", "PostgreSQL", "SQLite", "now", "open_dialect"]

T = TypeVar("T")


class now(FunctionElement[int]):  # noqa: N801 - reads as the SQL function that it is
    """The database's clock at this moment, in microseconds since 1970."""

    type = BigInteger()
    inherit_cache = True


@compiles(now, "sqlite")
def _now_sqlite(_element: now, _compiler: Any, **_options: Any) -> str:
    return "repocore_now()"


@compiles(now, "postgresql")
def _now_postgresql(_element: now, _compiler: Any, **_options: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"


class Dialect(Protocol):
    """One database: its engine, its writers' lock, its raw connections, its upsert."""

    engine: Engine
    #: How raw statements mark a parameter.
    mark: str
    #: The records of releases as members of a JSON object, as bytes.  There are places for the
    #: name as it is to be, and for which of them it is about; its parameter goes before each time.
    joined: str
    #: What the driver raises.
    errors: tuple[type[Exception], ...]
    #: How many raw connections there are at most.
    readers: int

    def insert(self, table: Table, /) -> Any:
        """The INSERT that knows ON CONFLICT."""
        ...

    def write(self, work: Callable[[Connection], T], /) -> T:
        """Do the work in a write transaction: committed, or rolled back on what it raises."""
        ...

    def raw(self) -> Any:
        """A new DBAPI connection in autocommit, for hot statements."""
        ...

    def lost(self, connection: Any, /) -> bool:
        """Whether a raw connection is of no more use, and another may do better."""
        ...

    def migrating(self) -> AbstractContextManager[None]:
        """Be the only one in the installation who changes tables; whoever comes second waits."""
        ...

    def alter(self, work: Callable[[Connection], T], /) -> T:
        """Do work on tables in a transaction of its own, without holding up readers for long."""
        ...

    def unbound(self, connection: Connection, /) -> None:
        """Let the connection's transaction take as long as it takes."""
        ...

    def stream(
        self, connection: Connection, statement: str, parameters: tuple[Any, ...], chunk: int
    ) -> Iterator[Sequence[tuple[Any, ...]]]:
        """Run a query, its parameters marked ``?``; its rows in chunks that are read as needed.

        ``INDEXED BY`` an index is for SQLite, which keeps no statistics and would rather walk
        through a partition in the order of its rows.
        """
        ...

    def single(self, name: str) -> AbstractContextManager[bool]:
        """Try to be the only one in the installation that does a thing; False when it is taken."""
        ...

    def close(self) -> None:
        """Close every connection; idempotent."""
        ...


def open_dialect(
    url: str, clock: Callable[[], int] | None = None, postgres: PostgresSettings | None = None
) -> Dialect:
    """Open the database of a URL; raises `ConfigurationError` where it is none of ours."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        message = "`catalog` is not a database URL; write sqlite:///FILE or postgresql://…"
        raise ConfigurationError(message) from error
    match parsed.get_backend_name():
        case "sqlite":
            return SQLite(parsed, clock or _wall_clock)
        case "postgresql":
            return PostgreSQL(parsed, postgres or PostgresSettings())
        case other:
            message = f"`catalog` names {other!r}; the catalog lives in sqlite or postgresql."
            raise ConfigurationError(message)


def _wall_clock() -> int:
    return time.time_ns() // 1000


class SQLite:
    """A file; its writers queue in `Writers`."""

    mark = "?"
    joined = (
        "CAST(group_concat(json_quote({name}) || ':' || "
        "CAST(substr(record, 1, length(record) - 1) AS TEXT) || ? || (released_at / 1000) || '}}')"
        " {which} AS BLOB)"
    )
    errors: tuple[type[Exception], ...] = (sqlite3.Error,)
    readers = 256

    def __init__(self, url: URL, clock: Callable[[], int]) -> None:
        if not url.database or url.database == ":memory:":
            message = "`catalog` needs a file: several connections and processes share it."
            raise ConfigurationError(message)
        self._path = os.path.abspath(url.database)  # noqa: PTH100 - sqlite3 takes text
        self._clock = clock
        # It holds hashes and signing keys.  SQLite gives its other files the mode of this one.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self.engine = create_engine(
            "sqlite://", creator=self.raw, pool_size=20, max_overflow=-1, poolclass=QueuePool
        )
        event.listen(self.engine, "begin", _begin)
        self._writers = Writers(self.engine, f"{self._path}.lock")

    def raw(self) -> sqlite3.Connection:
        """A new connection in autocommit, with our clock and durable commits."""
        connection = sqlite3.connect(
            self._path,
            timeout=60,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        connection.create_function("repocore_now", 0, self._clock)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}").close()
        return connection

    def lost(self, connection: sqlite3.Connection, /) -> bool:
        """Whether a raw connection is of no more use: a file does not go away."""
        return False

    def insert(self, table: Table, /) -> Any:
        """The INSERT that knows ON CONFLICT."""
        return sqlite.insert(table)

    def migrating(self) -> AbstractContextManager[None]:
        """Writers are alone anyway."""
        return nullcontext()

    def alter(self, work: Callable[[Connection], T], /) -> T:
        """Do work on tables in a transaction of its own; readers see the file as it was."""
        return self._writers.run(work)

    def unbound(self, connection: Connection, /) -> None:
        """Nothing bounds a transaction."""

    def write(self, work: Callable[[Connection], T], /) -> T:
        """Do the work in a write transaction."""
        return self._writers.run(work)

    def stream(
        self, connection: Connection, statement: str, parameters: tuple[Any, ...], chunk: int
    ) -> Iterator[Sequence[tuple[Any, ...]]]:
        """Run a query; its rows in chunks that are read as needed."""
        driver: Any = connection.connection.driver_connection
        cursor = driver.execute(statement, parameters)
        try:
            while rows := cursor.fetchmany(chunk):
                yield rows
        finally:
            cursor.close()

    def close(self) -> None:
        """Close every connection; idempotent."""
        self._writers.close()
        self.engine.dispose()

    @contextmanager
    def single(self, name: str) -> Generator[bool]:
        """Whether nobody else does a thing of that name at the moment."""
        handle = os.open(f"{self._path}.{name}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(handle)  # and with it the lock


def _begin(connection: Connection) -> None:
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql("BEGIN")
