"""What a server does beside its requests: it runs jobs, and follows a primary."""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import Final

import attrs

from repocore.catalog import dumping, following
from repocore.catalog.rows import micros_of
from repocore.errors import JobCancelledError, ReplicaError, RepocoreError, StorageError
from repocore.registry.primary import Primary
from repocore.registry.pulling import pull
from repocore.registry.services import SYSTEM, Services

__all__ = ["Background"]

_log = logging.getLogger(__name__)

#: Seconds that a look at the primary has to come to an end when the process does.
_GRACE: Final = 10.0
#: Intervals that it waits where it failed again and again, at most.
_PATIENCE: Final = 16


class Background:
    """The threads of one process; nothing runs before `start`."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []
        self._follower: threading.Thread | None = None
        self._primary: Primary | None = None

    def start(self) -> None:
        """Run jobs, and follow where there is a primary, until `close`; idempotent."""
        if self._threads:
            return
        jobs = threading.Thread(target=self._run_jobs, name="repocore-jobs", daemon=True)
        self._threads.append(jobs)
        if self._services.following:
            self._follower = threading.Thread(
                target=self._follow, name="repocore-follower", daemon=True
            )
            self._threads.append(self._follower)
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End; what is in the middle of something stops where that can be gone on with."""
        self._ended.set()
        self._services.runner.close()
        if self._follower is not None:
            self._follower.join(_GRACE)

    def _run_jobs(self) -> None:
        self._services.runner.run(self._ended.is_set)

    def _follow(self) -> None:
        services = self._services
        pause, failed = services.settings.replica.interval.total_seconds(), 0
        while not self._ended.is_set() and services.following:
            if not services.settings.read_only:
                failed = failed + 1 if self._failed() else 0
            self._ended.wait(pause * min(2**failed, _PATIENCE))

    def _failed(self) -> bool:
        """Look at the primary; whether that did not work out."""
        services = self._services
        try:
            services.book.at(services.catalog.hot.version())
            if not services.following:  # promoted, by whatever process
                return False
            # To make one reads all certificates of the system.
            self._primary = self._primary or Primary(services.settings.replica, services.tracing)
            report = pull(services, _Watch(self._ended), primary=self._primary)
            if report is not None:
                self._collect()
        except JobCancelledError:
            return False
        except RepocoreError as error:
            _log.warning("the primary cannot be followed: %s", error)
            self._note(str(error))
            return True
        except Exception as error:  # noqa: BLE001 - the thread must go on
            _log.exception("the primary cannot be followed")
            self._note(f"It failed unexpectedly ({type(error).__name__}); the log has the reason.")
            return True
        return False

    def _note(self, error: str) -> None:
        with contextlib.suppress(StorageError, ReplicaError):
            self._services.catalog.write(lambda t: following.note(t, error=error))

    def _collect(self) -> None:
        """What was deleted at the primary goes from the storage, too, after its grace period."""
        services = self._services
        with services.catalog.snapshot() as connection:
            before, now = following.read(connection).collected_at, dumping.moment(connection)
        if before is not None and now - before < micros_of(services.settings.limits.blob_grace):
            return
        services.registry.session(SYSTEM).upkeep.collect(progress=_Watch(self._ended))
        services.catalog.write(lambda t: following.note(t, collected_at=now))


@attrs.frozen
class _Watch:
    """A progress that nobody looks at, and that ends with the process."""

    _ended: threading.Event

    def start(self, total: int | None, message: str) -> None:
        _log.debug("%s (%s)", message, total)

    def advance(self, steps: int = 1) -> None:
        """Nobody counts."""

    def log(self, text: str) -> None:
        _log.info("%s", text)

    def check(self) -> None:
        if self._ended.is_set():
            raise JobCancelledError
