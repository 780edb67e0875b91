"""A process that ends at any place between two things that it does (T51).

For each operation, a process does it and counts the seams that it comes to; then for each seam
another process does the same to a copy of the same data, and ends there.  What is opened again is
as before the step that was under way, or as after it; what was acknowledged is there; and the
collector takes what nobody will ever name.

Where REPOCORE_FAULTS is set, as it is by nox, all seams are tried; else a few of each operation, by
REPOCORE_SEED.
"""

from __future__ import annotations

import contextlib
import functools
import io
import multiprocessing
import os
import random
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
from channel_pool import pool
from crash_seams import ENDED, Step, ended
from postgres_cluster import Databases
from sqlalchemy import text
from tide_uploads import Upload, uploads

import repocore
from repocore import Registry, Session
from repocore.config import Settings
from repocore.errors import RejectedError
from repocore.registry import BackupFolder, verify_backup
from repocore.registry.checking import Silence

pytestmark = pytest.mark.faults

#: How many seams of each operation are tried on each database; with nox it is all of them.
SAMPLED: Final = {"sqlite": 2, "postgresql": 1}
ALL: Final = "REPOCORE_FAULTS" in os.environ
SEED: Final = int(os.environ.get("REPOCORE_SEED", "9000"))

REPOSITORIES: Final = ("conan/main", "conan/stable", "conda/main", "conda/stable")
PACKAGES: Final = [one for one in pool() if one.file.startswith("docs-")]
OLD, NEW, GONE = (uploads(SEED, 0, number) for number in range(3))

#: What there is to see: of each repository its files with their bytes, and its releases.
State = dict[str, Any]

# The child has everything imported already, and no threads of this process.
context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(
    ["crash_seams", "repocore.plugin_manager", "repocore.plugins.conan", "repocore.plugins.conda"]
)


def admin(registry: Registry) -> Session:
    return registry.session(registry.admin())


def put(registry: Registry, upload: Upload) -> None:
    """All files of a revision, as a client sends them."""
    for path, content in upload.files.items():
        admin(registry).files.put("conan/main", path, io.BytesIO(content), length=len(content))


def put_package(registry: Registry, number: int) -> None:
    package = PACKAGES[number]
    admin(registry).files.put("conda/main", package.path, io.BytesIO(package.content))


def delete(registry: Registry, upload: Upload) -> None:
    admin(registry).releases.delete("conan/main", upload.partition, upload.name)


def promote(registry: Registry, source: str, target: str) -> None:
    """All that is in a repository, at once."""
    names = [(one.partition, one.name) for one in admin(registry).releases.all(source)]
    assert len(names) > 1
    admin(registry).releases.copy(source, names, target, promote=True)


def collect(registry: Registry) -> None:
    admin(registry).upkeep.collect(grace=timedelta(0))


def back_up(registry: Registry) -> None:
    admin(registry).upkeep.backup(kept(registry.settings.data))


def kept(data: Path) -> Path:
    """Where backups of a data folder are."""
    return data.with_name(f"{data.name}-kept")


OPERATIONS: Final[dict[str, list[Step]]] = {
    "upload": [functools.partial(put, upload=one) for one in NEW],
    "upload to a channel": [functools.partial(put_package, number=2)],
    "deletion": [functools.partial(delete, upload=OLD[0])],
    "promotion": [
        functools.partial(promote, source="conan/main", target="conan/stable"),
        functools.partial(promote, source="conda/main", target="conda/stable"),
    ],
    "collection": [collect],
    "backup": [back_up],
}


def state(registry: Registry) -> State:
    """What somebody sees who looks at everything."""
    session, found = admin(registry), dict[str, Any]()
    for address in REPOSITORIES:
        for file in session.files.list(address):
            with session.files.open(address, file.path) as stream:
                found[f"{address}/{file.path}"] = (file.digest, len(stream.read()))
        for release in session.releases.all(address):
            found[f"{address} {release.partition} {release.name}"] = release.version
    return found


@attrs.frozen
class Place:
    """Data that operations are done to, in copies; and where the copies' catalogs are."""

    folder: Path
    catalogs: Callable[[], contextlib.AbstractContextManager[str]]

    @contextlib.contextmanager
    def copy(self, name: str) -> Iterator[Settings]:
        """The settings of a new copy, which is gone afterwards."""
        data = self.folder.with_name(name)
        shutil.copytree(self.folder, data)
        try:
            with self.catalogs() as catalog:
                yield Settings(data=data, catalog=catalog)
        finally:
            shutil.rmtree(data)
            shutil.rmtree(kept(data), ignore_errors=True)


