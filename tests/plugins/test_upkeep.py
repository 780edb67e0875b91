"""The jobs that ship: retention, gc and check."""

from __future__ import annotations

import io
from collections.abc import Iterator

import attrs
import pytest
from job_kinds import Works, opened
from tests_manifest import manifest

from repocore import JobState
from repocore.config import RetentionSettings, Settings

PATH = "zlib/1.3/_/_/{}/export/{}"


@pytest.fixture
def works(tmp_path) -> Iterator[Works]:
    policy = RetentionSettings(pattern="conan/**", keep_last=1)
    settings = Settings(data=tmp_path, retention=(policy,))
    with opened(settings) as found:
        found.admin.repositories.create("conan/main")
        for revision in ("r1", "r2"):
            files = {
                "conanfile.py": revision.encode(),
                "conanmanifest.txt": manifest("conanfile.py"),
            }
            for name, content in files.items():
                path = PATH.format(revision, name)
                found.admin.files.put("conan/main", path, io.BytesIO(content))
        yield found


def test_retention_deletes_what_the_settings_do_not_keep(works):
    """And says how much that was."""
    job = works.done("retention")
    assert job.state is JobState.DONE
    assert job.outcome.startswith("Deleted 1 releases with 2 files")
    left = {str(file.path) for file in works.admin.files.list("conan/main")}
    assert left == {PATH.format("r2", name) for name in ("conanfile.py", "conanmanifest.txt")}


def test_gc_deletes_what_nothing_names(works):
    """After the grace period, or now where it is told to."""
    works.done("retention")
    assert works.done("gc").outcome.startswith("Deleted 0 objects")
    assert works.done("gc", {"now": True}).outcome.startswith("Deleted 1 objects (2 bytes)")


def test_check_tells_that_all_is_well(works):
    """With what it has counted."""
    job = works.done("check", {"read_data": True})
    assert (job.state, job.outcome.endswith("all is well.")) == (JobState.DONE, True)


def test_a_schedule_reads_a_share(works):
    """The payload says how much; each job goes on where the last one ended."""
    read = 0
    for _ in range(2):
        job = works.done("check", {"read_data": "50%"})
        assert job.state is JobState.DONE
        read += int(job.outcome.rpartition(", ")[2].split()[0])
    assert read == 3
    assert works.done("check", {"read_data": "half"}).state is JobState.FAILED


def test_check_fails_where_something_is_wrong(works):
    """Its output lists what; another look would find the same, so there is one attempt."""
    for key in list(works.registry.storage.keys()):
        works.registry.storage.delete(key)
    job = works.done("check")
    assert (job.state, job.attempts) == (JobState.FAILED, 1)
    assert "problems were found" in job.error
    assert len(works.jobs.output(job.id).text.splitlines()) == int(job.error.split()[0])


def test_a_cancelled_run_goes_on_with_the_next(works):
    """What is deleted stays so; each of them looks whether it is to give up."""
    seen: list[str] = []
    for kind in ("retention", "gc", "check"):
        number = works.jobs.submit(kind).id
        worker = works.registry.worker([kind])
        works.registry.step = lambda step, n=number: (
            works.jobs.cancel(n) if step == "claimed" else None
        )
        assert worker.work()
        seen.append(works.jobs.get(number).state.value)
    assert seen[0] == seen[2] == "cancelled"
    assert attrs.evolve(works.jobs.get(1), attempts=1).state is JobState.CANCELLED
