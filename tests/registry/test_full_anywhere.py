"""No space at any call of the storage or of the catalog that an upload makes (T54)."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from datetime import timedelta

import pytest
from crash_seams import Seams, StorageSeams
from tests_manifest import manifest

import repocore
from repocore import Registry, StorageFullError
from repocore.catalog import Catalog

MAIN = "conan/main"
BASE = "zlib/1.3/_/_/r{}/export"


class Full(Seams):
    """Has no space at the seam that would be fatal, and at none after it until `clear`."""

    def __call__(self, name: str) -> None:
        if not (self.counting and name.startswith("before")):
            return
        # To read, and to take something away, needs none.
        if name.split()[1] not in NEED_SPACE:
            return
        self.names.append(name)
        if self.fatal and len(self.names) >= self.fatal:
            raise StorageFullError


NEED_SPACE = {"storage.writer", "writer.write", "writer.commit", "catalog.write"}


@pytest.fixture
def full(settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Registry, Full]]:
    """A registry, and what fills its disks."""
    seams = Full()
    monkeypatch.setattr(Catalog, "write", seams.around("catalog.write", Catalog.write))
    with repocore.open_registry(settings=settings, plugins=[StorageSeams(seams)]) as registry:
        registry.session(registry.admin()).repositories.create(MAIN)
        upload(registry, 0)
        yield registry, seams


def upload(registry: Registry, number: int) -> None:
    """A whole revision, its manifest last."""
    session, base = registry.session(registry.admin()), BASE.format(number)
    for name, body in (("conanfile.py", b"%d" % number), ("conanmanifest.txt", MANIFEST)):
        session.files.put(MAIN, f"{base}/{name}", io.BytesIO(body + b"\n" * number))


MANIFEST = manifest("conanfile.py")


def seen(registry: Registry) -> list[tuple[str, bytes]]:
    session, found = registry.session(registry.admin()), list[tuple[str, bytes]]()
    for file in session.files.list(MAIN):
        with session.files.open(MAIN, file.path) as stream:
            found.append((str(file.path), stream.read()))
    return found


def test_no_space_at_any_stage_changes_nothing(full: tuple[Registry, Full]) -> None:
    """What there was is listed and served meanwhile; with space the same upload passes."""
    registry, seams = full
    session = registry.session(registry.admin())
    before = seen(registry)
    for fatal in itertools.count(1):
        seams.fatal, seams.names, seams.counting = fatal, [], True
        try:
            upload(registry, fatal)
        except StorageFullError:
            assert seen(registry) == before, seams.names
            refused = seams.names
        else:
            break
        finally:
            seams.counting = False
        upload(registry, fatal)
        assert len(seen(registry)) == len(before) + 2
        session.releases.delete(MAIN, "zlib/1.3@_/_", f"r{fatal}")
        assert seen(registry) == before
    assert {name.split()[1] for name in refused} == NEED_SPACE
    assert fatal > 8
    session.upkeep.collect(grace=timedelta(0))
    report = session.upkeep.check(read_data=True)
    assert (report.problems, report.unreferenced) == ((), 0)
