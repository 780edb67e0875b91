"""The classes that the settings of jobs become: ``[jobs]`` and ``[[schedule]]``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
from cronsim import CronSim, CronSimError

from repocore.config.saying import positive, says, some

__all__ = ["JobSettings", "ScheduleSettings"]


def _mapping() -> dict[str, Any]:
    return {}


def _cron(value: str | None) -> None:
    if value is None:
        return
    try:
        next(CronSim(value, datetime(2024, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration):
        message = 'expected five fields of cron that meet, such as "0 3 * * *"'
        raise ValueError(message) from None


@attrs.frozen(kw_only=True)
class JobSettings:
    """``[jobs]``: how background work is done."""

    attempts: int = attrs.field(
        default=5, metadata=says("How often a job is tried that fails.", check=positive)
    )
    backoff: timedelta = attrs.field(
        default=timedelta(seconds=10),
        metadata=says(
            "How long the second attempt waits; each further one twice as long, an hour at most.",
            check=positive,
        ),
    )
    lease: timedelta = attrs.field(
        default=timedelta(seconds=60),
        metadata=says(
            "A worker that gave no sign of life for so long is dead: others take its jobs.",
            check=positive,
        ),
    )
    interval: timedelta = attrs.field(
        default=timedelta(seconds=1),
        metadata=says(
            "How often at most a job writes how far it is and asks whether it is cancelled, and a "
            "worker looks for what others have queued.",
            check=positive,
        ),
    )
    output: int = attrs.field(
        default=1 << 20,
        metadata=says(
            "How much of what a job writes is kept: the newest.", check=positive, size=True
        ),
    )
    keep: timedelta = attrs.field(
        default=timedelta(days=30),
        metadata=says("How long jobs that have ended are remembered.", check=positive),
    )


@attrs.frozen(kw_only=True)
class ScheduleSettings:
    """A ``[[schedule]]``: a job that is queued again and again, once in the whole fleet.

    Raises `ValueError` unless it says either how often or when.
    """

    job: str = attrs.field(metadata=says("The kind of the job, for example retention.", check=some))
    every: timedelta | None = attrs.field(
        default=None, metadata=says("How often, for example 1d.", check=positive)
    )
    cron: str | None = attrs.field(
        default=None,
        metadata=says(
            "When, as cron writes it, in UTC: minute hour day month weekday.", check=_cron
        ),
    )
    payload: Mapping[str, Any] = attrs.field(
        factory=_mapping, hash=False, metadata=says("What the job is told.")
    )
    name: str = attrs.field(
        default="",
        metadata=says("By what it is known; the kind where there is one schedule of it."),
    )

    def __attrs_post_init__(self) -> None:
        if (self.every is None) == (self.cron is None):
            raise ValueError("give every or cron, and not both")
        positive(self.every)
        _cron(self.cron)

    @property
    def known_as(self) -> str:
        """The name, or the kind."""
        return self.name or self.job

    @property
    def rhythm(self) -> str:
        """How often or when, in a word that changes with it."""
        return f"cron {self.cron}" if self.every is None else f"every {self.every}"

    def following(self, moment: datetime) -> datetime:
        """The first time after a moment (with a zone) at which the job is due."""
        if self.every is not None:
            return moment + self.every
        return next(CronSim(str(self.cron), moment.astimezone(UTC)))
