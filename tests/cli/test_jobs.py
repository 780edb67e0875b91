"""``job`` and ``worker``."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from repocore import open_registry
from repocore.cli import jobs
from repocore.config import load_settings

PLUGIN = """
from repocore import JobError, hookimpl
from repocore.ports import JobHandler


def run(session, payload, progress):
    progress.start(3, "Singing")
    progress.advance(2)
    progress.log("la \\x1b[31m la\\nend")
    if payload.get("fail"):
        raise JobError("It cannot be.")
    return "Sung."


@hookimpl
def repocore_jobs():
    return {"sing": JobHandler(run=run, summary="Sing.")}
"""


@pytest.fixture
def choir(house):
    """An installation whose plugin brings jobs that sing."""
    (house.data / "sing.py").write_text(PLUGIN, encoding="utf-8")
    (house.data / "repocore.toml").write_text('[plugins]\nfiles = ["sing.py"]\n', "utf-8")
    return house


def test_a_job_is_queued_run_and_shown(choir):
    """From the command line alone."""
    queued = choir.json("job", "run", "sing", "--payload", '{"loud": true}', "--key", "k")
    assert (queued["state"], queued["key"], queued["payload"]) == ("queued", "k", {"loud": True})
    assert choir.json("job", "run", "sing", "--key", "k", "--priority", "2")["id"] == queued["id"]
    assert choir("worker", "--once").stdout == "Ran 1 attempt.\n"
    assert choir.json("worker", "--once") == {"attempts": 0}
    shown = dict(line.split("  ", 1) for line in choir("job", "show", "1").stdout.splitlines())
    told = {name.strip(): value.strip() for name, value in shown.items()}
    assert (told["state"], told["outcome"]) == ("done", "Sung.")
    assert (told["progress"], told["attempt"]) == ("Singing: 2 of 3", "1 of 5")
    assert told["created"].endswith("by system")
    assert choir.json("job", "show", "1")["progress"] == {
        "total": 3,
        "done": 2,
        "message": "Singing",
    }


def test_jobs_are_listed(choir):
    """The newest first, of a state or a kind, so many at most."""
    for _ in range(2):
        choir("job", "run", "sing")
    choir("job", "run", "gc")
    choir("job", "cancel", "1")
    assert "Job 1 had ended before: cancelled." in choir("job", "cancel", "1").stderr
    assert [one["id"] for one in choir.json("job", "list")] == [3, 2, 1]
    assert [one["id"] for one in choir.json("job", "list", "--state", "cancelled")] == [1]
    assert [one["id"] for one in choir.json("job", "list", "--kind", "gc")] == [3]
    assert [one["id"] for one in choir.json("job", "list", "--limit", "1")] == [3]
    heading, first, *_ = choir("job", "list").stdout.splitlines()
    assert heading.split() == ["JOB", "KIND", "STATE", "PROGRESS", "CREATED", "BY"]
    assert first.split()[:3] == ["3", "gc", "queued"]


def test_output_is_printed_without_what_moves_a_terminal(choir):
    """Others may have named what a job writes of."""
    choir("job", "run", "sing")
    assert choir("job", "log", "1").stdout == ""
    choir("worker", "--once")
    assert choir("job", "log", "1").stdout == "la \\x1b[31m la\nend\n"
    assert choir("job", "log", "1", "--follow").stdout == "la \\x1b[31m la\nend\n"
    written = choir.json("job", "log", "1", "--follow")
    assert written == {"text": "la \x1b[31m la\nend\n", "after": 1}


def test_a_job_is_followed_to_its_end(choir, monkeypatch):
    """What fails is told by the exit status."""

    def work(_seconds):
        settings = load_settings(data=choir.data, environ={})
        with open_registry(settings=settings) as registry:
            registry.worker().work()

    monkeypatch.setattr(jobs, "time", SimpleNamespace(sleep=work))
    done = choir("job", "run", "sing", "--wait").stdout
    assert done.startswith("la ")
    assert "outcome     Sung." in done
    failed = choir("job", "run", "sing", "--payload", '{"fail": 1}', "--wait", status=1).stdout
    assert "error       It cannot be." in failed
    assert choir("job", "retry", "2", "--wait", status=1).stdout.startswith("la ")


def test_a_job_is_done_again(choir):
    """One that has ended gets a new number."""
    choir("job", "run", "sing")
    choir("worker", "--once", "--kind", "sing")
    assert choir.json("job", "retry", "1")["id"] == 2


def test_wrong_use_is_told(choir):
    """What is no JSON, no kind, no job."""
    for payload in ("[1]", "{", '"x"'):
        told = choir.refused("job", "run", "sing", "--payload", payload, status=2)
        assert "object of JSON" in told["error"]
    assert "there are check, gc" in choir.refused("job", "run", "dance")["error"]
    assert choir.refused("job", "show", "9")["kind"] == "JobMissingError"
    assert "dance" in choir.refused("worker", "--once", "--kind", "dance")["error"]


def test_a_worker_needs_an_installation(program):
    """It makes none: it would wait for jobs that nobody queues."""
    assert "no installation" in program.refused("worker", "--threads", "1")["error"]


def test_a_schedule_is_kept_by_a_worker(choir):
    """Whoever works queues what is due."""
    schedule = '[[schedule]]\njob = "sing"\nevery = "1ms"\n'
    (choir.data / "repocore.toml").write_text(
        f'{schedule}[plugins]\nfiles = ["sing.py"]\n', encoding="utf-8"
    )
    while not choir.json("job", "list"):
        choir("worker", "--once", "--kind", "gc")
    (job,) = choir.json("job", "list")
    assert (job["kind"], job["created_by"]) == ("sing", "system")
    assert json.loads(choir("config", "show", "--json").stdout)["schedule"][0]["job"] == "sing"
