"""A storage that fails, stalls, is full, or ends in the middle: refused, and never half done.

REPOCORE_FAULTS says how many requests have to be answered in spite of it (150, or a hundred times
as many as its number with nox), REPOCORE_SEED how the storage behaves.
"""

from __future__ import annotations

import os
from pathlib import Path

import fault_storage
import pytest
from fault_storage import FaultyStorage, Schedule
from fleet_load import load
from serving_fleet import fleet
from tide_uploads import Log, judge
from wsgi_calls import basic

import repocore
from repocore.config import Settings
from repocore.errors import StorageError
from repocore.model import BlobKey
from repocore.testing.fakes import MemoryStorage

pytest.importorskip("gunicorn")
pytestmark = pytest.mark.faults

REQUESTS = int(os.environ.get("REPOCORE_FAULTS", "1")) * 100 + 50
SEED = int(os.environ.get("REPOCORE_SEED", "6000"))
#: Of a thousand calls of the storage.
RATE = 60


def test_a_storage_that_fails_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    """Clients are told to come later, or get nothing; what they got is whole and stays."""
    data, log = tmp_path / "data", tmp_path / "load.log"
    settings = tmp_path / "faulty.toml"
    plugin = Path(fault_storage.__file__)
    settings.write_text(f'[plugins]\nfiles = ["{plugin}"]\n', encoding="utf-8")
    # Of both servers; so documents, attestations and all else that reads meets it as well.
    faults = {"REPOCORE_STORAGE_FAULTS": f"{SEED}/{RATE}"}
    with (
        fleet(data, settings=settings, **faults) as running,
        load(running.ports, basic("admin", "high-water"), SEED, log) as clients,
    ):
        clients.await_more(REQUESTS)
    assert clients.later + clients.lost > 5, clients.told()
    with repocore.open_registry(settings=Settings(data=data)) as registry:
        problems = list(judge(registry, SEED, Log.read(log)))
        assert problems == [], f"seed {SEED}: {clients.told()}"
        session = registry.session(registry.admin())
        session.upkeep.collect(grace=None)
        assert session.upkeep.check(read_data=True).ok


def test_a_schedule_is_the_same_for_the_same_seed() -> None:
    """And every kind of fault is in it."""
    able = ("early", "late", "full", "cut")
    one, other = (Schedule("7", 500) for _ in range(2))
    drawn = [one.draw(*able) for _ in range(300)]
    assert drawn == [other.draw(*able) for _ in range(300)]
    assert {*drawn} == {*able, None}
    assert [Schedule("7", 0).draw(*able) for _ in range(50)] == [None] * 50


def test_faults_are_of_their_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A late one has done its work, a full one says so, and what is cut is short."""
    key, storage = BlobKey("0" * 64, "a"), MemoryStorage()
    schedule = Schedule("7", 1000)
    faulty = FaultyStorage(storage, schedule)

    def only(kind: str | None) -> None:
        monkeypatch.setattr(schedule, "draw", lambda *able: kind if kind in able else None)

    only("late")
    writer = faulty.writer()
    writer.write(b"high water")
    with pytest.raises(StorageError):
        writer.commit(key)
    assert storage.objects == {key: b"high water"}
    only("cut")
    assert faulty.open(key).read() == b"high "
    only("full")
    with pytest.raises(StorageError, match="full"):
        faulty.writer()
    only("early")
    with pytest.raises(StorageError):
        faulty.delete(key)
    assert faulty.size.__name__ == "size"
    assert storage.objects
    only(None)
    faulty.delete(key)
    assert not storage.objects
