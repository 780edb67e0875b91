"""Blobs in a bucket of S3, or of a store that speaks as S3 does: ``s3://bucket/prefix``.

The names below the prefix are those of every other storage of ours:

    sha256/
      3f/3f0a…c2.9b1d64e07713aa05           one object: its digest and its generation
    uploads/
      71d2…0e/3f0a…c2-2800000-1000000-8c…   what the account 71d2…0e is sending by itself
    probe/
      1767225600-5d0c…e1                    written, read and deleted when a server starts

A body is kept in a file without a name while it arrives, because the object's name is known only
when all of it is here, and formats look into it before.  It is then sent to that name, a small
one by one request, a large one in parts; the store shows it when it is whole.  A body that a
client sends to the store itself is read back from where it lies, and copied to that name.

`settings` is loaded with the plugin.  All the rest is loaded when a storage opens, since botocore
takes half a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from repocore.errors import ConfigurationError
from repocore.markers import hookimpl
from repocore.ports import Storage
from repocore_s3.settings import S3Settings, read_place

__all__ = ["S3Settings", "repocore_settings", "repocore_storage"]


@hookimpl
def repocore_settings() -> Mapping[str, type]:
    """``[plugins.s3]`` is `S3Settings`."""
    return {"s3": S3Settings}


@hookimpl
def repocore_storage(
    url: str,
    options: Mapping[str, Any],
    plugin_settings: Mapping[str, Any],
    read_only: bool,  # noqa: FBT001 - hooks are called by name
) -> Storage | None:
    """Open ``s3://bucket/prefix``; None for every other scheme.

    Raises `ConfigurationError` where the package is not installed, the URL is none, or the store
    refuses us; `StorageError` where it does not answer.
    """
    if not url.startswith("s3://"):
        return None
    place = read_place(url)
    if options:
        message = "storage_options: s3:// has its settings in [plugins.s3]"
        raise ConfigurationError(problems=(message,))
    if find_spec("botocore") is None:
        message = "storage: s3:// needs the package botocore; pip install 'repocore[s3]'"
        raise ConfigurationError(problems=(message,))
    from repocore_s3.storage import open_storage  # noqa: PLC0415 - it imports an optional package

    return open_storage(place, plugin_settings["s3"], writable=not read_only)
