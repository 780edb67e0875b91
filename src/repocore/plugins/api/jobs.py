"""``/api/v1/jobs``: the jobs of whoever asks, and of all for administrators, as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from repocore.errors import JobMissingError, RejectedError
from repocore.http import Admits, Request, Response, Route
from repocore.model import Job, JobState
from repocore.registry import Session

__all__ = ["cancel", "describe", "get", "list_jobs", "output", "routes"]

_PAGE: Final = 100
_MOST: Final = 1000
_NUMBER_DIGITS: Final = 18


def routes() -> Iterable[Route[Session]]:
    """Four routes of the site."""
    top = "/api/v1/jobs"
    for method, template, handler in (
        ("GET", top, list_jobs),
        ("GET", f"{top}/{{number}}", get),
        ("POST", f"{top}/{{number}}/cancel", cancel),
        ("GET", f"{top}/{{number}}/output", output),
    ):
        summary = (handler.__doc__ or "").strip().splitlines()[0]
        yield Route(
            method=method,
            template=template,
            handler=handler,
            summary=summary,
            permission=Admits.ONESELF,
        )


def list_jobs(session: Session, request: Request) -> Response:
    """List jobs, the newest first: `?state=`, `?kind=`, `?before=` a number, `?limit=`."""
    query = request.query
    limit = min(_count(query.get("limit", str(_PAGE)), "limit"), _MOST)
    before = query.get("before")
    found = session.jobs.list(
        state=_state(query.get("state")),
        kind=query.get("kind"),
        before=None if before is None else _count(before, "before"),
        limit=limit,
    )
    return Response.json({"jobs": [describe(job) for job in found]})


def get(session: Session, request: Request) -> Response:
    """Show a job: its state, how far it is, and how it ended."""
    return Response.json(describe(session.jobs.get(_number(request))))


def cancel(session: Session, request: Request) -> Response:
    """Cancel a job: a queued one at once, a running one as soon as it can be ended."""
    return Response.json(describe(session.jobs.cancel(_number(request))))


def output(session: Session, request: Request) -> Response:
    """Show what a job has written; `?after=` the position of the last answer continues it."""
    number = _number(request)
    after = _count(request.query.get("after", "0"), "after")
    # Asked before, so that a job which ends meanwhile is asked for its last words, too.
    state = session.jobs.get(number).state
    written = session.jobs.output(number, after=after)
    body = {"text": written.text, "after": written.after, "ended": state.ended}
    return Response.json({**body, "state": state.value})


def describe(job: Job) -> dict[str, Any]:
    """A job as JSON has it; times are ISO 8601 in UTC."""
    progress = job.progress
    return {
        "id": job.id,
        "kind": job.kind,
        "payload": dict(job.payload),
        "key": job.key,
        "state": job.state.value,
        "cancelling": job.cancelling,
        "priority": job.priority,
        "attempts": job.attempts,
        "max_attempts": job.max_attempts,
        "progress": {"total": progress.total, "done": progress.done, "message": progress.message},
        "outcome": job.outcome,
        "error": job.error,
        "created_by": job.created_by,
        "created_at": _time(job.created_at),
        "run_after": _time(job.run_after),
        "started_at": _time(job.started_at),
        "finished_at": _time(job.finished_at),
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _number(request: Request) -> int:
    written = request.fields["number"]
    if not _is_count(written):
        raise JobMissingError
    return int(written)


def _count(written: str, name: str) -> int:
    if not _is_count(written):
        message = f"`{name}` is no whole number."
        raise RejectedError(message)
    return int(written)


def _is_count(written: str) -> bool:
    return written.isascii() and written.isdecimal() and len(written) <= _NUMBER_DIGITS


def _state(written: str | None) -> JobState | None:
    if written is None:
        return None
    try:
        return JobState(written)
    except ValueError as error:
        known = ", ".join(state.value for state in JobState)
        message = f"There is no such state; there are {known}."
        raise RejectedError(message) from error
