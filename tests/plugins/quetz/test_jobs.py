"""Actions on channels are jobs of ours, told in quetz's words."""

from __future__ import annotations

from datetime import timedelta

import pytest

JOB = {
    "id", "manifest", "owner_id", "created", "status", "items_spec", "start_at",
    "repeat_every_seconds",
}  # fmt: skip
ACTIONS = "/api/channels/main/actions"


@pytest.fixture(autouse=True)
def _channel(quetz, tide, zlib) -> None:
    quetz.channel("main", "mike")
    for one in (tide, zlib):
        assert quetz.upload("main", one, "mike").status == 201


def run(quetz) -> None:
    """Do what is queued, here and now."""
    worker = quetz.registry.worker()
    while worker.work():
        pass


@pytest.mark.parametrize("action", ["generate_indexes", "validate_packages"])
def test_an_action_is_a_job(quetz, action) -> None:
    """Of whoever manages the channel: queued, done, and told with exact keys."""
    made = quetz.value(ACTIONS, "PUT", {"action": action}, "mike")
    assert set(made) == JOB
    assert (made["manifest"], made["status"], made["start_at"]) == (action, "pending", None)
    assert made["owner_id"] == quetz.value("/api/users/mike")["id"]
    path = f"/api/jobs/{made['id']}"
    assert quetz.value(path, who="mike") == made
    run(quetz)
    assert quetz.value(path, who="mike")["status"] == "success"
    tasks = quetz.value(f"{path}/tasks", who="mike")["result"]
    assert [set(one) for one in tasks] == [{"id", "job_id", "package_version", "created", "status"}]
    assert quetz.value(f"{path}/tasks?status=pending", who="mike")["result"] == []
    for who in ("nora", "mara"):
        assert quetz.refused(path, who=who)[0] == 404


def test_what_is_broken_is_found(quetz, tide) -> None:
    """A package whose bytes are others, or gone, fails the job; nothing is deleted."""
    file = quetz.admin.files.stat("conda/main", f"noarch/{tide.file}")
    quetz.registry.storage.delete(file.key)
    made = quetz.value(ACTIONS, "PUT", {"action": "validate_packages"}, "mike")
    run(quetz)
    job = quetz.admin.jobs.get(made["id"])
    assert (job.state.value, quetz.value(f"/api/jobs/{job.id}")["status"]) == ("failed", "failed")
    assert "1 of 2 files" in (job.error or "")
    assert tide.file in quetz.admin.jobs.output(job.id).text
    assert quetz.admin.files.stat("conda/main", f"noarch/{tide.file}") == file


@pytest.mark.parametrize("action", ["cleanup", "cleanup_dry_run"])
def test_cleaning_up_is_for_administrators(quetz, action) -> None:
    """What nothing names belongs to no channel."""
    assert quetz.refused(ACTIONS, "PUT", {"action": action}, "mike")[0] in {403, 404}
    made = quetz.value(ACTIONS, "PUT", {"action": action}, "olga")
    assert made["manifest"] == action
    run(quetz)
    assert quetz.value(f"/api/jobs/{made['id']}")["status"] == "success"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"action": "synchronize"}, 405),
        ({"action": "synchronize_repodata"}, 405),
        ({"action": "synchronize_metrics"}, 405),
        ({"action": "reindex"}, 422),
        ({"action": "fly"}, 422),
        ({}, 422),
        ({"action": "generate_indexes", "start_at": "soon"}, 422),
        ({"action": "generate_indexes", "repeat_every_seconds": 60}, 422),
    ],
)
def test_what_cannot_be_done_is_told(quetz, body, status) -> None:
    """With a sentence on what to do instead."""
    assert quetz.refused(ACTIONS, "PUT", body, "mike")[0] == status


def test_an_action_may_start_later(quetz) -> None:
    """At a moment, in UTC where no zone is given."""
    later = "2999-01-01T00:00:00"
    made = quetz.value(ACTIONS, "PUT", {"action": "generate_indexes", "start_at": later}, "mike")
    assert made["start_at"].startswith("2998-12-31") or made["start_at"].startswith("2999-01-01")
    job = quetz.admin.jobs.get(made["id"])
    assert job.run_after - job.created_at > timedelta(days=1)


def test_a_channel_may_begin_with_actions(quetz) -> None:
    """Which are started as if they were asked for."""
    quetz.channel("edge", "mike", actions=["generate_indexes"])
    [job] = quetz.value("/api/jobs", who="mike")["result"]
    assert job["manifest"] == "generate_indexes"


def test_jobs_are_listed(quetz) -> None:
    """Those that wait or run, if not asked for others; one's own, or all."""
    made = quetz.value(ACTIONS, "PUT", {"action": "generate_indexes"}, "mike")
    for who, seen in (("mike", [made["id"]]), ("olga", [made["id"]]), ("nora", [])):
        page = quetz.value("/api/jobs", who=who)
        assert [one["id"] for one in page["result"]] == seen
    run(quetz)
    assert quetz.value("/api/jobs", who="mike")["result"] == []
    assert len(quetz.value("/api/jobs?status=success", who="mike")["result"]) == 1
    assert quetz.refused("/api/jobs?status=flying", who="mike")[0] == 422
    assert quetz.refused("/api/jobs", who=None)[0] == 401


def test_a_job_is_cancelled_and_done_again(quetz) -> None:
    """By its own, and by no other word."""
    made = quetz.value(ACTIONS, "PUT", {"action": "generate_indexes"}, "mike")
    path = f"/api/jobs/{made['id']}"
    assert quetz.value(path, "PATCH", {"status": "cancelled"}, "mike") is None
    assert quetz.value(path, who="mike")["status"] == "cancelled"
    quetz.value(path, "PATCH", {"status": "pending", "force": True}, "mike")
    assert len(quetz.value("/api/jobs", who="mike")["result"]) == 1
    assert quetz.refused(path, "PATCH", {"status": "flying"}, "mike")[0] == 422
    for number in ("9999", "x", "9" * 40):
        assert quetz.refused(f"/api/jobs/{number}", who="mike")[0] == 404


def test_administrators_start_jobs_by_their_kind(quetz) -> None:
    """Nobody else, and none over chosen packages."""
    body = {"manifest": "gc", "items_spec": "*"}
    assert quetz.value("/api/jobs", "POST", body)["manifest"] == "cleanup"
    assert quetz.refused("/api/jobs", "POST", body)[0] == 403
    for wrong in ({"items_spec": "numpy>1"}, {"manifest": "plugin:function"}):
        assert quetz.refused("/api/jobs", "POST", {**body, **wrong}, "olga")[0] == 422
