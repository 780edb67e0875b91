"""The jobs that keep an installation in order: ``retention``, ``gc`` and ``check``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from repocore.errors import JobError
from repocore.markers import hookimpl
from repocore.model import Payload
from repocore.ports import JobHandler, Progress
from repocore.registry import Session

__all__ = ["check", "collect", "repocore_jobs", "retain"]

#: Problems that are written to the output.
_LISTED: Final = 100


@hookimpl
def repocore_jobs() -> Mapping[str, JobHandler[Session]]:
    """Three kinds, for administrators."""
    return {
        "retention": JobHandler(run=retain, summary="Delete what no retention policy keeps."),
        "gc": JobHandler(run=collect, summary="Delete what nothing names any more."),
        # A second look would find the same.
        "check": JobHandler(
            run=check, summary="Compare the catalog with what is stored.", attempts=2
        ),
    }


def retain(session: Session, _payload: Payload, progress: Progress) -> str:
    """Apply the policies of the settings."""
    report = session.retention.apply(progress=progress)
    spared = f"; {report.spared} were used meanwhile" if report.spared else ""
    return (
        f"Deleted {report.releases} releases with {report.files} files "
        f"({report.bytes} bytes){spared}."
    )


def collect(session: Session, payload: Payload, progress: Progress) -> str:
    """Collect; ``{"now": true}`` is without the grace period."""
    grace = timedelta(0) if payload.get("now") is True else None
    report = session.upkeep.collect(grace=grace, progress=progress)
    return (
        f"Deleted {report.blobs} objects ({report.bytes} bytes), {report.drafts} unfinished "
        f"releases, {report.leftovers} leftovers."
        f"{' A backup is being made: the rest is for the next run.' if report.held else ''}"
    )


def check(session: Session, payload: Payload, progress: Progress) -> str:
    """Check; ``{"read_data": true}`` reads and hashes every object, ``{"read_data": "5%"}`` a part
    that begins where the one before ended.  Fails on problems.
    """
    wanted = payload.get("read_data")
    read_data = wanted if isinstance(wanted, str) else wanted is True
    report = session.upkeep.check(read_data=read_data, progress=progress)
    for problem in report.problems[:_LISTED]:
        progress.log(problem)
    if not report.ok:
        message = f"{len(report.problems)} problems were found; the output of the job lists them."
        raise JobError(message)
    return (
        f"{report.files} files, {report.blobs} objects, {report.bytes} bytes, {report.read} "
        "objects read: all is well."
    )
