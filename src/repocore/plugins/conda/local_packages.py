"""Package files of this machine that are to be uploaded."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Self

import attrs

from repocore.plugins.conda.filenames import PackageFile
from repocore.plugins.conda.limits import ArchiveLimits
from repocore.plugins.conda.peeking import subdir_of

__all__ = ["LocalPackage"]


@attrs.frozen
class LocalPackage:
    """A package file, its path in the channel, its size and sha256."""

    path: Path
    where: str
    size: int
    digest: str

    @classmethod
    def at(cls, path: Path) -> Self:
        """Look at a file; raises `RejectedError` for what is no package, and `OSError`."""
        file = PackageFile.parse(path.name)
        with path.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(0)
            subdir = subdir_of(stream, size, file, ArchiveLimits())
            stream.seek(0)
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return cls(path, str(file.path(subdir)), size, digest)
