"""``job`` and ``worker``."""

from __future__ import annotations

import json
from types import SimpleNamespace

import psycopg
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


# ------------------------------------------------------------------------------- procrastinate


@pytest.fixture
def queue(program, postgres_databases, postgres_tables):
    """The same choir, whose jobs procrastinate runs."""
    with postgres_databases.fresh(postgres_tables) as url:
        program.data.mkdir()
        (program.data / "sing.py").write_text(PLUGIN, encoding="utf-8")
        text = f'catalog = "{url}"\nrunner = "procrastinate:0"\n[plugins]\nfiles = ["sing.py"]\n'
        (program.data / "repocore.toml").write_text(text, encoding="utf-8")
        program("init")
        yield program


@pytest.mark.postgres
def test_the_commands_are_the_same_with_a_queue(queue):
    """Submit, list, cancel, repeat, and a worker for what is due."""
    queued = queue.json("job", "run", "sing", "--key", "k")
    assert queue.json("job", "run", "sing", "--key", "k", "--priority", "2")["id"] == queued["id"]
    assert queue("job", "cancel", "1").stdout.splitlines()[2] == "state       cancelled"
    assert queue.json("worker", "--once") == {"attempts": 0}
    assert queue.json("job", "retry", "1")["id"] == 2
    assert queue("worker", "--once", "--kind", "gc").stdout == "Ran 0 attempts.\n"
    assert queue("worker", "--once", "--threads", "1").stdout == "Ran 1 attempt.\n"
    assert queue("job", "log", "2").stdout == "la \\x1b[31m la\nend\n"
    shown = queue.json("job", "show", "2")
    assert (shown["state"], shown["outcome"], shown["attempts"]) == ("done", "Sung.", 1)
    assert [one["state"] for one in queue.json("job", "list")] == ["done", "cancelled"]
    queue("job", "run", "sing", "--payload", '{"fail": 1}')
    queue("worker", "--once")
    assert queue.json("job", "show", "3")["error"] == "It cannot be."


@pytest.mark.postgres
def test_the_tables_of_the_queue_are_migrated(queue, monkeypatch):
    """By the command that migrates the catalog; a server that may not says so."""
    assert queue.json("migrate", "--plan")["pending"] == []
    settings = load_settings(data=queue.data, environ={})
    with psycopg.connect(settings.catalog, autocommit=True) as server:
        server.execute("DROP TABLE repocore_procrastinate, procrastinate_periodic_defers")
        server.execute("DROP TABLE procrastinate_events, procrastinate_jobs CASCADE")
        server.execute("DROP TABLE procrastinate_workers")
        for kind in ("job_to_defer_v1", "job_status", "job_event_type"):
            server.execute(f"DROP TYPE procrastinate_{kind} CASCADE")
        gone = "SELECT 'DROP FUNCTION ' || oid::regprocedure || ' CASCADE' FROM pg_proc"
        for (drop,) in server.execute(f"{gone} WHERE proname LIKE 'procrastinate%'").fetchall():
            server.execute(drop)
    monkeypatch.setenv("REPOCORE__MIGRATE_AT_START", "false")
    assert "run `repocore migrate`" in queue.refused("job", "list")["error"]
    assert "The tables of the queue, by procrastinate" in queue("migrate", "--plan").stdout
    assert queue.json("migrate")["done"] == ["procrastinate"]
    assert queue.json("job", "list") == []


@pytest.mark.postgres
def test_settings_with_a_queue_are_checked(queue, monkeypatch):
    """`doctor` looks at the real one, `config check` at no database."""
    assert "settings are good" in queue("config", "check").stdout
    assert "have not ended" in queue("doctor").stdout
    monkeypatch.setenv("REPOCORE__RUNNER", "procrastinate:many")
    assert "procrastinate:4" in queue.refused("config", "check")["error"]
