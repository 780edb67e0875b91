"""Open many packages in processes of their own, because one process opens one at a time.

Small packages cost Python more than the disk, and Python runs on one processor.  So they are read,
hashed and opened elsewhere, and what was found comes back as facts, with the digests of the bytes
that it was found in: the importer hashes them once more when it takes them, and compares.
"""

from __future__ import annotations

import hashlib
import io
import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

import attrs

from repocore.errors import RepocoreError
from repocore.model import Checksums, Digest, FileFacts, FilePath
from repocore.plugins.conda.channel_tree import TreeFile
from repocore.plugins.conda.filenames import parse_path
from repocore.plugins.conda.inspecting import inspect_package
from repocore.plugins.conda.limits import ArchiveLimits
from repocore.registry import Upload

__all__ = ["LARGEST", "open_packages"]

#: A larger file is opened where it is taken: most of its time needs no Python.
LARGEST: Final = 4 << 20
#: Packages that are handed over at a time.
_BATCH: Final = 32
#: Batches for each process that wait for it, or for the importer.
_AHEAD: Final = 3


@attrs.frozen
class _Task:
    """A package in its channel and on the disk; None where it is too large."""

    path: FilePath
    file: Path | None


@attrs.frozen
class _Content:
    """The bytes of a package, as `repocore.ports.StagedContent`."""

    _content: bytes = attrs.field(repr=False)
    checksums: Checksums

    @property
    def size(self) -> int:
        return len(self._content)

    def open(self) -> BinaryIO:
        return io.BytesIO(self._content)


#: What was found, why nothing was, or None for a package that is opened where it is taken.
_Found = tuple[FileFacts, Checksums] | str | None


def open_packages(
    uploads: Iterable[Upload], limits: ArchiveLimits, processes: int
) -> Iterator[tuple[Upload, str]]:
    """The uploads, whose streams are `TreeFile`, with what was found in them, in their order.

    The text is empty, or says why a package is no good.  A few more are read ahead than were asked
    for.  Whoever calls it must be a program that may be imported without effect.
    """
    context = multiprocessing.get_context("spawn")  # there are threads, and connections
    source = iter(uploads)
    running: deque[tuple[list[Upload], Future[list[_Found]]]] = deque()
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        try:
            while True:
                while len(running) < _AHEAD * processes and (some := list(islice(source, _BATCH))):
                    tasks = [_Task(upload.path, _small(upload)) for upload in some]
                    running.append((some, pool.submit(_open_all, tasks, limits)))
                if not running:
                    return
                waiting, future = running.popleft()
                for upload, found in zip(waiting, future.result(), strict=True):
                    yield _known(upload, found)
        finally:
            for _, future in running:
                future.cancel()


def _small(upload: Upload) -> Path | None:
    stream = upload.stream
    if upload.length is None or upload.length > LARGEST:
        return None
    if not isinstance(stream, TreeFile):
        raise TypeError("an upload from a tree was expected")
    return stream.path


def _known(upload: Upload, found: _Found) -> tuple[Upload, str]:
    if found is None or isinstance(found, str):
        return upload, found or ""
    facts, sums = found
    announced = (Digest("sha256", sums.sha256), Digest("md5", str(sums.md5)))
    return attrs.evolve(upload, facts=facts, announced=announced), ""


def _open_all(tasks: Sequence[_Task], limits: ArchiveLimits) -> list[_Found]:
    """What is found in packages; in a process of its own."""
    return [_open(task, limits) for task in tasks]


def _open(task: _Task, limits: ArchiveLimits) -> _Found:
    if task.file is None:
        return None
    file = TreeFile(task.file)
    try:
        content = b"".join(iter(lambda: file.read(LARGEST), b""))
        sums = Checksums(
            sha256=hashlib.sha256(content).hexdigest(),
            md5=hashlib.md5(content, usedforsecurity=False).hexdigest(),
        )
        subdir, package = parse_path(task.path)
        facts = inspect_package(package, _Content(content, sums), limits, subdir=subdir)
    except RepocoreError as error:
        return str(error)
    else:
        return facts, sums
    finally:
        file.close()
