"""The embedded runner: worker threads in this process, over the rows of the catalog.

``runner = "threads:4"`` is four of them in each process that runs jobs; ``threads:0`` leaves the
jobs to processes of `repocore worker`.  One thread at a time looks for jobs, the others wait for
it to find some, so that an idle server asks its database once an interval.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

from repocore.errors import ConfigurationError
from repocore.logs import noted
from repocore.markers import hookimpl
from repocore.model import Event, Job
from repocore.registry import Claim, Registry, Worker

__all__ = ["ThreadRunner", "repocore_job_runner"]

_log = logging.getLogger(__name__)

_SCHEME: Final = "threads"
_MOST: Final = 256
#: Seconds that a running job gets to come to its next check when the process ends.
_GRACE: Final = 10.0


@hookimpl
def repocore_job_runner(
    registry: Registry, url: str, kinds: Iterable[str] | None
) -> ThreadRunner | None:
    """``threads:N`` is N threads; raises `ConfigurationError` where N is no number of threads."""
    scheme, _, count = url.partition(":")
    if scheme != _SCHEME:
        return None
    if not count.isdecimal() or int(count) > _MOST:
        message = f'`runner` is {url!r}; write "threads:4" for four threads ({_MOST} at most).'
        raise ConfigurationError(message)
    return ThreadRunner(registry, int(count), kinds)


class ThreadRunner:
    """Threads that run jobs of some kinds, or of all.

    Raises `ConfigurationError` for a kind that no plugin brings.
    """

    def __init__(
        self, registry: Registry, threads: int, kinds: Iterable[str] | None = None
    ) -> None:
        self._worker: Worker = registry.worker(kinds)
        self._count = threads
        self._interval = registry.settings.jobs.interval.total_seconds()
        self._due = threading.Event()
        self._looking = threading.Lock()
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def submit(self, emit: Callable[[Event], None], job: Job) -> None:
        """Nothing to do: the row is the queue."""

    def wake(self) -> None:
        """Look now."""
        self._due.set()

    def run(self, until: Callable[[], bool]) -> None:
        """Run jobs until then; what runs has some seconds then to come to its next check."""
        for number in range(self._count):
            name = f"repocore-job-{number}"
            thread = threading.Thread(target=self._loop, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)
        while not until() and self._alive():
            self._stopped.wait(self._interval)
        self._end()

    def drain(self) -> int:
        """Run, here, what is due; returns the number of attempts."""
        count = 0
        while self._worker.work():
            count += 1
        return count

    def cancel(self, number: int) -> None:
        """Tell the job, if it runs here; elsewhere its row tells it."""
        self._worker.cancel(number)

    def close(self) -> None:
        """End the threads; a job that does not come to a check is left to its lease."""
        self._end()

    def _alive(self) -> bool:
        return any(thread.is_alive() for thread in tuple(self._threads))

    def _end(self) -> None:
        self._stopped.set()
        self._worker.stop()
        self._due.set()
        until = time.monotonic() + _GRACE
        for thread in tuple(self._threads):
            thread.join(max(until - time.monotonic(), 0))

    def _loop(self) -> None:
        while (claim := self._next()) is not None:
            job = claim.job
            with noted(job_id=job.id, job_kind=job.kind):
                try:
                    self._worker.run(claim)
                except Exception:  # noqa: BLE001 - the thread must go on
                    _log.exception("job %s is left to its lease", job.id)

    def _next(self) -> Claim | None:
        """The next job of this thread, however long that takes; None at the end."""
        with self._looking:
            while not self._stopped.is_set():
                try:
                    claim = self._worker.claim()
                except Exception:  # noqa: BLE001 - the catalog may be back at the next look
                    _log.exception("nobody could look for jobs; trying again later")
                    claim = None
                if claim is not None:
                    return claim
                self._due.wait(self._interval)
                self._due.clear()
        return None
