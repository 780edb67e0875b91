"""Blobs, files, and what a format says of a file."""

from __future__ import annotations

from datetime import datetime

import attrs

from repocore.model.digest import BlobKey, Checksums
from repocore.model.paths import FilePath

__all__ = ["Attested", "Blob", "File", "FileFacts"]


@attrs.frozen(kw_only=True)
class Blob:
    """Immutable bytes in the storage."""

    key: BlobKey
    checksums: Checksums
    size: int
    touched_at: datetime


@attrs.frozen(kw_only=True)
class Attested:
    """What somebody says of a file that comes: attestations (CEP 27), as a JSON array of bundles.

    ``urls`` are those that the repository has, of which an attestation may name one; None where
    the file comes out of another repository of this registry.
    """

    bundles: bytes
    urls: tuple[str, ...] | None
    #: How many others the file has already.
    others: int = 0


@attrs.frozen(kw_only=True)
class FileFacts:
    """What a format reads from a path and its content.

    A file with a ``release`` belongs to that release of its ``partition``; one without belongs to
    the repository alone.  ``record`` is canonical JSON, an object, merged into the release's.
    """

    partition: str | None = None
    release: str | None = None
    package: str | None = None
    version: str | None = None
    media_type: str = "application/octet-stream"
    #: The path may be bound to other bytes with WRITE alone, and never decides what is whole.
    mutable: bool = False
    #: Storing it again makes its release, were it an older one, the newest.
    announces: bool = False
    #: The key of the release that this one hangs on, and is deleted with.
    parent: str | None = None
    #: Paths of the same release that this file takes the place of, in the same transaction.
    replaces: tuple[FilePath, ...] = ()
    #: The file is the whole release: its record and extra take the place of what was there.
    sole: bool = False
    #: The format's word for the list of a document that the release is in.
    section: str = ""
    #: Where the file belongs, from a content that tells.
    path: FilePath | None = None
    record: bytes = b"{}"
    #: Bytes of the format's own, ready for its documents; kept beside the record.
    extra: bytes = b""
    #: What comes with it; for those who may refuse it.
    attested: Attested | None = None
    #: The record that the release has to have when this file adds to what documents say of it.
    amends: bytes = b""


@attrs.frozen(kw_only=True)
class File:
    """A path in a repository, and the bytes that it names.

    ``digest`` is the sha256 in hex and ``size`` counts bytes.
    """

    repository: str
    path: FilePath
    digest: str
    size: int
    partition: str | None
    release: str | None
    media_type: str
    mutable: bool
    created_at: datetime
    created_by: str
    #: Where the bytes lie; only the registry and its storage read it.
    key: BlobKey = attrs.field(repr=False)
