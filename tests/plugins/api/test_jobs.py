"""``/api/v1/jobs`` over WSGI: what is told, to whom, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from job_kinds import Kinds, Works, opened
from wsgi_calls import basic, call

from repocore import Password, Principal, hookimpl
from repocore.config import Settings
from repocore_web import create_app

JOBS = "/api/v1/jobs"


class Gate:
    """The password of everybody is ``high-water``."""

    @hookimpl
    def repocore_authenticate(self, credentials):
        match credentials:
            case Password(username, "high-water"):
                return Principal(name=username, via="gate")
        return None


@pytest.fixture
def works(tmp_path) -> Iterator[Works]:
    with opened(Settings(data=tmp_path), Kinds(), Gate()) as found:
        found.admin.repositories.create("conan/main")
        found.allow("user:ann", "read,write", "conan/main/**")
        found.allow("user:root", "admin", "**")
        yield found


@pytest.fixture
def ask(works):
    app = create_app(works.registry)

    def asked(path: str, method: str = "GET", *, name: str | None = "root", status: int = 200):
        fields = {} if name is None else {"HTTP_AUTHORIZATION": basic(name, "high-water")}
        answer = call(app, f"{JOBS}{path}", method, **fields)
        assert answer.status == status, answer.text
        told = json.loads(answer.text)
        return told if status == 200 else told["detail"]

    return asked


def test_a_job_is_told_while_it_runs(works, ask):
    """Its state, how far it is, and what it writes, from where one has stopped reading."""

    def act(_session, _payload, progress):
        progress.start(2, "Half")
        progress.advance()
        progress.log("one")
        progress.check()
        told = ask("/1")
        assert (told["state"], told["attempts"]) == ("running", 1)
        assert told["progress"] == {"total": 2, "done": 1, "message": "Half"}
        first = ask("/1/output")
        assert first == {"text": "one\n", "after": 1, "ended": False, "state": "running"}
        progress.log("two")
        return "All of it."

    works.kinds.act = act
    works.jobs.submit("act", {"n": 1}, key="k")
    assert works.work()
    told = ask("/1")
    assert (told["state"], told["outcome"], told["error"]) == ("done", "All of it.", None)
    assert (told["kind"], told["payload"], told["key"]) == ("act", {"n": 1}, "k")
    assert told["finished_at"] > told["created_at"]
    assert ask("/1/output?after=1") == {"text": "two\n", "after": 2, "ended": True, "state": "done"}
    assert ask("/1/output?after=2")["text"] == ""


def test_jobs_are_listed(works, ask):
    """The newest first; of a state, of a kind, before a number, so many."""
    for kind in ("act", "once", "act"):
        works.jobs.submit(kind)
    works.jobs.cancel(1)

    def numbers(query: str) -> list[int]:
        return [job["id"] for job in ask(query)["jobs"]]

    assert numbers("") == [3, 2, 1]
    assert numbers("?state=queued") == [3, 2]
    assert numbers("?kind=once") == [2]
    assert numbers("?before=3&limit=1") == [2]


def test_a_job_is_cancelled(works, ask):
    """By a POST; a GET changes nothing."""
    works.jobs.submit("act")
    ask("/1/cancel", status=405)
    assert ask("/1/cancel", "POST")["state"] == "cancelled"


def test_jobs_of_others_are_missing(works, ask):
    """To the letter as what is not there; one's own are there."""
    works.jobs.submit("act")
    works.as_("ann").jobs.submit("write")
    assert [job["id"] for job in ask("", name="ann")["jobs"]] == [2]
    missing = ask("/99", name="ann", status=404)
    for path in ("/1", "/1/output", "/x", "/0x1", "/9" + "9" * 30):
        assert ask(path, name="ann", status=404) == missing
    assert ask("/1/cancel", "POST", name="ann", status=404) == missing
    assert ask("/2", name=None, status=404) == missing
    assert ask("", name=None) == {"items": [], "next": None, "jobs": []}


@pytest.mark.parametrize(
    "query", ["?state=odd", "?limit=-1", "?limit=x", "?before=1.5", "?limit=" + "9" * 40]
)
def test_a_query_of_no_sense_is_refused(ask, query):
    """With what it takes."""
    ask(query, status=422)


def test_a_position_of_no_sense_is_refused(works, ask):
    """It is a number that an answer gave."""
    works.jobs.submit("act")
    ask("/1/output?after=x", status=422)