def prepared(settings: Settings) -> None:
    """Something to read, to delete, to promote and to collect, and an upload that never ended."""
    with repocore.open_registry(settings=settings) as registry:
        for address in REPOSITORIES:
            admin(registry).repositories.create(address)
        for upload in (*OLD, *GONE):
            put(registry, upload)
        for number in range(2):
            put_package(registry, number)
        delete(registry, GONE[0])
        path = next(iter(uploads(SEED, 0, 9)[0].files))
        admin(registry).files.put("conan/main", path, io.BytesIO(b"half"))


@pytest.fixture(
    scope="module",
    params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)],
)
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """The same data, with a catalog of each kind."""
    folder = tmp_path_factory.mktemp("matrix") / "data"
    if request.param == "sqlite":
        catalog = "sqlite:///catalog.db"
        prepared(Settings(data=folder, catalog=catalog))
        yield Place(folder, lambda: contextlib.nullcontext(catalog))
        return
    databases: Databases = request.getfixturevalue("postgres_databases")
    with databases.template(lambda url: prepared(Settings(data=folder, catalog=url))) as name:
        yield Place(folder, lambda: databases.fresh(name))


# ------------------------------------------------------------------------------------ the matrix


def run(
    settings: Settings, steps: list[Step], fatal: int, **more: bool
) -> tuple[int, list[str], int | None]:
    """How many steps were acknowledged, the seams of one that was not ended, and its status."""
    log = settings.data.with_name(f"{settings.data.name}.log")
    log.write_text("", encoding="utf-8")
    opens = functools.partial(opened, settings)
    process = context.Process(target=ended, args=(opens, steps, fatal, log), kwargs=more)
    process.start()
    process.join()
    lines = log.read_text(encoding="utf-8").splitlines()
    seams = [line.removeprefix("seam ") for line in lines if line.startswith("seam ")]
    return lines.count("done"), seams, process.exitcode


def opened(settings: Settings, plugin: object) -> contextlib.AbstractContextManager[Registry]:
    return repocore.open_registry(settings=settings, plugins=[plugin])


def states(place: Place, operation: str) -> list[State]:
    """What there is to see before the operation, and after each step of it."""
    with place.copy("whole") as settings, repocore.open_registry(settings=settings) as registry:
        found = [state(registry)]
        for step in OPERATIONS[operation]:
            step(registry)
            found.append(state(registry))
    return found


def chosen(seams: list[str], operation: str, catalog: str) -> list[int]:
    """The numbers of the seams that are tried."""
    numbers = range(1, len(seams) + 1)
    kind = catalog.partition(":")[0]
    if ALL:
        return list(numbers)
    return random.Random(f"{SEED}/{operation}/{kind}").sample(numbers, SAMPLED[kind])


@pytest.mark.parametrize("operation", OPERATIONS)
def test_whatever_ends_anywhere_is_done_or_not_begun(place: Place, operation: str) -> None:
    """And what is left of it is the collector's."""
    expected = states(place, operation)
    with place.copy("counted") as settings:
        done, seams, status = run(settings, OPERATIONS[operation], 0)
        catalog = settings.catalog
    assert (done, status) == (len(OPERATIONS[operation]), 0)
    assert {name.split()[0] for name in seams} >= {"before", "behind", "within"}
    assert len(seams) > 10
    problems: list[str] = []
    for number in chosen(seams, operation, catalog):
        with place.copy(f"died-{number}") as settings:
            done, left, status = run(settings, OPERATIONS[operation], number)
            said = f"seam {number} ({seams[number - 1]}), {done} steps acknowledged"
            if status != ENDED:
                # Threads have come to fewer seams than the last time; all of it is done.
                assert (status, done) == (0, len(OPERATIONS[operation])), (said, left)
            with repocore.open_registry(settings=settings) as registry:
                found = judged(registry, OPERATIONS[operation], expected, done)
                problems += [f"{said}: {problem}" for problem in found]
    assert problems == []


