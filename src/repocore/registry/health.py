"""Whether what a registry stands on answers: its catalog, its storage and its queue."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final, Generic, TypeVar

import attrs

from repocore.catalog import statistics
from repocore.model import BlobKey, JobState
from repocore.registry.services import Services

__all__ = ["Health", "Pulse"]

T = TypeVar("T")

_log = logging.getLogger(__name__)

#: Seconds within which the parts have to answer: less than a balancer waits for us.
_PATIENCE: Final = 1.0
#: Seconds that closing waits for somebody who is asking.
_LEAVE: Final = 5.0
#: Seconds for which an answer is good, so that whoever asks again and again costs nothing.
_GOOD: Final = 2.0


@attrs.frozen(kw_only=True)
class Health:
    """What answered, a moment ago; ``waiting`` jobs are due, the first of them for ``wait``.

    Without a catalog nobody knows of jobs; then it is none.
    """

    catalog: bool
    storage: bool
    waiting: int
    wait: timedelta

    @property
    def ok(self) -> bool:
        """Whether requests can be served."""
        return self.catalog and self.storage


class _Question(Generic[T]):
    """One part, asked in a thread of its own: it may take longer than whoever asks has time."""

    def __init__(self, part: str, ask: Callable[[], T]) -> None:
        self._part, self._ask = part, ask
        self._thread: threading.Thread | None = None
        self._answer: T | None = None

    def begin(self) -> None:
        """Ask, unless an answer is still being waited for."""
        if self._thread is None or not self._thread.is_alive():
            self._answer = None
            self._thread = threading.Thread(target=self._run, name=self._part, daemon=True)
            self._thread.start()

    def end(self, until: float) -> T | None:
        """The answer; None where it failed, or is not there by then."""
        thread = self._thread
        if thread is None:
            return None
        thread.join(max(until - time.monotonic(), 0))
        if thread.is_alive():
            _log.warning("the %s does not answer yet", self._part)
            return None
        return self._answer

    def close(self) -> None:
        """Wait for who is still asking, since what it has open would be nobody's; not for ever."""
        if self._thread is not None:
            self._thread.join(_LEAVE)

    def _run(self) -> None:
        try:
            self._answer = self._ask()
        except Exception as error:  # noqa: BLE001 - whatever a plugin or a driver raises
            _log.warning("the %s does not answer: %s", self._part, error)


class Pulse:
    """Asks the catalog and the storage, and remembers the answer for a moment; for threads."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = threading.Lock()
        self._known: tuple[float, Health] | None = None
        self._catalog = _Question("catalog", self._ask_catalog)
        self._storage = _Question("storage", self._ask_storage)

    def take(self) -> Health:
        """How it is; raises nothing: what fails is logged, and said to have failed.

        So is what has not answered in a second: requests wait longer for a catalog that comes back,
        but who decides where to send them does not.
        """
        with self._lock:
            if self._known is None or time.monotonic() - self._known[0] >= _GOOD:
                self._known = (time.monotonic(), self._ask())
            return self._known[1]

    def close(self) -> None:
        """Ask no more; before the catalog is closed."""
        self._catalog.close()
        self._storage.close()

    def _ask(self) -> Health:
        until = time.monotonic() + _PATIENCE
        self._catalog.begin()
        self._storage.begin()
        due, stored = self._catalog.end(until), self._storage.end(until)
        waiting, late = due or (0, 0)
        return Health(
            catalog=due is not None,
            storage=stored is not None,
            waiting=waiting,
            wait=timedelta(microseconds=late),
        )

    def _ask_catalog(self) -> tuple[int, int]:
        """The jobs that are due, and for how many microseconds the first of them."""
        with self._services.catalog.snapshot() as connection:
            return statistics.due(connection, JobState.QUEUED.value)

    def _ask_storage(self) -> bool:
        storage = self._services.storage
        # Whether there is something under a name that nobody has: whoever says no has answered.
        storage.size(BlobKey.make(secrets.token_hex(32)))
        if not self._services.settings.read_only:
            # A disk that is full, or gone from where it was, answers the above all the same.
            writer = storage.writer(1)
            try:
                writer.write(b"?")
            finally:
                writer.abort()
        return True
