"""Objects on any file system that fsspec opens."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from datetime import timedelta
from typing import Any, BinaryIO, Protocol

from repocore.errors import BlobMissingError, StorageError
from repocore.model import BlobKey
from repocore.plugins.filesystem.objects import (
    ENDED,
    OBJECTS,
    UPLOADS,
    began_before,
    object_name,
    part_of,
    told_as_storage_errors,
    upload_name,
)

__all__ = ["FileSystem", "MemoryTree", "TreeStorage", "TreeWriter"]


class FileSystem(Protocol):
    """The few calls of fsspec that are needed."""

    def open(self, path: str, mode: str = "rb") -> BinaryIO:
        """Open a file; ``wb`` makes it, ``ab`` goes on at its end."""
        ...

    def info(self, path: str) -> Mapping[str, Any]:
        """At least ``type`` and ``size``; raises FileNotFoundError."""
        ...

    def ls(self, path: str, *, detail: bool) -> list[Mapping[str, Any]]:
        """What is in a folder: at least ``name`` and ``type`` of each."""
        ...

    def makedirs(self, path: str, *, exist_ok: bool) -> None:
        """Make a folder and those above it."""
        ...

    def mv(self, path1: str, path2: str) -> None:
        """Give a file another name."""
        ...

    def rm_file(self, path: str) -> None:
        """Delete a file."""
        ...

    def invalidate_cache(self, path: str | None = None) -> None:
        """Forget what was seen of a folder."""
        ...


class MemoryTree:
    """fsspec's memory in constant time, and safe for readers side by side.

    There a file is one object with one position for all who opened it, and a look at one name
    is a walk over all.
    """

    def __init__(self, tree: FileSystem, store: dict[str, io.BytesIO]) -> None:
        self._tree = tree
        self._store = store
        self.ls = tree.ls
        self.makedirs = tree.makedirs
        self.invalidate_cache = tree.invalidate_cache

    def open(self, path: str, mode: str = "rb") -> BinaryIO:
        """Read a copy, or write the file itself."""
        if mode != "rb":
            return self._tree.open(path, mode)
        return io.BytesIO(self._file(path).getvalue())

    def info(self, path: str) -> Mapping[str, Any]:
        """The type and size of a file; it looks for no folders."""
        return {"type": "file", "size": len(self._file(path).getbuffer())}

    def mv(self, path1: str, path2: str) -> None:
        """Give the file its other name."""
        self._store[path2] = self._file(path1)
        del self._store[path1]

    def rm_file(self, path: str) -> None:
        """Delete the file."""
        if self._store.pop(path, None) is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    def _file(self, path: str) -> io.BytesIO:
        try:
            return self._store[path]
        except KeyError as error:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from error


class TreeStorage:
    """Objects on a file system of fsspec.

    A body goes to a name under ``uploads`` and is moved when it is whole.  It is as atomic as the
    file system's own move: one that copies and deletes instead, as object stores do, shows the
    copy only when it is complete; one that copies byte by byte under the target's name may leave
    a torn object when the server dies, which `repocore check` finds.  Durable means that the
    file system has answered; nothing more can be asked of it.
    """

    def __init__(self, tree: FileSystem, root: str) -> None:
        self._tree = tree
        self._objects = f"{root.rstrip('/')}/{OBJECTS}"
        self._uploads = f"{root.rstrip('/')}/{UPLOADS}"

    def writer(self, length: int | None = None) -> TreeWriter:
        """Start a body; raises `StorageFullError` or `StorageError`."""
        del length  # fsspec does not say how much space is left
        return TreeWriter(self._tree, f"{self._uploads}/{upload_name()}", self._path)

    def open(self, key: BlobKey, start: int = 0, stop: int | None = None) -> BinaryIO:
        """Read an object; raises `BlobMissingError` at once, or `StorageError`."""
        size = self.size(key)
        if size is None:
            raise BlobMissingError
        try:
            with told_as_storage_errors():
                return part_of(self._tree.open(self._path(key), "rb"), start, stop, size)
        except StorageError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise BlobMissingError from error
            raise

    def size(self, key: BlobKey) -> int | None:
        """The object's bytes, or None."""
        path = self._path(key)
        with told_as_storage_errors():
            try:
                self._tree.invalidate_cache(path)
                facts = self._tree.info(path)
            except FileNotFoundError:
                return None
            return facts["size"] if facts["type"] == "file" else None

    def delete(self, key: BlobKey) -> None:
        """Delete the object; idempotent."""
        path = self._path(key)
        with told_as_storage_errors(), contextlib.suppress(FileNotFoundError):
            self._tree.rm_file(path)

    def keys(self) -> Iterator[BlobKey]:
        """Every object, folder by folder."""
        for shard in self._names(self._objects, "directory"):
            for name in self._names(f"{self._objects}/{shard}", "file"):
                key = BlobKey.parse(name)
                if key is not None and name.startswith(shard):
                    yield key

    def sweep(self, older_than: timedelta) -> int:
        """Delete unfinished bodies that began so long ago: not every file system tells when
        something was written last.
        """
        latest = time.time() - older_than.total_seconds()
        old = [name for name in self._names(self._uploads, "file") if began_before(name, latest)]
        for name in old:
            with told_as_storage_errors(), contextlib.suppress(FileNotFoundError):
                self._tree.rm_file(f"{self._uploads}/{name}")
        return len(old)

    def location(self, key: BlobKey) -> str | None:
        """None: no front server sees these files."""
        return None

    def url(
        self, key: BlobKey, *, filename: str, media_type: str, expires: timedelta
    ) -> str | None:
        """None: fsspec knows no URL that keeps the file's name and media type."""
        return None

    def _path(self, key: BlobKey) -> str:
        name = object_name(key)
        return f"{self._objects}/{name[:2]}/{name}"

    def _names(self, folder: str, kind: str) -> list[str]:
        with told_as_storage_errors():
            try:
                self._tree.invalidate_cache(folder)
                entries = self._tree.ls(folder, detail=True)
            except FileNotFoundError:
                return []
            found = (entry["name"] for entry in entries if entry["type"] == kind)
            return [name.rstrip("/").rpartition("/")[2] for name in found]


