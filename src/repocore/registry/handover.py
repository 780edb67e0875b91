"""Jobs for the queue of another project: handed over, taken by its tasks, and looked after.

A job is queued in its row, with the data that it is about.  What the other queue is to be told of
stands in that row as well, so the row is the outbox: one transaction makes the task and notes that
it is made.  Afterwards it is the other queue that says who runs what and when; the row tells people
how it goes.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta

from repocore.catalog import leases, tasks
from repocore.catalog.jobs import Claim
from repocore.catalog.rows import micros_of
from repocore.ports import JobEngine
from repocore.registry.leasing import leased
from repocore.registry.relay import Relay
from repocore.registry.services import Services
from repocore.registry.timetable import Timetable

__all__ = ["Handover"]


class Handover:
    """What stands between the rows of jobs and an engine; made by `Worker.handover`.

    A thread of its own hands over what is queued: once woken, and every interval.
    """

    def __init__(self, services: Services, engine: JobEngine) -> None:
        self._services = services
        self._engine = engine
        self._span = services.settings.jobs.lease
        self._lease = micros_of(self._span)
        self._timetable = Timetable(services)
        interval = services.settings.jobs.interval.total_seconds()
        self._relay = Relay((self._hand_over,), interval)

    def start(self) -> None:
        """Look every interval for what others have queued; idempotent."""
        self._relay.start()

    def wake(self) -> None:
        """Hand over what was queued just now."""
        self._relay.wake()

    def flush(self) -> None:
        """Hand over all there is, here and now."""
        self._relay.run()

    def close(self) -> None:
        """Hand over what is left, and end; idempotent."""
        self._relay.close()

    @contextmanager
    def present(self) -> Generator[None]:
        """Say, for as long as the block lasts, that somebody works for the engine.

        Otherwise the embedded runner takes what was handed over, once a lease has passed.  Raises
        `StorageError`.
        """
        with leased(self._services.catalog, leases.ENGINE, self._span):
            yield

    def take(self, number: int, task: int) -> Claim | timedelta | None:
        """Take a job for its task; how long to wait where it is not due, or somebody has it.

        None where the task has nothing to do with it (any more).  Raises `StorageError`.
        """
        catalog = self._services.catalog
        found = catalog.write(lambda t: tasks.take(t, number, task, self._lease))
        self._services.wake()  # it may have been ended
        return timedelta(microseconds=found) if isinstance(found, int) else found

    def wait(self, number: int, task: int) -> timedelta | None:
        """For how long a task is to leave its job alone; None where it has nothing to do with it
        (any more).  Raises `StorageError`.
        """
        with self._services.catalog.snapshot() as connection:
            left = tasks.wait(connection, number, task, self._lease)
        return None if left is None else timedelta(microseconds=left)

    def tend(self) -> None:
        """Queue what the schedules want, forget old jobs, hand over anew what the engine has lost.

        For one process of the fleet at a time, again and again.  Raises `StorageError`.
        """
        self._timetable.tick()
        self._services.catalog.write(lambda t: tasks.mend(t, self._engine, self._lease))
        self.wake()

    def _hand_over(self) -> None:
        services = self._services
        if services.settings.read_only:
            return
        with services.catalog.snapshot() as connection:
            if not tasks.unhanded(connection, self._lease):
                return
        # None is left, or somebody else is at them.
        while services.catalog.write(lambda t: tasks.hand_over(t, self._engine, self._lease)):
            services.step("handed over")
