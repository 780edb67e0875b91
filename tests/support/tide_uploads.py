"""Conan-shaped revisions that a seed decides, and who uploads them until it is killed."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs

import repocore
from repocore import Registry, Session
from repocore.config import Settings
from repocore.errors import ReleaseMissingError, StorageError

ADDRESS = "conan/main"
THREADS = 4
MANIFEST = "conanmanifest.txt"


@attrs.frozen
class Upload:
    """One revision: where it is listed, and its files by path, in the order of their upload."""

    partition: str
    name: str
    files: dict[str, bytes]

    @property
    def key(self) -> str:
        return f"{self.partition}#{self.name}"


def uploads(seed: int, thread: int, number: int) -> tuple[Upload, Upload]:
    """A recipe revision and a package revision of it; the same for the same numbers."""
    chance = random.Random(f"{seed}/{thread}/{number}")
    reference = f"tide{thread}/1.{seed}"
    rrev, prev, package_id = (f"{chance.getrandbits(128):032x}" for _ in range(3))
    lines = ["conanfile.py"]
    recipe = {"conanfile.py": body(chance)}
    if chance.random() < 0.5:
        lines.append("conandata.yml")
        recipe["conan_export.tgz"] = body(chance)
    if chance.random() < 0.3:
        # As the client does it: sources of their own archive, which no line of an export implies.
        lines.append("export_source/tide.c")
        recipe["conan_sources.tgz"] = body(chance)
    recipe[MANIFEST] = manifest(lines)
    package = {"conaninfo.txt": b"[settings]\nos=Linux\n", "conan_package.tgz": body(chance)}
    package[MANIFEST] = manifest(["conaninfo.txt", "lib/libtide.a"])
    folder = f"{reference}/_/_/{rrev}"
    partition = f"{reference}@_/_"
    return (
        Upload(partition, rrev, placed(chance, f"{folder}/export", recipe)),
        Upload(
            f"{partition}#{rrev}:{package_id}",
            prev,
            placed(chance, f"{folder}/package/{package_id}/{prev}", package),
        ),
    )


def placed(chance: random.Random, folder: str, files: dict[str, bytes]) -> dict[str, bytes]:
    """The files by path; clients send the manifest last, others as they like."""
    names = list(files)
    if chance.random() < 0.3:
        chance.shuffle(names)
    return {f"{folder}/{name}": files[name] for name in names}


def body(chance: random.Random) -> bytes:
    size = chance.choice([0, 10, 1000, 100_000, 2_500_000])
    # Some bytes are stored again and again, under many names.
    return bytes(size) if chance.random() < 0.2 else chance.randbytes(size)


def manifest(names: list[str]) -> bytes:
    lines = (f"{name}: {hashlib.md5(name.encode()).hexdigest()}" for name in names)
    return "\n".join(["1700000000", *lines, ""]).encode()


# ------------------------------------------------------------------------------- the uploader


def upload_until_killed(data: Path, catalog: str, log: Path, seed: int) -> None:
    """Upload and delete from several threads; the log says what was begun and what was answered."""
    note = notes(log)
    with repocore.open_registry(settings=Settings(data=data, catalog=catalog)) as registry:
        threads = [
            threading.Thread(
                target=work, args=(registry.session(registry.admin()), seed, number, note)
            )
            for number in range(THREADS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def notes(log: Path) -> Callable[[str, str], None]:
    """A line of a file for each call; what is written is there whoever dies."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(kind: str, what: str) -> None:
        os.write(descriptor, f"{kind} {what}\n".encode())

    return note


def work(session: Session, seed: int, thread: int, note: Callable[[str, str], None]) -> None:
    for number in itertools.count():
        recipe, package = uploads(seed, thread, number)
        note("begun", f"{thread}/{number}")
        for upload in (recipe, package):
            for path, content in upload.files.items():
                session.files.put(ADDRESS, path, io.BytesIO(content), length=len(content))
                note("stored", path)
        if number % 4 == 3:
            note("deleting", recipe.key)
            session.releases.delete(ADDRESS, recipe.partition, recipe.name)
            note("deleted", recipe.key)


# --------------------------------------------------------------------------------- the judge


@attrs.frozen
class Log:
    """What an uploader said before it died."""

    begun: list[tuple[int, int]]
    stored: set[str]
    deleting: set[str]
    deleted: set[str]

    @classmethod
    def read(cls, file: Path) -> Log:
        said = {kind: [] for kind in ("begun", "stored", "deleting", "deleted")}
        # The last line may be torn; it was not answered, then.
        for line in file.read_text().split("\n")[:-1]:
            kind, _, what = line.partition(" ")
            said[kind].append(what)
        begun = [tuple(map(int, what.split("/"))) for what in said["begun"]]
        return cls(begun, *(set(said[kind]) for kind in ("stored", "deleting", "deleted")))


def judge(registry: Registry, seed: int, log: Log) -> Iterator[str]:
    """What is wrong after a death: something lost, something half visible, something undead."""
    session = registry.session(registry.admin())
    report = session.upkeep.check(read_data=True)
    yield from report.problems
    seen: set[str] = set()
    for thread, number in log.begun:
        recipe, package = uploads(seed, thread, number)
        for upload in (recipe, package):
            visible = listed(session, upload)
            if visible:
                yield from wrong_content(session, upload)
                seen |= upload.files.keys()
            elif upload.files.keys() <= log.stored and recipe.key not in log.deleting:
                yield f"{upload.key} was answered and is not listed"
            if visible and recipe.key in log.deleted:
                yield f"{upload.key} was deleted and is listed"
    for thread in range(THREADS):
        prefix = f"tide{thread}/1.{seed}/"
        paths = {str(file.path) for file in session.files.list(ADDRESS, prefix=prefix)}
        if stray := paths - seen:
            yield f"visible without a revision: {stray}"


def listed(session: Session, upload: Upload) -> bool:
    found = [release.name for release in session.releases.list(ADDRESS, upload.partition)]
    assert len(found) == len(set(found)), "listed twice"
    return upload.name in found


def wrong_content(session: Session, upload: Upload) -> Iterator[str]:
    try:
        files = {
            str(file.path): file
            for file in session.releases.files(ADDRESS, upload.partition, upload.name)
        }
    except ReleaseMissingError:
        yield f"{upload.key} is listed and not there"
        return
    if files.keys() != upload.files.keys():
        yield f"{upload.key} is half there: {sorted(files)}"
    for path, content in upload.files.items():
        try:
            with session.files.open(ADDRESS, path) as stream:
                if stream.read() != content:
                    yield f"{path} has other bytes"
        except StorageError:
            yield f"{path} cannot be read"