class TreeWriter:
    """A body in a file of its own; after an error it can only be aborted."""

    def __init__(self, tree: FileSystem, upload: str, path: Callable[[BlobKey], str]) -> None:
        self._tree = tree
        self._upload = upload
        self._path = path
        self._keys: list[BlobKey] = []
        self._ended = False
        with told_as_storage_errors():
            tree.makedirs(upload.rpartition("/")[0], exist_ok=True)
            self._stream: BinaryIO | None = tree.open(upload, "wb")

    def write(self, chunk: bytes, /) -> None:
        """Add a chunk; raises `StorageFullError` or `StorageError`."""
        with self._step(usable=not self._keys):
            if self._stream is None:
                self._stream = self._tree.open(self._upload, "ab")
            self._stream.write(chunk)

    def open(self) -> BinaryIO:
        """Read what was written so far; a later ``write`` appends, where the file system can."""
        with self._step(usable=not self._keys):
            self._finish()
            return self._tree.open(self._upload, "rb")

    def commit(self, key: BlobKey) -> None:
        """Move the body to its object's name.

        Idempotent for the same key; under another key the first object is copied.
        """
        if key in self._keys:
            return
        path = self._path(key)
        with self._step():
            if self._keys:
                self._copy(self._path(self._keys[0]))
            self._finish()
            self._tree.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._tree.mv(self._upload, path)
        self._keys.append(key)

    def abort(self) -> None:
        """Delete the body unless it was committed; `sweep` gets what stays."""
        self._ended = True
        if self._keys:
            return
        with contextlib.suppress(StorageError), told_as_storage_errors():
            with contextlib.suppress(Exception):  # half an upload may not close, but can go
                self._finish()
            self._tree.rm_file(self._upload)

    def _copy(self, path: str) -> None:
        with self._tree.open(path, "rb") as source, self._tree.open(self._upload, "wb") as target:
            shutil.copyfileobj(source, target)

    def _finish(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    @contextlib.contextmanager
    def _step(self, *, usable: bool = True) -> Generator[None]:
        if self._ended or not usable:
            raise StorageError(ENDED)
        with told_as_storage_errors():
            self._ended = True
            yield
            self._ended = False
