"""The files of a quetz, local or in S3, each opened when it is read first."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, BinaryIO, Final, Protocol, cast

import fsspec

from repocore.errors import ConfigurationError, RejectedError
from repocore.plugins.quetz.old_config import ObjectStore, OldQuetz

__all__ = ["LateFile", "OldFiles", "open_old_files"]

_NO_LINKS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_UNREADABLE: Final = "the file cannot be read"


class OldFiles(Protocol):
    """Where the files of channels are."""

    def find(self, channel: str, platform: str, filename: str) -> LateFile | None:
        """A file, or None where there is none."""
        ...


class LateFile:
    """A file that waits to be read; it raises `RejectedError` where that does not work."""

    def __init__(self, size: int, opener: Callable[[], Any]) -> None:
        #: Bytes.
        self.size = size
        self._opener = opener
        self._stream: BinaryIO | None = None
        self._ended = False

    def read(self, size: int = -1, /) -> bytes:
        """Up to ``size`` bytes."""
        if self._ended:
            return b""
        try:
            chunk = self._opened().read(size)
        except OSError as error:
            raise RejectedError(_UNREADABLE) from error
        if not chunk:
            self.close()
        return chunk

    def fileno(self) -> int:
        """A descriptor, where it is a local file; raises `OSError` otherwise."""
        return self._opened().fileno()

    def close(self) -> None:
        """There is no more to be read.  Idempotent."""
        self._ended = True
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _opened(self) -> BinaryIO:
        if self._stream is None:
            self._stream = self._opener()
        assert self._stream is not None  # noqa: S101 - it was opened just now
        return self._stream


class _Local:
    def __init__(self, quetz: OldQuetz) -> None:
        self._folder = quetz.channels

    def find(self, channel: str, platform: str, filename: str) -> LateFile | None:
        path = self._folder / channel / platform / filename
        if not path.is_file() or path.is_symlink():
            return None
        return LateFile(
            path.stat().st_size,
            lambda: os.fdopen(os.open(path, _NO_LINKS), "rb", buffering=0),
        )


class _Objects:
    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._system = _system(store)

    def find(self, channel: str, platform: str, filename: str) -> LateFile | None:
        key = f"{self._store.root(channel)}/{platform}/{filename}"
        try:
            size = self._system.info(key)["size"]
        except FileNotFoundError:
            return None
        except OSError as error:
            message = f"The bucket of {channel} cannot be read: {type(error).__name__}."
            raise RejectedError(message) from error
        return LateFile(size, lambda: self._system.open(key, "rb"))


def _system(store: ObjectStore) -> Any:
    """The file system of a bucket; raises `ConfigurationError` where the library is missing."""
    try:
        client = {"endpoint_url": store.url or None, "region_name": store.region or None}
        return cast("Any", fsspec).filesystem(
            "s3",
            key=store.access_key or None,
            secret=store.secret_key or None,
            client_kwargs={name: value for name, value in client.items() if value},
            use_listings_cache=False,
        )
    except ImportError as error:
        message = "Files in S3 need more packages: pip install 'repocore[quetz-s3]'."
        raise ConfigurationError(message) from error


def open_old_files(quetz: OldQuetz) -> OldFiles:
    """The files of a deployment; raises `ConfigurationError` where a library is missing."""
    return _Local(quetz) if quetz.objects is None else _Objects(quetz.objects)
