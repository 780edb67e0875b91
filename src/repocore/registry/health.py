"""Whether what a registry stands on answers: its catalog, its storage and its queue."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final, TypeVar

import attrs

from repocore.catalog import statistics
from repocore.model import BlobKey, JobState
from repocore.registry.services import Services

__all__ = ["Health", "Pulse"]

T = TypeVar("T")

_log = logging.getLogger(__name__)

#: Seconds for which an answer is good, so that whoever asks again and again costs nothing.
_GOOD: Final = 2.0


@attrs.frozen(kw_only=True)
class Health:
    """What answered, a moment ago; ``waiting`` jobs are due, the first of them for ``wait``."""

    catalog: bool
    storage: bool
    waiting: int
    wait: timedelta

    @property
    def ok(self) -> bool:
        """Whether requests can be served."""
        return self.catalog and self.storage


class Pulse:
    """Asks the catalog and the storage, and remembers the answer for a moment; for threads."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = threading.Lock()
        self._known: tuple[float, Health] | None = None

    def take(self) -> Health:
        """How it is; raises nothing: what fails is logged, and said to have failed."""
        with self._lock:
            if self._known is None or time.monotonic() - self._known[0] >= _GOOD:
                self._known = (time.monotonic(), self._ask())
            return self._known[1]

    def _ask(self) -> Health:
        due = _answer("catalog", self._ask_catalog)
        stored = _answer("storage", self._ask_storage)
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


def _answer(part: str, ask: Callable[[], T]) -> T | None:
    try:
        return ask()
    except Exception as error:  # noqa: BLE001 - whatever a plugin or a driver raises
        _log.warning("the %s does not answer: %s", part, error)
        return None
