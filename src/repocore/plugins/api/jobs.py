"""``/api/v1/jobs``: submit background work, see how far it is, read its output, cancel and retry.

Who sees which job is the room's business: whoever submitted it, and administrators.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Self

import attrs

from repocore.errors import InvalidRequestError, JobMissingError
from repocore.http import Admits, Request, Response, Route
from repocore.model import Job, JobState
from repocore.plugins.api.answering import plain, require_account, tagged
from repocore.plugins.api.describing import TOP, route
from repocore.plugins.api.paging import answer_page, page_of
from repocore.plugins.api.reading import number_of, read_body, read_query
from repocore.plugins.api.shapes import Listing, PageQuery
from repocore.registry import Session

__all__ = [
    "JobOutputView",
    "JobProgressView",
    "JobView",
    "JobsQuery",
    "KindView",
    "NewJob",
    "OutputQuery",
    "cancel",
    "get",
    "kinds",
    "list_jobs",
    "output",
    "retry",
    "routes",
    "submit",
]


@attrs.frozen(kw_only=True)
class JobProgressView:
    """How far a job is."""

    total: Annotated[int | None, "The steps of this phase; null where nobody knows."]
    done: Annotated[int, "Those that are done."]
    message: Annotated[str, "What it does."]


@attrs.frozen(kw_only=True)
class JobView:
    """A job: a unit of background work."""

    id: Annotated[int, "Its number."]
    kind: Annotated[str, "What it does."]
    payload: Annotated[Mapping[str, Any], "What it is about."]
    key: Annotated[str | None, "Of the jobs of one kind and key, one waits and one runs."]
    state: Annotated[JobState, "Where it is on its way."]
    cancelling: Annotated[bool, "Whether it runs and was asked to give up."]
    priority: Annotated[int, "The highest goes first."]
    attempts: Annotated[int, "How often it was started."]
    max_attempts: Annotated[int, "How often it may be."]
    progress: Annotated[JobProgressView, "How far it is."]
    outcome: Annotated[str | None, "What it did, in a sentence."]
    error: Annotated[str | None, "What went wrong at its last attempt, in a sentence."]
    created_by: Annotated[str, "Who submitted it."]
    created_at: Annotated[datetime, "When."]
    run_after: Annotated[datetime, "It does not start before."]
    started_at: Annotated[datetime | None, "When it last started."]
    finished_at: Annotated[datetime | None, "When it ended."]

    @classmethod
    def of(cls, job: Job) -> Self:
        """A job as its row tells of it."""
        names = {field.name for field in attrs.fields(cls)} - {"progress"}
        progress = JobProgressView(**attrs.asdict(job.progress))
        return cls(progress=progress, **{name: getattr(job, name) for name in names})


@attrs.frozen(kw_only=True)
class JobOutputView:
    """What a job has written after a position."""

    text: Annotated[str, "The output, as far as it is kept."]
    after: Annotated[int, "The position to go on from."]
    ended: Annotated[bool, "Whether nothing more will come."]
    state: Annotated[JobState, "Where the job is on its way."]


@attrs.frozen(kw_only=True)
class KindView:
    """A kind of jobs."""

    kind: Annotated[str, "Its name."]
    summary: Annotated[str, "What it does, in a line."]


@attrs.frozen(kw_only=True)
class JobsQuery(PageQuery):
    """Which jobs."""

    state: Annotated[JobState | None, "Only those in a state."] = None
    kind: Annotated[str | None, "Only those of a kind."] = None
    before: Annotated[int | None, "Only those with smaller numbers."] = None


@attrs.frozen(kw_only=True)
class OutputQuery:
    """From where on."""

    after: Annotated[int, "The position that the last answer ended at."] = 0


@attrs.frozen(kw_only=True)
class NewJob:
    """A job that is to be."""

    kind: Annotated[str, "What it is to do: one of `/api/v1/jobs/kinds`."]
    payload: Annotated[Mapping[str, Any], "What it is about; its kind says what that has."] = (
        attrs.field(factory=dict[str, Any])
    )
    key: Annotated[str | None, "Of the jobs of one kind and key, one waits and one runs."] = None
    priority: Annotated[int, "The highest goes first; from -1000 to 1000."] = 0


_TOP: Final = "jobs"


def routes() -> Iterable[Route[Session]]:
    """Seven routes of the site."""
    job = {200: JobView}
    own = Admits.ONESELF
    listed = {200: Listing(JobView, once="jobs")}
    one = f"{_TOP}/{{number}}"
    yield route("GET", _TOP, list_jobs, own, query=JobsQuery, answers=listed)
    yield route("POST", _TOP, submit, Admits.ACCOUNTS, body=NewJob, answers={201: JobView})
    yield route(
        "GET",
        f"{_TOP}/kinds",
        kinds,
        Admits.ACCOUNTS,
        query=PageQuery,
        answers={200: Listing(KindView)},
    )
    yield route("GET", one, get, own, answers=job)
    yield route("POST", f"{one}/cancel", cancel, own, answers=job)
    yield route("POST", f"{one}/retry", retry, own, answers=job)
    yield route(
        "GET", f"{one}/output", output, own, query=OutputQuery, answers={200: JobOutputView}
    )


def list_jobs(session: Session, request: Request) -> Response:
    """List one's jobs, or all for an administrator, the newest first."""
    require_account(session)
    query = read_query(request, JobsQuery)
    page = page_of(session, query, int)
    before = page.after[0] if page.after else query.before
    _positive("before", before)
    found = session.jobs.list(state=query.state, kind=query.kind, before=before)
    return answer_page(request, page, found, lambda one: (one.id,), JobView.of, once="jobs")


