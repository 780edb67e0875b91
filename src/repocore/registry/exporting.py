"""A repository as a plain tree: files, and documents of the newest generation.

Documents are made first, and then read from one snapshot, so that an index and what it names are of
one generation.  Files come last: what an index names was there when it was made.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from repocore.catalog import documents
from repocore.catalog.rows import StoredRepository
from repocore.errors import FileMissingError
from repocore.model import BlobKey, FilePath
from repocore.ports import Progress
from repocore.registry.context import Context
from repocore.registry.files import Files
from repocore.registry.services import SYSTEM, Services

__all__ = ["export"]


def export(services: Services, stored: StoredRepository, folder: Path, progress: Progress) -> int:
    """Write the repository's documents and files into a folder that is there; how many."""
    address = stored.value.address
    files = Files(Context(services, SYSTEM))
    progress.start(None, f"Making the documents of {address}")
    _make_documents(services, stored, files)
    progress.start(None, f"Exporting {address}")
    count = 0
    for row in _documents(services, stored):
        progress.check()
        target = _place(folder, row.path.split("/"))
        if row.content is None:
            _copy(services, BlobKey(row.digest, row.generation), row.size, target)
        else:
            target.write_bytes(row.content)
        progress.advance()
        count += 1
    for file in files.list(address):
        progress.check()
        _copy(services, file.key, file.size, _place(folder, file.path.parts))
        progress.advance()
        count += 1
    return count


def _make_documents(services: Services, stored: StoredRepository, files: Files) -> None:
    """Have every document as of now, or a moment later."""
    with services.catalog.snapshot() as connection:
        partitions = documents.partitions(connection, stored.id)
    for indexer in services.indexers.get(stored.value.format, ()):
        for path in indexer.paths(partitions):
            with suppress(FileMissingError):
                files.content(stored.value.address, path)


def _documents(services: Services, stored: StoredRepository) -> Iterator[Any]:
    """The rows of all documents that are current, of indexers that there still are."""
    with services.catalog.snapshot() as connection:
        for row in documents.current(connection, stored.id):
            found = services.indexing.indexer(stored.value.format, FilePath.parse(row.path))
            if found is not None:
                yield row


def _place(folder: Path, parts: Iterable[str]) -> Path:
    target = folder.joinpath(*map(_on_disk, parts))
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def _on_disk(segment: str) -> str:
    """A name that every common disk can hold."""
    return "".join(
        f"%{ord(c):02X}" if c in '<>:"|?*%\\' or ord(c) < 0x20 else c  # noqa: PLR2004 - control characters
        for c in segment
    )


def _copy(services: Services, key: BlobKey, size: int, target: Path) -> None:
    with services.storage.open(key) as stream:
        if not _linked(stream, size, target):
            with target.open("xb") as copy:
                shutil.copyfileobj(stream, copy, services.settings.limits.chunk)


def _linked(stream: BinaryIO, size: int, target: Path) -> bool:
    """Give the file behind a stream another name; False on another disk, or where none is."""
    try:
        descriptor = stream.fileno()
        if os.fstat(descriptor).st_size != size:
            return False  # a stream that unpacks what it reads
        # link() would not follow what is in /proc; linkat() does, and a folder given means that.
        os.link(f"/proc/self/fd/{descriptor}", target, src_dir_fd=descriptor)
    except OSError:
        return False
    return True
