"""The room of jobs: what is queued, seen, cancelled and repeated, and by whom."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from job_kinds import Kinds, Works, opened

from repocore import (
    AccessDeniedError,
    Action,
    ConflictError,
    JobFinished,
    JobMissingError,
    JobState,
    JobSubmitted,
    JobTimeoutError,
    NotAuthenticatedError,
    RejectedError,
    Rule,
    hookimpl,
)
from repocore.config import LimitSettings


@pytest.fixture
def works(settings) -> Iterator[Works]:
    with opened(settings) as found:
        found.admin.repositories.create("conan/main")
        yield found


def test_a_job_is_queued_with_what_it_is_told(works):
    """Submitting is quick and durable: the row says all, before anybody works."""
    job = works.jobs.submit("act", {"depth": [1, "two"]}, key="k", priority=3)
    found = works.jobs.get(job.id)
    assert found == job
    assert (found.kind, found.payload, found.key, found.priority) == (
        "act",
        {"depth": [1, "two"]},
        "k",
        3,
    )
    assert (found.state, found.attempts, found.max_attempts) == (JobState.QUEUED, 0, 3)
    assert found.created_by == "system"
    assert abs(datetime.now(UTC) - found.created_at) < timedelta(hours=1)


def test_kinds_say_what_they_do(works):
    """Those of plugins, and the three that ship."""
    kinds = works.jobs.kinds()
    assert {"retention", "gc", "check", "act"} <= kinds.keys()
    assert kinds["gc"] == "Delete what nothing names any more."


def test_the_highest_goes_first_and_then_the_oldest(works):
    """Priority, then time."""
    for name, priority in (("a", 0), ("b", 5), ("c", 0), ("d", -1)):
        works.jobs.submit("act", {"name": name}, priority=priority)
    while works.work():
        pass
    assert [ran["name"] for ran in works.kinds.ran] == ["b", "a", "c", "d"]


def test_a_delayed_job_waits(works):
    """It is not run before its time, unless somebody asks for that."""
    job = works.jobs.submit("act", delay=timedelta(hours=1))
    assert not works.work()
    assert works.jobs.retry(job.id).id == job.id
    assert works.work()


def test_one_key_is_queued_once(works):
    """A second submit is the same job: sooner, and higher, if that was asked."""
    first = works.jobs.submit("act", {"n": 1}, key="k", delay=timedelta(hours=1))
    second = works.jobs.submit("act", {"n": 2}, key="k", priority=7)
    assert (second.id, second.payload, second.priority) == (first.id, {"n": 1}, 7)
    assert second.run_after < first.run_after
    assert works.jobs.submit("act", key="k", delay=timedelta(hours=1)).run_after < first.run_after
    assert works.jobs.submit("act", key="other").id != first.id
    assert works.jobs.submit("once", key="k").id != first.id
    assert works.jobs.submit("act").id != works.jobs.submit("act").id


def test_while_one_runs_one_more_is_queued(works):
    """And it waits until the first has ended: two of a key never run at once."""
    queued: list[int] = []
    order: list[object] = []

    def act(session, payload, _progress):
        order.append(payload.get("n"))
        if not queued:
            queued.extend(session.jobs.submit("act", {"n": n}, key="k").id for n in (2, 3))
            order.append(works.work())

    works.kinds.act = act
    works.jobs.submit("act", {"n": 1}, key="k")
    assert works.work()
    assert queued[0] == queued[1]
    assert order == [1, False]
    assert works.work()
    assert order == [1, False, 2]


def test_a_queued_job_is_cancelled_at_once(works):
    """Nobody runs it; to cancel it again changes nothing."""
    job = works.jobs.submit("act")
    assert works.jobs.cancel(job.id).state is JobState.CANCELLED
    assert works.jobs.cancel(job.id).state is JobState.CANCELLED
    assert not works.work()
    assert works.kinds.ran == []


def test_what_has_ended_stays_as_it_is(works):
    """A job that is done cannot be cancelled any more."""
    job = works.done()
    assert works.jobs.cancel(job.id) == job


def test_an_ended_job_is_repeated_under_a_new_number(works):
    """With the same kind, payload and key."""
    job = works.done("act", {"n": 1}, key="k")
    again = works.jobs.retry(job.id)
    assert (again.id > job.id, again.payload, again.key) == (True, {"n": 1}, "k")
    assert again.state is JobState.QUEUED


def test_jobs_are_listed_newest_first(works):
    """Of a state, of a kind, before a number, and page by page."""
    for _ in range(3):
        works.jobs.submit("act")
    works.jobs.submit("once")
    assert [job.id for job in works.jobs.list()] == [4, 3, 2, 1]
    assert [job.id for job in works.jobs.list(limit=2)] == [4, 3]
    assert [job.id for job in works.jobs.list(before=3)] == [2, 1]
    assert [job.id for job in works.jobs.list(kind="once")] == [4]
    works.jobs.cancel(2)
    assert [job.id for job in works.jobs.list(state=JobState.CANCELLED)] == [2]
    assert list(works.jobs.list(limit=0)) == []


def test_lists_go_over_pages(settings):
    """However small these are."""
    with opened(attrs.evolve(settings, limits=LimitSettings(page=2))) as works:
        for _ in range(5):
            works.jobs.submit("act")
        assert [job.id for job in works.jobs.list()] == [5, 4, 3, 2, 1]


def test_waiting_ends_with_the_job(works):
    """In whichever state, or when patience does."""
    job = works.jobs.submit("act")
    with pytest.raises(JobTimeoutError, match="still queued"):
        works.jobs.wait(job.id, timeout=timedelta(milliseconds=20))
    works.jobs.cancel(job.id)
    assert works.jobs.wait(job.id).state is JobState.CANCELLED
    with pytest.raises(JobMissingError):
        works.jobs.wait(99)


@pytest.mark.parametrize(
    "payload", [{"x": object()}, {"x": math.nan}, {"x": "\ud800"}, {"x": "y" * 70000}]
)
def test_a_payload_is_a_small_object_of_json(works, payload):
    """Anything else is refused before it is queued."""
    with pytest.raises(RejectedError, match="object of JSON"):
        works.jobs.submit("act", payload)


def test_wrong_submissions_are_refused(works):
    """An unknown kind, a key of no sense, a priority beyond all bounds."""
    with pytest.raises(RejectedError, match="act, check, gc"):
        works.jobs.submit("nothing")
    for key in ("", "x" * 501, "a\nb"):
        with pytest.raises(RejectedError, match="key"):
            works.jobs.submit("act", key=key)
    with pytest.raises(RejectedError, match="priority"):
        works.jobs.submit("act", priority=1001)
    assert list(works.jobs.list()) == []


# ------------------------------------------------------------------------------- permissions


def test_what_a_kind_needs_is_asked(works):
    """ADMIN where it says nothing; else what it says of its payload."""
    works.allow("user:ann", "read,write", "conan/main/zlib")
    ann = works.as_("ann")
    assert ann.jobs.submit("write", {"package": "zlib"}).created_by == "ann"
    with pytest.raises(AccessDeniedError):
        ann.jobs.submit("write", {"package": "boost"})
    for kind in ("gc", "retention", "check", "act"):
        with pytest.raises(AccessDeniedError):
            ann.jobs.submit(kind)
    with pytest.raises(NotAuthenticatedError):
        works.as_(None).jobs.submit("gc")


def test_jobs_of_others_are_not_seen(works):
    """They are missing for all but administrators, in every verb."""
    works.allow("*", "read,write", "conan/main/**")
    mine = works.as_("ann").jobs.submit("write")
    works.jobs.submit("act")
    nobodys = works.as_(None).jobs.submit("write")
    works.as_("system").jobs.submit("write")
    assert [job.id for job in works.as_("ann").jobs.list()] == [mine.id]
    assert works.as_("ann").jobs.cancel(mine.id).state is JobState.CANCELLED
    assert len(list(works.jobs.list())) == 4
    for name, number in (("bob", mine.id), (None, nobodys.id), ("system", 2), ("anonymous", 3)):
        room = works.as_(name).jobs
        assert list(room.list()) == []
        for verb in (room.get, room.cancel, room.retry, room.output, room.wait):
            with pytest.raises(JobMissingError):
                verb(number)


def test_an_administrator_sees_all(works):
    """By the rules, and not only the embedding application."""
    works.allow("user:root", "admin", "**")
    works.allow("user:ann", "read,write", "conan/main/**")
    job = works.as_("ann").jobs.submit("write")
    assert works.as_("root").jobs.cancel(job.id).state is JobState.CANCELLED


def test_a_narrow_token_sees_what_it_may_submit(works):
    """A token that cannot write neither sees nor cancels what its account writes."""
    works.allow("user:ann", "read,write", "conan/main/**")
    job = works.as_("ann").jobs.submit("write", {"package": "zlib"})

    def scoped(action: Action, pattern: str):
        rule = Rule(subject="*", actions=frozenset({action, Action.READ}), pattern=pattern)
        return works.as_("ann", scope=(rule,)).jobs

    assert scoped(Action.WRITE, "conan/main/zlib/**").get(job.id) == job
    for narrow in (
        scoped(Action.READ, "conan/main/**"),
        scoped(Action.WRITE, "conan/main/boost/**"),
    ):
        assert list(narrow.list()) == []
        with pytest.raises(JobMissingError):
            narrow.cancel(job.id)


def test_a_key_does_not_reach_the_jobs_of_others(works):
    """Whoever may not do what is queued under a key is told to take another."""
    works.allow("user:ann", "read,write", "conan/main/zlib")
    works.jobs.submit("write", {"package": "boost"}, key="k")
    with pytest.raises(ConflictError, match="another key"):
        works.as_("ann").jobs.submit("write", {"package": "zlib"}, key="k", priority=9)
    assert works.jobs.get(1).priority == 0


# ------------------------------------------------------------------------------------- events


def test_listeners_hear_of_both_ends(settings):
    """Once when it is queued, and once when it has ended."""
    heard: list[object] = []

    class Listener:
        @hookimpl
        def repocore_event(self, event):
            if isinstance(event, JobSubmitted | JobFinished):
                heard.append(event)

    with opened(settings, Kinds(), Listener()) as works:
        works.jobs.submit("act", key="k")
        works.jobs.submit("act", key="k")
        works.work()
        works.jobs.cancel(works.jobs.submit("once").id)
        works.registry.tell()
    assert heard == [
        JobSubmitted(job=1, kind="act", by="system"),
        JobFinished(job=1, kind="act", state="done", by="system"),
        JobSubmitted(job=2, kind="once", by="system"),
        JobFinished(job=2, kind="once", state="cancelled", by="system"),
    ]