def submit(session: Session, request: Request) -> Response:
    """Queue a job of a kind that one may run."""
    require_account(session)
    wanted = read_body(request, NewJob)
    job = session.jobs.submit(wanted.kind, wanted.payload, key=wanted.key, priority=wanted.priority)
    answer = Response.json(plain(JobView.of(job)), 201)
    where = ("Location", f"{request.base_url}{TOP}/jobs/{job.id}")
    return attrs.evolve(answer, headers=(*answer.headers, where))


def kinds(session: Session, request: Request) -> Response:
    """List the kinds of jobs that there are, whether one may run them or not."""
    require_account(session)
    page = page_of(session, read_query(request, PageQuery), str)
    after = page.after[0] if page.after else ""
    known = session.jobs.kinds()
    found = (KindView(kind=kind, summary=text) for kind, text in known.items() if kind > after)
    return answer_page(request, page, found, lambda one: (one.kind,), lambda one: one)


def get(session: Session, request: Request) -> Response:
    """Show a job: its state, how far it is, and how it ended."""
    return tagged(request, JobView.of(session.jobs.get(_number(request))))


def cancel(session: Session, request: Request) -> Response:
    """Cancel a job: a queued one at once, a running one as soon as it can be ended."""
    return Response.json(plain(JobView.of(session.jobs.cancel(_number(request)))))


def retry(session: Session, request: Request) -> Response:
    """Do a job again that has ended, as a new one, or start one at once that waits."""
    return Response.json(plain(JobView.of(session.jobs.retry(_number(request)))))


def output(session: Session, request: Request) -> Response:
    """Show what a job has written; `?after=` the position of the last answer continues it."""
    number = _number(request)
    after = read_query(request, OutputQuery).after
    _positive("after", after)
    # Asked before, so that a job which ends meanwhile is asked for its last words, too.
    state = session.jobs.get(number).state
    written = session.jobs.output(number, after=after)
    view = JobOutputView(text=written.text, after=written.after, ended=state.ended, state=state)
    return tagged(request, view)


def _number(request: Request) -> int:
    return number_of(request, JobMissingError())


def _positive(name: str, number: int | None) -> None:
    if number is not None and number < 0:
        raise InvalidRequestError(problems=(f"`{name}` has to be no less than nothing.",))