def judged(
    registry: Registry, steps: list[Step], expected: list[State], done: int
) -> Iterator[str]:
    """What is wrong after a death."""
    seen = state(registry)
    if seen == expected[done]:
        reached = done
    elif seen in expected[done + 1 : done + 2]:
        reached = done + 1
    else:
        yield f"half of a step can be seen: {different(seen, expected[done])}"
        return
    yield from admin(registry).upkeep.check(read_data=True).problems
    yield from backups(registry, acknowledged=back_up in steps[:done])
    # Whoever died holds nobody up: the rest is done by the next who asks.
    for step in steps[reached:]:
        step(registry)
    if different(state(registry), expected[-1]):
        yield f"done once more: {different(state(registry), expected[-1])}"
    yield from collected(registry, expected[-1])


def different(seen: State, expected: State) -> dict[str, Any]:
    keys = seen.keys() | expected.keys()
    return {key: seen.get(key) for key in keys if seen.get(key) != expected.get(key)}


def backups(registry: Registry, *, acknowledged: bool) -> Iterator[str]:
    """A backup that can be seen is whole; one that was acknowledged can be seen."""
    folder = kept(registry.settings.data)
    whole: list[Any] = []
    with contextlib.suppress(RejectedError):  # it has not come to be a folder of backups
        whole = [one for one in BackupFolder.at(folder).list() if one.whole]
    if acknowledged and not whole:
        yield "the backup is gone"
    for one in whole:
        yield from verify_backup(BackupFolder.at(folder), one, Silence())


def collected(registry: Registry, expected: State) -> Iterator[str]:
    """After a collection nothing is stored that nothing names, and all else is as it was."""
    # The lease of a backup that died runs out by itself, in a minute.
    registry._services.catalog.write(lambda t: t.execute(text("DELETE FROM leases")))
    collect(registry)
    report = admin(registry).upkeep.check(read_data=True)
    yield from report.problems
    stored = len(list(registry.storage.keys()))
    if report.unreferenced or stored != report.blobs:
        yield f"{report.unreferenced} blobs, {stored} objects of {report.blobs} are left"
    if uploads_left := list((registry.settings.data / "blobs" / "uploads").iterdir()):
        yield f"unfinished uploads are left: {len(uploads_left)}"
    if different(state(registry), expected):
        yield f"the collector took {different(state(registry), expected)}"


def make_repository(registry: Registry) -> None:
    admin(registry).repositories.create("conan/main")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def nothing(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Any]:
    """Settings of something that was never started, by a name."""

    @contextlib.contextmanager
    def fresh(name: str) -> Iterator[Settings]:
        if request.param == "sqlite":
            yield Settings(data=tmp_path / name, catalog="sqlite:///catalog.db")
            return
        with request.getfixturevalue("postgres_databases").fresh() as url:
            yield Settings(data=tmp_path / name, catalog=url)

    return fresh


def test_a_first_start_that_ends_anywhere_is_made_up_for(nothing: Callable[[str], Any]) -> None:
    """Also within a migration of the tables: the next one that starts has all of them."""
    with nothing("counted") as settings:
        done, seams, status = run(settings, [make_repository], 0, opening=True)
    assert (done, status) == (1, 0)
    assert seams.count("before schema.step") > 5
    for number in chosen(seams, "first start", settings.catalog):
        with nothing(f"died-{number}") as settings:
            done, _, status = run(settings, [make_repository], number, opening=True)
            said = f"seam {number} ({seams[number - 1]})"
            assert status == ENDED, said
            with repocore.open_registry(settings=settings) as registry:
                there = [one.address for one in admin(registry).repositories.list()]
                assert there == ["conan/main"] or (there == [] and not done), said
                if not there:
                    make_repository(registry)
                put(registry, OLD[0])
                assert admin(registry).upkeep.check(read_data=True).ok, said


def test_the_judge_of_deaths_notices(place: Place) -> None:
    """What is half there, what is lost though acknowledged, and what nobody collects."""
    steps = OPERATIONS["upload"]
    expected = states(place, "upload")
    with place.copy("judged") as settings, repocore.open_registry(settings=settings) as registry:
        (said,) = judged(registry, steps, expected, 1)
        assert said.startswith("half of a step")
        assert list(judged(registry, steps, expected, 0)) == []
        assert list(backups(registry, acknowledged=True)) == ["the backup is gone"]
        (settings.data / "blobs" / "uploads" / "1-0").mkdir()
        assert any("unfinished" in one for one in collected(registry, expected[-1]))
