"""Whether the catalog and the storage answer: the truth, and not too often."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import repocore
from repocore import Registry
from repocore.config import Settings
from repocore.errors import StorageError, StorageFullError
from repocore.registry import health


@pytest.fixture
def registry(database_url: str, tmp_path: Path, monkeypatch) -> Iterator[Registry]:
    monkeypatch.setattr(health, "_GOOD", 0.0)
    with repocore.open_registry(settings=Settings(data=tmp_path, catalog=database_url)) as opened:
        yield opened


def test_all_is_well(registry) -> None:
    """And nothing is left behind of having asked."""
    before = sorted((registry.settings.data / "blobs").rglob("*"))
    found = registry.health()
    assert (found.ok, found.catalog, found.storage, found.waiting) == (True, True, True, 0)
    assert sorted((registry.settings.data / "blobs").rglob("*")) == before


def test_jobs_that_are_due_are_counted(registry) -> None:
    """They make nobody unready: a server without workers serves.  What comes later is not due."""
    jobs = registry.session(registry.admin()).jobs
    jobs.submit("check")
    jobs.submit("gc", delay=timedelta(hours=1))
    found = registry.health()
    assert (found.ok, found.waiting) == (True, 1)
    assert found.wait.total_seconds() > 0


def test_a_catalog_that_does_not_answer(registry, monkeypatch, caplog) -> None:
    """Whatever its driver raises is logged."""

    def broken(*_arguments):
        raise ZeroDivisionError("disk I/O error")

    monkeypatch.setattr(registry._services.catalog, "snapshot", broken)
    found = registry.health()
    assert (found.ok, found.catalog, found.storage) == (False, False, True)
    assert "the catalog does not answer: disk I/O error" in caplog.text


def test_a_catalog_that_keeps_one_waiting(registry, monkeypatch, caplog) -> None:
    """It has failed for now: whoever asks is told before it answers, and asks again later."""
    lets, asked = threading.Event(), []

    def slow(*_arguments):
        asked.append(lets.wait(30))
        return 0, 0

    monkeypatch.setattr(health, "_PATIENCE", 0.05)
    monkeypatch.setattr(health.statistics, "due", slow)
    for _ in range(3):
        found = registry.health()
        assert (found.ok, found.catalog) == (False, False)
    assert "the catalog does not answer yet" in caplog.text
    lets.set()
    registry._pulse._catalog._thread.join(10)
    assert asked == [True]  # nobody has asked beside the one who waits
    monkeypatch.setattr(health, "_PATIENCE", 30.0)
    assert registry.health().ok


def test_who_is_asking_is_waited_for_at_the_end(tmp_path: Path, monkeypatch) -> None:
    """What it has open is closed before the catalog is."""
    lets, done = threading.Event(), []

    def slow(*_arguments):
        done.append(lets.wait(30))
        return 0, 0

    monkeypatch.setattr(health, "_PATIENCE", 0.0)
    monkeypatch.setattr(health.statistics, "due", slow)
    registry = repocore.open_registry(settings=Settings(data=tmp_path))
    registry.health()
    threading.Timer(0.1, lets.set).start()
    registry.close()
    assert done == [True]


@pytest.mark.parametrize(
    ("verb", "error"), [("size", StorageError()), ("writer", StorageFullError())]
)
def test_a_storage_that_does_not_answer(registry, monkeypatch, verb, error) -> None:
    """Neither one that cannot be asked nor one that takes nothing more."""

    def broken(*_arguments):
        raise error

    monkeypatch.setattr(type(registry._services.storage), verb, broken)
    found = registry.health()
    assert (found.ok, found.catalog, found.storage) == (False, True, False)


def test_a_folder_that_is_gone(registry) -> None:
    """As when a disk was unmounted under it."""
    shutil.rmtree(registry.settings.data / "blobs")
    assert not registry.health().storage


def test_it_is_asked_now_and_then(registry, monkeypatch) -> None:
    """Whoever asks again and again is told what was found a moment ago."""
    monkeypatch.setattr(health, "_GOOD", 3600.0)
    assert registry.health() is registry.health()


def test_a_storage_of_a_read_only_registry_is_read(database_url, tmp_path, monkeypatch) -> None:
    """Nothing is written there."""
    settings = Settings(data=tmp_path, catalog=database_url, read_only=True)
    with repocore.open_registry(settings=settings) as opened:
        storage = type(opened._services.storage)
        monkeypatch.setattr(storage, "writer", lambda *_: pytest.fail("written to"))
        assert opened.health().ok
