"""A catalog in PostgreSQL: its connections, and what becomes of transactions that it gives up."""

from __future__ import annotations

import itertools
import math
import re
import select
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final, TypeVar, cast

from sqlalchemy import URL, Connection, Table, create_engine, func, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError, NoSuchModuleError

from repocore.catalog.faults import DoubtError, GivenUpError, pauses
from repocore.config import PostgresSettings
from repocore.errors import ConfigurationError

__all__ = ["PostgreSQL"]

T = TypeVar("T")

_CURSORS = itertools.count(1)
_INDEXED_BY = re.compile(r" INDEXED BY \w+")

#: A serialization failure, and one of two transactions that wait for each other.
_GIVEN_UP: Final = frozenset({"40001", "40P01"})
#: A lock that could not be had in time.
_LOCKED: Final = "55P03"
#: The advisory lock of whoever migrates; the same in every version, so that they exclude each
#: other.
_MIGRATING: Final = 0x7265706F
#: How long a migration waits for a table that somebody reads: whoever comes after it waits too.
_LOCK_WAIT: Final = "2s"
#: Seconds between two attempts to get at it, and how many there are.
_LOCK_PAUSE: Final = 1.0
_LOCK_ATTEMPTS: Final = 30
#: Seconds for which one waits to be one of those who hold a name.
_SINGLE_WAIT: Final = 1.0
_UNBOUND: Final = """
SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '0', true),
       set_config('idle_in_transaction_session_timeout', '0', true)
"""


