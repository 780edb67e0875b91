"""Checks: what is damaged is found, named and served no more; a share goes round."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

import repocore
from repocore import BlobKey, Digest, ReadOnlyError, RejectedError, StorageError
from repocore.config import Settings
from repocore.errors import BlobMissingError, JobCancelledError
from repocore.model.digest import NOWHERE

NOW = timedelta(0)
RECIPE = "zlib/1.3/_/_/{}/export/conanfile.py"


def blob_file(house: Any, path: str) -> Path:
    file = house.admin.files.stat("conan/main", path)
    return house.settings.data / "blobs" / house.registry.storage.location(file.key)


def spoil(house: Any, path: str, content: bytes) -> Path:
    """Change what is stored behind the server's back."""
    file = blob_file(house, path)
    file.chmod(0o600)
    file.write_bytes(content)
    return file


def read(house: Any, path: str) -> bytes:
    with house.admin.files.open("conan/main", path) as stream:
        return stream.read()


@pytest.mark.parametrize("content", [b"RECIPE r1", b"cut"])
def test_what_is_damaged_is_served_no_more(house, content: bytes) -> None:
    """It is reported with what it is; then reading it is an error, wherever it is read from."""
    house.recipe("r1")
    path = RECIPE.format("r1")
    spoil(house, path, content)
    report = house.admin.upkeep.check(read_data=True)
    [problem] = report.problems
    assert f"conan/main {path}" in problem
    assert "repocore repair" in problem
    assert report.quarantined == 1
    with pytest.raises(BlobMissingError, match="has lost"):
        house.admin.files.open("conan/main", path)
    body = house.admin.files.content("conan/main", path)
    assert body.location is None
    assert body.url(timedelta(hours=1)) is None
    assert house.admin.files.stat("conan/main", path).key.generation == NOWHERE
    [again] = house.admin.upkeep.check().problems
    assert "in quarantine since" in again
    assert str(house.settings.data) not in problem + again


def test_an_upload_of_the_same_bytes_heals(house) -> None:
    """They become a new object; the old one is kept until then, and the collector's afterwards."""
    house.recipe("r1")
    path = RECIPE.format("r1")
    old = spoil(house, path, b"RECIPE r1")
    assert not house.admin.upkeep.check(read_data=True).ok
    house.admin.upkeep.collect(grace=NOW)
    assert old.exists()
    house.recipe("r1")
    assert read(house, path) == b"recipe r1"
    assert blob_file(house, path) != old
    assert house.admin.upkeep.check(read_data=True).ok
    assert house.admin.upkeep.collect(grace=NOW).leftovers == 1
    assert not old.exists()
    assert read(house, path) == b"recipe r1"


def test_an_upload_that_began_before_the_quarantine_stores_its_bytes(house) -> None:
    """It had found the object there; what it refers to is the new one."""
    house.recipe("r1")
    spoil(house, RECIPE.format("r1"), b"RECIPE r1")
    found: list[int] = []

    def check(step: str) -> None:
        if step == "stored" and not found:
            found.append(house.admin.upkeep.check(read_data=True).quarantined)

    house.registry.step = check
    house.put(RECIPE.format("r3"), b"recipe r1")
    assert found == [1]
    assert read(house, RECIPE.format("r1")) == b"recipe r1"
    assert house.admin.upkeep.check(read_data=True).ok


def test_damaged_bytes_are_named_to_nobody_by_their_digest(house) -> None:
    """A client that knows the digest is told to send them."""
    house.recipe("r1")
    path = RECIPE.format("r1")
    file = house.admin.files.stat("conan/main", path)
    spoil(house, path, b"RECIPE r1")
    house.admin.upkeep.check(read_data=True)
    digest = Digest("sha256", file.digest)
    assert house.admin.files.refer("conan/main", RECIPE.format("r2"), digest) is None
    assert read_error(house, path) is BlobMissingError


def read_error(house: Any, path: str) -> type[BaseException]:
    with pytest.raises(StorageError) as caught:
        read(house, path)
    return caught.type


def test_it_is_an_event_and_a_record(house) -> None:
    """Whoever listens is told, and the audit says when."""
    house.recipe("r1")
    path = RECIPE.format("r1")
    digest = house.admin.files.stat("conan/main", path).digest
    spoil(house, path, b"RECIPE r1")
    house.admin.upkeep.check(read_data=True)
    [record] = [one for one in house.admin.audit.list() if one.kind == "blob.damaged"]
    assert record.what == f"sha256:{digest}"


class Broken(io.RawIOBase):
    """A disk that gives up in the middle."""

    def readinto(self, _buffer: Any) -> int:
        raise OSError(5, "Input/output error")

    def readable(self) -> bool:
        return True


