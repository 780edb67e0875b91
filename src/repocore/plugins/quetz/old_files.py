"""The files of a quetz, local or in S3, each opened when it is read first."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final, Protocol, cast

import fsspec

from repocore.errors import ConfigurationError, RejectedError
from repocore.plugins.quetz.old_config import ObjectStore, OldQuetz
from repocore.registry import LateFile

__all__ = ["OldFile", "OldFiles", "open_old_files"]

_NO_LINKS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class OldFiles(Protocol):
    """Where the files of channels are."""

    def find(self, channel: str, platform: str, filename: str) -> OldFile | None:
        """A file, or None where there is none."""
        ...


class OldFile(LateFile):
    """A file of a deployment, and its size."""

    def __init__(self, name: str, size: int, opener: Callable[[], Any]) -> None:
        super().__init__(name, opener)
        #: Bytes.
        self.size = size


class _Local:
    def __init__(self, quetz: OldQuetz) -> None:
        self._folder = quetz.channels

    def find(self, channel: str, platform: str, filename: str) -> OldFile | None:
        path = self._folder / channel / platform / filename
        if not path.is_file() or path.is_symlink():
            return None
        return OldFile(
            filename,
            path.stat().st_size,
            lambda: os.fdopen(os.open(path, _NO_LINKS), "rb", buffering=0),
        )


class _Objects:
    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._system = _system(store)

    def find(self, channel: str, platform: str, filename: str) -> OldFile | None:
        key = f"{self._store.root(channel)}/{platform}/{filename}"
        try:
            size = self._system.info(key)["size"]
        except FileNotFoundError:
            return None
        except OSError as error:
            message = f"The bucket of {channel} cannot be read: {type(error).__name__}."
            raise RejectedError(message) from error
        return OldFile(filename, size, lambda: self._system.open(key, "rb"))


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