class PostgreSQL:
    """A server; rows lock themselves."""

    mark = "%s"
    joined = (
        "convert_to(string_agg(to_json({name})::text || ':' || "
        "convert_from(substring(record FOR length(record) - 1), 'UTF8') || ?::text || "
        "(released_at / 1000)::text || '}}', ',' ORDER BY name) {which}, 'UTF8')"
    )
    errors: tuple[type[Exception], ...]

    def __init__(self, url: URL, settings: PostgresSettings) -> None:
        url = url.set(drivername="postgresql+psycopg")
        self._settings = settings
        try:
            self.engine = create_engine(
                url,
                creator=self._connect,
                pool_size=settings.pool_size,
                max_overflow=settings.pool_overflow,
                pool_timeout=settings.pool_wait.total_seconds(),
                pool_recycle=settings.pool_recycle.total_seconds(),
                pool_pre_ping=settings.pool_ping,
            )
        except (NoSuchModuleError, ImportError) as error:
            message = "PostgreSQL needs the extra: pip install 'repocore[postgres]'."
            raise ConfigurationError(message) from error
        self._driver = cast("Any", self.engine.dialect).dbapi
        self.errors = (self._driver.Error,)
        #: How many connections statements of one step have beside the pool.
        self.readers = settings.read_connections
        #: Whoever holds a name may need another connection: half of them are left for that.
        self._singles = threading.BoundedSemaphore(
            (settings.pool_size + settings.pool_overflow) // 2
        )
        self._outage = _Outage(settings.reconnect.total_seconds())
        self._arguments, self._options = self._parameters(url)

    def _parameters(self, url: URL) -> tuple[Any, dict[str, Any]]:
        """What the driver is told; what the URL says goes before the settings."""
        settings = self._settings
        arguments, given = self.engine.dialect.create_connect_args(url)
        silence = settings.keepalive + settings.keepalive_count * settings.keepalive_interval
        options: dict[str, Any] = {
            "connect_timeout": _seconds(settings.connect_timeout),
            "keepalives_idle": _seconds(settings.keepalive),
            "keepalives_interval": _seconds(settings.keepalive_interval),
            "keepalives_count": settings.keepalive_count,
            # The same patience where something was sent and nobody says that it has arrived.
            "tcp_user_timeout": _millis(silence),
            "application_name": settings.application_name,
        }
        pooled = settings.transaction_pooling
        options["prepare_threshold"] = None if pooled else settings.prepare_after or None
        if not pooled:  # a pooler refuses them, or would give them to somebody else
            options["options"] = " ".join((_timeouts(settings), given.pop("options", ""))).strip()
        return arguments, {**options, **given}

    def _connect(self) -> Any:
        """A new connection; while the server is gone, wait for it to come back."""
        further = pauses()
        while True:
            try:
                connection = self._driver.connect(*self._arguments, **self._options)
            except self._driver.OperationalError:
                if not self._outage.is_short():
                    raise
                time.sleep(next(further))
            else:
                self._outage.over()
                return connection

    def raw(self) -> Any:
        """A new connection in autocommit."""
        connection = self._connect()
        connection.autocommit = True
        return connection

    def lost(self, connection: Any) -> bool:
        """Whether a raw connection is of no more use, and another may do better."""
        return bool(connection.closed)

    def insert(self, table: Table, /) -> Any:
        """The INSERT that knows ON CONFLICT."""
        return postgresql.insert(table)

    def write(self, work: Callable[[Connection], T], /) -> T:
        """Do the work in a write transaction.

        Again, where the server gave it up for another's sake, or was gone before the commit.
        Raises `GivenUpError` where that goes on, and `DoubtError`.
        """
        for pause in itertools.islice(pauses(), self._settings.attempts - 1):
            try:
                return self._write(work)
            except GivenUpError:
                time.sleep(pause)
        return self._write(work)

    def _write(self, work: Callable[[Connection], T]) -> T:
        with self.engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            transaction = connection.begin()
            try:
                answer = work(connection)
                if _is_readable(driver):
                    # Nothing should be there now but word that the server is about to go: it is
                    # better heard of before the commit.
                    driver.execute("SELECT 1")
            except BaseException as error:
                again = self._is_given_up(driver, error)
                self._undo(connection, driver)
                if again:
                    raise GivenUpError from error
                raise
            try:
                transaction.commit()
            except (DBAPIError, *self.errors) as error:
                again, lost = self._is_given_up(driver, error), driver.closed
                self._undo(connection, driver)
                if lost:
                    raise DoubtError from error
                if again:
                    raise GivenUpError from error
                raise
            return answer

    def _is_given_up(self, driver: Any, error: BaseException) -> bool:
        cause = error.orig if isinstance(error, DBAPIError) else error
        if not isinstance(cause, self.errors):
            return False
        return bool(driver.closed) or getattr(cause, "sqlstate", None) in _GIVEN_UP

    def _undo(self, connection: Connection, driver: Any) -> None:
        """Roll back; a connection on which that fails is thrown away, and has nothing to undo."""
        try:
            if not driver.closed:
                driver.rollback()
        except self.errors:
            pass
        if driver.closed:
            connection.invalidate()

    @contextmanager
    def migrating(self) -> Generator[None]:
        """Be the only one who changes tables; whoever comes second waits."""
        with self.engine.begin() as connection:
            # Others may take longer than a request should.
            self.unbound(connection)
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATING})"))
            yield

    def alter(self, work: Callable[[Connection], T], /) -> T:
        """Do work on tables in a transaction of its own.

        Who wants a table for itself waits until the last reader has gone, and every reader that
        comes meanwhile waits behind.  So it waits for a moment only, lets the others pass, and
        tries again.
        """

        def patiently(connection: Connection) -> T:
            self.unbound(connection)
            connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_WAIT}'"))
            return work(connection)

        for _ in range(_LOCK_ATTEMPTS - 1):
            try:
                return self.write(patiently)
            except (DBAPIError, *self.errors) as error:
                cause = error.orig if isinstance(error, DBAPIError) else error
                if getattr(cause, "sqlstate", None) != _LOCKED:
                    raise
                time.sleep(_LOCK_PAUSE)
        return self.write(patiently)

    def unbound(self, connection: Connection) -> None:
        """Let the transaction take as long as it takes."""
        connection.execute(text(_UNBOUND))

    def stream(
        self, connection: Connection, statement: str, parameters: tuple[Any, ...], chunk: int
    ) -> Iterator[Sequence[tuple[Any, ...]]]:
        """Run a query; its rows in chunks that are read as needed."""
        driver: Any = connection.connection.driver_connection
        # Named, so that the server keeps the rows until they are asked for.
        name = f"repocore_{next(_CURSORS)}"
        with driver.cursor(name=name) as cursor:
            cursor.execute(_INDEXED_BY.sub("", statement).replace("?", "%s"), parameters)
            while rows := cursor.fetchmany(chunk):
                yield rows

    @contextmanager
    def single(self, name: str) -> Generator[bool]:
        """Whether nobody else does a thing of that name at the moment."""
        if not self._singles.acquire(timeout=_SINGLE_WAIT):
            yield False
            return
        try:
            with self.engine.connect() as connection:
                driver: Any = connection.connection.driver_connection
                try:
                    # It does nothing while the thing is done, however long that takes.
                    self.unbound(connection)
                    key = func.hashtextextended(f"repocore {name}", 0)
                    # Held to the end of the transaction, and by no connection that broke.
                    yield bool(connection.scalar(func.pg_try_advisory_xact_lock(key).select()))
                finally:
                    self._undo(connection, driver)
        finally:
            self._singles.release()

    def close(self) -> None:
        """Close every connection; idempotent."""
        self.engine.dispose()


def _timeouts(settings: PostgresSettings) -> str:
    bounds = {
        "statement_timeout": settings.statement_timeout,
        "lock_timeout": settings.lock_timeout,
        "idle_in_transaction_session_timeout": settings.idle_timeout,
    }
    return " ".join(f"-c {name}={_millis(bound)}" for name, bound in bounds.items())


def _seconds(length: timedelta) -> int:
    return max(1, round(length.total_seconds()))


def _millis(length: timedelta) -> int:
    return round(length.total_seconds() * 1000)


def _is_readable(driver: Any) -> bool:
    poll = select.poll()
    poll.register(driver.fileno(), select.POLLIN)
    return bool(poll.poll(0))


class _Outage:
    """For how long it pays to wait for a server that has gone.

    The time runs from the first who found it gone: those who come later do not begin anew, so that
    no request waits longer than that, and a server that stays away holds up nobody.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        #: Whether it was ever there; until then its address may be wrong.
        self._met = False
        self._since = self._last = -math.inf

    def is_short(self) -> bool:
        """Note that it is not there; whether it may soon come back."""
        moment = time.monotonic()
        if moment - self._last > self._patience:
            self._since = moment
        self._last = moment
        return self._met and moment - self._since < self._patience

    def over(self) -> None:
        """Note that it is there."""
        self._met, self._last = True, -math.inf
