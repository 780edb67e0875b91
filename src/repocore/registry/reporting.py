"""What a running job reports: kept in memory, and written to its row now and then."""

from __future__ import annotations

import collections
import enum
import logging
import threading
import time
from datetime import timedelta

from repocore.catalog import Catalog, Transaction, jobs
from repocore.catalog.jobs import Claim
from repocore.config import JobSettings
from repocore.errors import JobCancelledError, JobTimeoutError, StorageError
from repocore.model import JobProgress

__all__ = ["Halt", "Reporting", "legible"]

_log = logging.getLogger(__name__)

_MESSAGE = 500


class Halt(enum.Enum):
    """Why a job is to give up here."""

    CANCELLED = "The job was cancelled."
    STOPPED = "The worker of the job is being stopped."
    LOST = "The worker was taken for dead, and another has the job."


class Reporting:
    """The `Progress` of a claimed job; its thread and that of the heartbeat share it."""

    def __init__(
        self, catalog: Catalog, claim: Claim, settings: JobSettings, timeout: timedelta | None
    ) -> None:
        self.claim = claim
        #: Why the job is to give up; None while it is not.
        self.halted: Halt | None = None
        self._catalog = catalog
        self._settings = settings
        self._began = self._looked = self._written = time.monotonic()
        self._timeout = None if timeout is None else timeout.total_seconds()
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._total: int | None = None
        self._done = 0
        self._message = ""
        self._changed = False
        self._pieces: collections.deque[str] = collections.deque()
        self._size = 0

    def start(self, total: int | None, message: str) -> None:
        """Begin a phase."""
        with self._lock:
            self._total, self._done, self._message = total, 0, legible(message, _MESSAGE)
            self._changed = True

    def advance(self, steps: int = 1) -> None:
        """Some steps are done."""
        with self._lock:
            self._done += steps
            self._changed = True

    def log(self, text: str) -> None:
        """A line for people, or several; the newest are kept."""
        bound = self._settings.output
        piece = f"{legible(text[-bound:])}\n"
        with self._lock:
            self._pieces.append(piece)
            self._size += len(piece)
            while self._size > bound and len(self._pieces) > 1:
                self._size -= len(self._pieces.popleft())

    def check(self) -> None:
        """Raise `JobCancelledError` or `JobTimeoutError` where the job is to give up."""
        self.pulse()
        if self.halted is not None:
            raise JobCancelledError(self.halted.value)
        if self._timeout is not None and time.monotonic() - self._began > self._timeout:
            message = f"The job took longer than the {self._timeout:g} seconds that it may."
            raise JobTimeoutError(message)

    def halt(self, why: Halt) -> None:
        """Have the job give up at its next check; the first reason stays."""
        if self.halted is None:
            self.halted = why

    def pulse(self) -> None:
        """Write what is new, give a sign of life, ask whether to give up: once an interval."""
        interval = self._settings.interval.total_seconds()
        if time.monotonic() - self._looked < interval:
            return
        with self._writing:
            if time.monotonic() - self._looked < interval:
                return
            try:
                asked = self._exchange()
            except StorageError:
                _log.warning("job %s cannot tell how far it is", self.claim.job.id)
                asked = False
            self._looked = time.monotonic()
        if asked is None:
            self.halt(Halt.LOST)
        elif asked:
            self.halt(Halt.CANCELLED)

    def write(self, transaction: Transaction, text: str) -> bool:
        """Write how far it is, and some output; False where the worker has lost the job."""
        progress = JobProgress(self._total, self._done, self._message)
        bound = self._settings.output
        return jobs.heartbeat(transaction, self.claim, progress, text, bound) is not None

    def take(self) -> str:
        """The output that was not written yet; it is the caller's now."""
        with self._lock:
            text = "".join(self._pieces)
            self._pieces.clear()
            self._size = 0
            self._changed = False
        return text

    def _exchange(self) -> bool | None:
        now = time.monotonic()
        quiet = now - self._written < self._settings.lease.total_seconds() / 4
        if quiet and not self._changed and not self._pieces:
            with self._catalog.snapshot() as connection:
                return jobs.asked(connection, self.claim)
        text = self.take()
        progress = JobProgress(self._total, self._done, self._message)
        try:
            answer = self._catalog.write(
                lambda t: jobs.heartbeat(t, self.claim, progress, text, self._settings.output)
            )
        except StorageError:
            with self._lock:
                self._pieces.appendleft(text)
                self._size += len(text)
                self._changed = True
            raise
        self._written = now
        return answer


def legible(text: str, bound: int | None = None) -> str:
    """The text as every database takes it, cut at a bound."""
    text = text.encode(errors="replace").decode().replace("\0", "\ufffd")
    return text if bound is None or len(text) <= bound else f"{text[: bound - 1]}…"
