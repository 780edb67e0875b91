"""The thread behind a registry: it writes counted downloads and tells listeners of events."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, Final

import pluggy

from repocore.catalog import Catalog, events

__all__ = ["Relay", "tell"]

_log = logging.getLogger(__name__)

#: An event whose listeners fail this often is given up, so that it does not hold up the others.
_ATTEMPTS: Final = 20


def tell(catalog: Catalog, hooks: pluggy.HookRelay, registry: Any) -> None:
    """Tell the listeners of all events that are due, in order.

    One process of the installation does it at a time.  An event whose listener fails, and those
    behind it, are told again later.
    """
    with catalog.single("relay") as alone:
        while alone:
            with catalog.snapshot() as connection:
                due = events.pending(connection)
            if not due:
                return
            for event in due:
                if not _tell_one(catalog, hooks, registry, event):
                    return


def _tell_one(
    catalog: Catalog, hooks: pluggy.HookRelay, registry: Any, event: events.StoredEvent
) -> bool:
    try:
        hooks.repocore_event(
            registry=registry, event=event.value, number=event.id, at=event.created_at
        )
    except Exception:  # noqa: BLE001 - whatever a plugin raises is the plugin's
        _log.exception("a listener failed on %s", type(event.value).__name__)
        return catalog.write(lambda transaction: events.failed(transaction, event.id, _ATTEMPTS))
    catalog.write(lambda transaction: events.told(transaction, [event.id]))
    return True


class Relay:
    """Runs tasks when woken, and every interval; starts its thread at the first need."""

    def __init__(self, tasks: tuple[Callable[[], object], ...], interval: float) -> None:
        self._tasks = tasks
        self._interval = interval
        self._due = threading.Event()
        self._ended = False
        self._lock = threading.Lock()
        self._turn = threading.RLock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Have the tasks run every interval; idempotent and cheap."""
        if self._thread is None and not self._ended:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(
                        target=self._loop, name="repocore-relay", daemon=True
                    )
                    self._thread.start()

    def wake(self) -> None:
        """Have the tasks run now."""
        self.start()
        self._due.set()

    def close(self) -> None:
        """Run the tasks a last time and end; idempotent."""
        if self._ended:
            return
        self._ended = True
        self._due.set()
        if self._thread is not None:
            self._thread.join()
        self.run()

    def run(self) -> None:
        """Run every task once, here; a run of the thread that is under way ends before."""
        with self._turn:
            for task in self._tasks:
                try:
                    task()
                except Exception:  # noqa: BLE001 - the thread must go on
                    _log.exception("background work failed; trying again later")

    def _loop(self) -> None:
        while not self._ended:
            self._due.wait(self._interval)
            self._due.clear()
            if not self._ended:
                self.run()
