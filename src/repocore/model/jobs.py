"""Jobs: durable units of background work, and what is told of them."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import attrs

__all__ = ["Job", "JobOutput", "JobProgress", "JobState", "Payload"]

#: What a job is about: an object of JSON.
Payload = Mapping[str, Any]

_ENDED: Final = frozenset({"done", "failed", "cancelled"})


class JobState(enum.Enum):
    """Where a job is on its way; the last three are its end."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing will happen to the job any more."""
        return self.value in _ENDED


@attrs.frozen
class JobProgress:
    """How far a job is: steps done of the current phase, None where nobody knows how many."""

    total: int | None = None
    done: int = 0
    message: str = ""


@attrs.frozen(kw_only=True)
class Job:
    """A unit of background work, as its row tells of it; times are the database's, in UTC."""

    id: int
    kind: str
    payload: Payload = attrs.field(factory=dict[str, Any], hash=False)
    #: Of the jobs of one kind and key, one waits and one runs at most.
    key: str | None = None
    state: JobState = JobState.QUEUED
    #: The highest goes first.
    priority: int = 0
    #: How often it was started, and how often it may be.
    attempts: int = 0
    max_attempts: int = 1
    #: It does not start before.
    run_after: datetime
    #: Whether it runs and was asked to give up.
    cancelling: bool = False
    progress: JobProgress = JobProgress()
    #: One sentence on what it did.
    outcome: str | None = None
    #: One sentence on what went wrong at its last attempt.
    error: str | None = None
    created_by: str
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    #: When its worker last gave a sign of life.
    heartbeat_at: datetime | None = None


@attrs.frozen(kw_only=True)
class JobOutput:
    """What a job wrote after a position, and the position to ask from next time."""

    text: str
    after: int
