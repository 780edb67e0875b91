"""A queue in memory that does what a test says; it keeps to the port, not to transactions."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import attrs

from repocore import Job


@attrs.define
class DictEngine:
    """Tasks by number, each with its job's; those that somebody has begun."""

    tasks: dict[int, int] = attrs.field(factory=dict)
    begun: set[int] = attrs.field(factory=set)
    #: Raised by `defer` once it has done its work.
    failure: Exception | None = None
    numbers: Iterator[int] = attrs.field(factory=lambda: itertools.count(101))

    def defer(self, connection: Any, jobs: Sequence[Job]) -> Sequence[int]:
        made = [next(self.numbers) for _ in jobs]
        if self.failure is not None:
            raise self.failure
        self.tasks.update(zip(made, (job.id for job in jobs), strict=True))
        return made

    def withdraw(self, connection: Any, tasks: Mapping[int, int]) -> Collection[int]:
        for task in self._mine(tasks):
            if task not in self.begun:
                del self.tasks[task]
        return self._mine(tasks)

    def revive(self, connection: Any, tasks: Mapping[int, int]) -> Collection[int]:
        self.begun -= set(self._mine(tasks))
        return self._mine(tasks)

    def task_of(self, job: int) -> int:
        """The one task of a job."""
        [found] = [task for task, other in self.tasks.items() if other == job]
        return found

    def _mine(self, tasks: Mapping[int, int]) -> list[int]:
        return [task for task, job in tasks.items() if self.tasks.get(task) == job]
