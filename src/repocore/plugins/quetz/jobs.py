"""Actions on channels and ``/api/jobs``: background work of ours in the words of this API."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final

from repocore.errors import (
    BlobMissingError,
    FileMissingError,
    JobError,
    JobMissingError,
    RejectedError,
)
from repocore.http import Request, Response
from repocore.model import Action, Job, JobState, Payload, Repository, Resource
from repocore.plugins.quetz.answers import (
    Fields,
    Listing,
    no_such,
    permitted,
    signed_in,
)
from repocore.plugins.quetz.contents import subdirs_of
from repocore.plugins.quetz.users import describe
from repocore.ports import JobHandler, Progress
from repocore.registry import Session

__all__ = [
    "ACTIONS",
    "JOBS",
    "TASKS",
    "act",
    "create",
    "get",
    "handlers",
    "index",
    "patch",
    "start",
    "validate",
]

#: What can be done to a channel, and the kind of job that does it.
ACTIONS: Final[Mapping[str, str]] = {
    "generate_indexes": "quetz-index",
    "validate_packages": "quetz-validate",
    "cleanup": "gc",
    "cleanup_dry_run": "check",
}
#: What cannot, and what to do instead.
_MIRRORS: Final = ("synchronize", "synchronize_repodata", "synchronize_metrics")
_REINDEX: Final = (
    "A package is opened when it comes, and what it says is kept with it, so there is nothing to "
    "read anew; generate_indexes makes the indexes anew."
)
_WORDS: Final = {
    JobState.QUEUED: "pending",
    JobState.RUNNING: "running",
    JobState.DONE: "success",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "cancelled",
}
_MANIFESTS: Final = {kind: action for action, kind in ACTIONS.items()}
#: Jobs beyond that number are not looked through for a list.
_MOST: Final = 1000
_CHUNK: Final = 1 << 20
_DIGITS: Final = 18


# ------------------------------------------------------------------------------------ kinds of job


def _managers(payload: Payload) -> tuple[Action, Resource]:
    return Action.MANAGE, Resource("conda", str(payload.get("channel", "")))


def handlers() -> Mapping[str, JobHandler[Session]]:
    """Two kinds, for whoever may manage the channel."""
    return {
        "quetz-index": JobHandler(
            run=index, summary="Make the indexes of a channel now.", needs=_managers
        ),
        "quetz-validate": JobHandler(
            run=validate, summary="Read every package of a channel.", needs=_managers, attempts=2
        ),
    }


def _channel(session: Session, payload: Payload) -> Repository:
    return session.repositories.get(f"conda/{payload.get('channel')}")


def index(session: Session, payload: Payload, progress: Progress) -> str:
    """Make every index that is older than the channel; ``{"channel": "main"}`` says which."""
    channel = _channel(session, payload)
    subdirs = subdirs_of(session, channel) or ["noarch"]
    progress.start(len(subdirs), "Making indexes")
    session.files.content(channel.address, "channeldata.json")
    for subdir in subdirs:
        progress.check()
        session.files.content(channel.address, f"{subdir}/repodata.json")
        progress.advance()
    return f"The indexes of {len(subdirs)} subdirs are as new as the channel."


def validate(session: Session, payload: Payload, progress: Progress) -> str:
    """Read every package of a channel, and compare it with its checksum; nothing is changed."""
    channel = _channel(session, payload)
    progress.start(None, "Reading packages")
    count = wrong = 0
    for file in session.files.list(channel.address):
        progress.check()
        count += 1
        if not _is_whole(session, channel.address, str(file.path), file.digest):
            wrong += 1
            progress.log(f"{file.path} is not what was uploaded; upload it again.")
        progress.advance()
    if wrong:
        message = f"{wrong} of {count} files are not what was uploaded; the output lists them."
        raise JobError(message)
    return f"{count} files are what was uploaded."


def _is_whole(session: Session, address: str, path: str, digest: str) -> bool:
    hasher = hashlib.sha256()
    try:
        with session.files.content(address, path).open(0, None) as stream:
            while chunk := stream.read(_CHUNK):
                hasher.update(chunk)
    except BlobMissingError:
        return False
    except FileMissingError:
        return True  # deleted meanwhile
    return hasher.hexdigest() == digest


# ---------------------------------------------------------------------------------------- actions


def start(
    session: Session, channel: Repository, action: str, delay: timedelta = timedelta(0)
) -> Job:
    """Queue an action on a channel; raises what `session.jobs.submit` raises."""
    kind = ACTIONS[action]
    payload = {"channel": channel.name} if kind.startswith("quetz-") else {}
    key = channel.name if payload else None
    return session.jobs.submit(kind, payload, key=key, delay=delay)


def act(session: Session, request: Request) -> Response:
    """Start an action on a channel: a job that indexes, validates or cleans up."""
    signed_in(session)
    channel = permitted(session, request, Action.MANAGE)
    fields = Fields.of(request, "action", "start_at", "repeat_every_seconds")
    action = fields.text("action")
    if action in _MIRRORS:
        return Response.json({"detail": f"{channel.name} mirrors no other channel."}, 405)
    if action == "reindex":
        raise RejectedError(_REINDEX)
    if action not in ACTIONS:
        message = f"An action is one of {', '.join(ACTIONS)}."
        raise RejectedError(message)
    return Response.json(_described(session, start(session, channel, action, _delay(fields))))


def _delay(fields: Fields) -> timedelta:
    if fields.count("repeat_every_seconds"):
        message = "What is done again and again stands in the settings, as a [[schedule]]."
        raise RejectedError(message)
    written = fields.text("start_at", "")
    if not written:
        return timedelta(0)
    try:
        moment = datetime.fromisoformat(written)
    except ValueError as error:
        message = "`start_at` is a time in ISO 8601, such as 2026-11-20T12:00:00+00:00."
        raise RejectedError(message) from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(moment - datetime.now(UTC), timedelta(0))


# ------------------------------------------------------------------------------------------- jobs


def _all(session: Session, request: Request) -> Sequence[Job]:
    signed_in(session)
    wanted = request.query.get("status")
    words = {"pending", "running"} if wanted is None else {wanted.replace("queued", "pending")}
    if not words <= {*_WORDS.values(), "timeout"}:
        message = f"A status is one of {', '.join(_WORDS.values())}."
        raise RejectedError(message)
    states = [state for state, word in _WORDS.items() if word in words]
    found = [job for state in states for job in islice(session.jobs.list(state=state), _MOST)]
    return sorted(found, key=lambda job: job.id)


def _described(session: Session, job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "manifest": _MANIFESTS.get(job.kind, job.kind),
        "owner_id": describe(session, job.created_by)["id"],
        "created": job.created_at.isoformat(),
        "status": _WORDS[job.state],
        "items_spec": None,
        "start_at": None if job.run_after <= job.created_at else job.run_after.isoformat(),
        "repeat_every_seconds": None,
    }


JOBS: Final = Listing(_all, _described, "List jobs: one's own, or all for administrators.")


def _find(session: Session, request: Request) -> Job:
    signed_in(session)
    written = request.fields["job"]
    missing = no_such(f"Job with id {written}")
    if not (written.isascii() and written.isdecimal() and len(written) <= _DIGITS):
        raise missing
    try:
        return session.jobs.get(int(written))
    except JobMissingError as error:
        raise missing from error


def get(session: Session, request: Request) -> Response:
    """Show a job."""
    return Response.json(_described(session, _find(session, request)))


def create(session: Session, request: Request) -> Response:
    """Start a job of ours by its kind, for administrators; a job over chosen packages is none."""
    signed_in(session)
    session.require(Action.ADMIN, Resource())
    fields = Fields.of(request, "manifest", "items_spec", "start_at", "repeat_every_seconds")
    kind = fields.text("manifest")
    if fields.text("items_spec", "") not in {"", "*"}:
        message = "Jobs of this server work on a whole channel; leave items_spec empty."
        raise RejectedError(message)
    job = session.jobs.submit(ACTIONS.get(kind, kind), delay=_delay(fields))
    return Response.json(_described(session, job), 201)


def patch(session: Session, request: Request) -> Response:
    """Cancel a job (`cancelled`), or do it again (`pending`)."""
    job = _find(session, request)
    fields = Fields.of(request, "status", "items_spec", "force")
    status = fields.text("status", "")
    if status == "cancelled":
        session.jobs.cancel(job.id)
    elif status in {"pending", "queued"}:
        session.jobs.retry(job.id)
    else:
        message = "A job can be set to cancelled, or to pending."
        raise RejectedError(message)
    return Response.json(None)


def _tasks(session: Session, request: Request) -> Sequence[Job]:
    job = _find(session, request)
    wanted = request.query.get("status")
    return [job] if wanted in {None, _WORDS[job.state]} else []


def _task(_session: Session, job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "job_id": job.id,
        "package_version": {},
        "created": job.created_at.isoformat(),
        "status": _WORDS[job.state],
    }


TASKS: Final = Listing(_tasks, _task, "List what a job does: one task, since it is done as one.")
