"""When scheduled jobs are queued: by whichever worker of the fleet looks first."""

from __future__ import annotations

import threading
import time
from typing import Final

from repocore.catalog import Transaction, jobs, schedules
from repocore.catalog.jobs import NewJob
from repocore.catalog.rows import micros_at, micros_of, time_of
from repocore.catalog.schedules import Following
from repocore.config import ScheduleSettings
from repocore.registry.queueing import queue_job
from repocore.registry.services import SYSTEM, Services

__all__ = ["Timetable"]

#: Seconds between two looks for jobs that need not be remembered any more.
_FORGETTING: Final = 600.0


class Timetable:
    """The schedules of the settings, and the memory of jobs that have ended.

    A moment is a row that one worker changes; the database's clock tells whether it has come.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._schedules = {one.known_as: one for one in services.settings.schedule}
        self._lock = threading.Lock()
        self._kept = False
        self._looked = self._forgot = -_FORGETTING

    def tick(self) -> None:
        """Queue what is due, at most once an interval."""
        interval = self._services.settings.jobs.interval.total_seconds()
        with self._lock:
            now = time.monotonic()
            if now - self._looked < interval:
                return
            self._looked = now
            self._look(now)

    def _look(self, now: float) -> None:
        catalog = self._services.catalog
        if now - self._forgot >= _FORGETTING:
            self._forgot = now
            age = micros_of(self._services.settings.jobs.keep)
            catalog.write(lambda transaction: jobs.forget(transaction, age))
        if not self._schedules:
            return
        if not self._kept:
            catalog.write(self._keep)
            self._kept = True
        with catalog.snapshot() as connection:
            if not schedules.any_due(connection, self._schedules):
                return
        for schedule in self._schedules.values():
            self._queue(schedule)

    def _keep(self, transaction: Transaction) -> None:
        for name, schedule in self._schedules.items():
            schedules.keep(transaction, name, schedule.rhythm, _following(schedule))

    def _queue(self, schedule: ScheduleSettings) -> None:
        services = self._services
        name = schedule.known_as
        new = NewJob(
            kind=schedule.job,
            payload=schedule.payload,
            by=str(SYSTEM.name),
            key=f"schedule/{name}",
        )

        def work(transaction: Transaction) -> bool:
            if not schedules.take(transaction, name, _following(schedule)):
                return False
            queue_job(services, transaction, new)
            return True

        if services.catalog.write(work):
            services.wake()


def _following(schedule: ScheduleSettings) -> Following:
    return lambda moment: micros_at(schedule.following(time_of(moment)))
