"""``/api/v1/jobs`` over WSGI: what is told, to whom, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from gate import Gate
from job_kinds import Kinds, Works, opened
from wsgi_calls import basic, call

from repocore.config import Settings
from repocore_web import create_app

JOBS = "/api/v1/jobs"


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
    assert "Sign in" in ask("", name=None, status=401)


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


@pytest.fixture
def send(works):
    app = create_app(works.registry)

    def sent(path: str, method: str, body: object = None, name: str | None = "root"):
        fields = {} if name is None else {"HTTP_AUTHORIZATION": basic(name, "high-water")}
        return call(app, f"{JOBS}{path}", method, body=json.dumps(body).encode(), **fields)

    return sent


def test_a_job_is_submitted_by_who_may(works, send):
    """Each kind says who that is; the answer says where the job is."""
    answer = send("", "POST", {"kind": "act", "payload": {"n": 1}, "key": "k", "priority": 3})
    job = json.loads(answer.body)
    assert (answer.status, answer.headers["location"]) == (
        201,
        "http://server.example/api/v1/jobs/1",
    )
    assert (job["payload"], job["key"], job["priority"], job["created_by"]) == (
        {"n": 1}, "k", 3, "root"
    )  # fmt: skip
    assert send("", "POST", {"kind": "write"}, "ann").status == 201
    assert send("", "POST", {"kind": "act"}, "ann").status in {403, 404}
    assert send("", "POST", {"kind": "act"}, None).status == 401


@pytest.mark.parametrize(
    "body",
    [{}, {"kind": "none"}, {"kind": "act", "payload": [1]}, {"kind": "act", "priority": 1001},
     {"kind": "act", "key": ""}, {"kind": "act", "when": "now"},
     {"kind": "act", "payload": {"a": "\ud800"}}],
)  # fmt: skip
def test_a_job_of_no_sense_is_refused(works, send, body):
    """And none is queued."""
    assert send("", "POST", body).status == 422
    assert list(works.jobs.list()) == []


def test_a_job_is_done_again(works, send):
    """As a new one where it has ended; by who may see it."""
    works.jobs.submit("act")
    works.jobs.cancel(1)
    assert json.loads(send("/1/retry", "POST").body)["id"] == 2
    assert send("/1/retry", "POST", None, "ann").status == 404
    assert send("/x/retry", "POST").status == 404


def test_kinds_are_listed(works, ask):
    """With what each does; for who has signed in."""
    kinds = {one["kind"]: one["summary"] for one in ask("/kinds")["items"]}
    assert {"act", "once", "write"} <= kinds.keys()
    assert all(kinds.values())
    ask("/kinds", name=None, status=401)


def test_pages_of_jobs_go_on(works, ask):
    """From the number of the last one."""
    for _ in range(5):
        works.jobs.submit("act")
    first = ask("?limit=2")
    second = ask(f"?limit=2&cursor={first['next']}")
    assert [job["id"] for job in first["items"] + second["items"]] == [5, 4, 3, 2]
    ask("?limit=1001", status=422)