def test_what_cannot_be_read_is_read_twice(house, monkeypatch) -> None:
    """One failure may be on the way to the disk; two are believed."""
    house.recipe("r1")
    opened = house.registry.storage.open
    failures: list[BlobKey] = []

    def fail(times: int) -> None:
        def open_(key: BlobKey, *bounds: Any) -> Any:
            if len(failures) < times:
                failures.append(key)
                return Broken()
            return opened(key, *bounds)

        failures.clear()
        monkeypatch.setattr(house.registry.storage, "open", open_)

    fail(1)
    assert house.admin.upkeep.check(read_data=True).ok
    fail(2)
    [problem] = house.admin.upkeep.check(read_data=True).problems
    assert "cannot be read" in problem


def test_a_read_only_registry_reports_and_marks_nothing(house, settings: Settings) -> None:
    """Nothing is changed there; a share cannot be noted."""
    house.recipe("r1")
    path = RECIPE.format("r1")
    spoil(house, path, b"RECIPE r1")
    with repocore.open_registry(settings=attrs.evolve(settings, read_only=True)) as frozen:
        upkeep = frozen.session(frozen.admin()).upkeep
        report = upkeep.check(read_data=True)
        assert (len(report.problems), report.quarantined) == (1, 0)
        with pytest.raises(ReadOnlyError):
            upkeep.check(read_data="5%")
    assert read(house, path) == b"RECIPE r1"


# -------------------------------------------------------------------------------------- a share


@pytest.fixture
def watched(house, monkeypatch) -> Iterator[list[str]]:
    """Sixty objects, and the digests of those that are read from now on."""
    for number in range(30):
        house.recipe(f"r{number}", reference=f"n{number}/1.0/_/_", extra=bytes([number]))
        house.put(f"n{number}/1.0/_/_/r{number}/export/metadata/n.txt", bytes([number]))
    seen: list[str] = []
    opened = house.registry.storage.open

    def open_(key: BlobKey, *bounds: Any) -> Any:
        seen.append(key.digest)
        return opened(key, *bounds)

    monkeypatch.setattr(house.registry.storage, "open", open_)
    return seen


def stored(house: Any) -> list[str]:
    return sorted(key.digest for key in house.registry.storage.keys())  # noqa: SIM118 - no mapping


def test_twenty_times_a_twentieth_is_everything_once(house, watched: list[str]) -> None:
    """Each run goes on where the last one ended, also in another process."""
    counts = []
    for number in range(20):
        if number % 5:
            counts.append(house.admin.upkeep.check(read_data="5%").read)
            continue
        with repocore.open_registry(settings=house.settings) as other:
            # Another process is one that shares nothing but the database.
            other.storage.open = house.registry.storage.open  # pyright: ignore[reportAttributeAccessIssue]
            counts.append(other.session(other.admin()).upkeep.check(read_data="5%").read)
    assert sorted(watched) == stored(house)
    assert max(counts) < len(watched) // 2
    watched.clear()
    for _ in range(3):
        house.admin.upkeep.check(read_data="33.3333%")
    house.admin.upkeep.check(read_data="0.0001%")
    assert sorted(watched) == stored(house)


def test_a_share_that_crosses_the_end_begins_again(house, watched: list[str]) -> None:
    """Seven runs of thirty percent are twice everything and a tenth."""
    for _ in range(7):
        house.admin.upkeep.check(read_data="30%")
    assert {watched.count(digest) for digest in stored(house)} == {2, 3}


def test_an_interrupted_run_is_gone_on_with(house, watched: list[str], monkeypatch) -> None:
    """What was read is noted on the way; nothing is left out."""
    monkeypatch.setattr("repocore.registry.checking._NOTED", 10)

    class Ending:
        """Gives up after some steps."""

        def start(self, _total: int | None, message: str) -> None:
            self.reading = message.startswith("Reading")

        def advance(self, steps: int = 1) -> None:
            """Nothing is shown."""

        def log(self, text: str) -> None:
            """Nothing is shown."""

        def check(self) -> None:
            if self.reading and len(watched) >= 25:
                raise JobCancelledError

    with pytest.raises(JobCancelledError):
        house.admin.upkeep.check(read_data="100%", progress=Ending())
    first = list(watched)
    watched.clear()
    house.admin.upkeep.check(read_data="70%")
    assert watched[0] == first[19]  # which was noted
    assert sorted({*first, *watched}) == stored(house)


@pytest.mark.parametrize("text", ["", "0%", "5", "101%", "5.12345%", "-5%", "x%"])
def test_what_is_no_share_is_refused(house, text: str) -> None:
    """With a sentence that says what is one."""
    with pytest.raises(RejectedError, match="as in 5%"):
        house.admin.upkeep.check(read_data=text or " ")
