"""Blobs on a local disk, and on any other file system that fsspec opens.

The tree below the storage's root, the same everywhere:

    sha256/
      3f/                                   the first two digits of the digest
        3f0a…c2.9b1d64e07713aa05            one object: its digest and its generation, read-only
    uploads/
      1767225600-5d0c…e1                    one unfinished body: when it began, and a random name

An object is written under `uploads`, on the same device as its target, and gets its name by a
rename when it is whole; so whatever lies under `sha256` is whole.  On a local disk files are
made 0440 and folders 0750, narrowed by the umask: a front server that sends files joins the
server's group, and nobody edits an object (or a hard link to it) by accident.

Names come from digests and random numbers, never from what a client sent.  Folders and files are
opened relative to the folder above and without following symbolic links, so that a link which
somebody planted leads nowhere: what is not a regular file is no object.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import fsspec
from fsspec.core import url_to_fs  # pyright: ignore[reportUnknownVariableType]
from fsspec.implementations.memory import MemoryFileSystem

from repocore.errors import ConfigurationError
from repocore.markers import hookimpl
from repocore.plugins.filesystem.calls import DiskCalls
from repocore.plugins.filesystem.disk import DiskStorage
from repocore.plugins.filesystem.trees import MemoryTree, TreeStorage
from repocore.ports import Storage

__all__ = ["DiskCalls", "DiskStorage", "TreeStorage", "repocore_storage"]


@hookimpl(trylast=True)
def repocore_storage(url: str, options: Mapping[str, Any]) -> Storage | None:
    """Open a path or a ``file://`` URL as a local disk, and any other scheme through fsspec.

    None where fsspec does not know the scheme.  Raises `ConfigurationError` where the scheme's
    package is not installed, or the URL or its options are not what it wants.
    """
    scheme = url.partition("://")[0].partition("::")[0] if "://" in url or "::" in url else "file"
    if scheme in {"file", "local"} and "::" not in url:
        return DiskStorage(_path(url) if "://" in url else url, reserve=_reserve(options))
    if scheme not in {*fsspec.available_protocols(), *fsspec.registry}:
        return None
    if any(mark in url for mark in "*?["):
        raise ConfigurationError("The URL of a storage must not hold *, ? or [.")
    tree, root = _open_tree(scheme, url, options)
    # Untyped as fsspec is, what it opens is taken for the few calls that are needed of it.
    if isinstance(tree, MemoryFileSystem):
        memory: Any = tree
        return TreeStorage(MemoryTree(memory, memory.store), root)
    return TreeStorage(tree, root)


def _reserve(options: Mapping[str, Any]) -> int | None:
    reserve = options.get("reserve")
    if options.keys() - {"reserve"} or not isinstance(reserve, int | None) or (reserve or 0) < 0:
        message = (
            "A storage on the local disk takes one of the storage_options: reserve, the bytes "
            "of the disk that uploads leave free."
        )
        raise ConfigurationError(message)
    return reserve


def _path(url: str) -> str:
    """The path of a file URL, which is percent-encoded and has no host (RFC 8089)."""
    parts = urlsplit(url)
    if parts.netloc not in {"", "localhost"}:
        raise ConfigurationError("A file URL has three slashes: file:///path/of/the/storage.")
    return unquote(parts.path)


def _open_tree(scheme: str, url: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    try:
        return url_to_fs(url, **options)  # pyright: ignore[reportUnknownVariableType]
    except ImportError as error:
        message = f"A storage at {scheme}:// needs a package that is not installed: {error}"
        raise ConfigurationError(message) from error
    except (OSError, TypeError, ValueError) as error:
        message = f"The storage at {scheme}:// does not open; check storage and storage_options."
        raise ConfigurationError(message) from error
