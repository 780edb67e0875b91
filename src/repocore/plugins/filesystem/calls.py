"""What is asked of a disk, so that a test can be one."""

from __future__ import annotations

import os
from typing import Protocol

__all__ = ["DiskCalls"]


class DiskCalls(Protocol):
    """What a `DiskStorage` does to a disk; the module `os` is one."""

    def open(self, path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        """Open or create."""
        ...

    def write(self, fd: int, data: memoryview, /) -> int:
        """Write some of the bytes; returns how many."""
        ...

    def fsync(self, fd: int) -> None:
        """Return when a file's bytes, or a folder's names, survive a power cut."""
        ...

    def rename(
        self, src: str, dst: str, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None
    ) -> None:
        """Give a file its other name, in one step."""
        ...

    def unlink(self, path: str, *, dir_fd: int | None = None) -> None:
        """Delete a file."""
        ...

    def link(self, src: str, dst: str, *, dst_dir_fd: int | None = None) -> None:
        """Give a file another name; a symbolic link is followed."""
        ...

    def mkdir(self, path: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        """Make a folder."""
        ...

    def fstatvfs(self, fd: int, /) -> os.statvfs_result:
        """How much space is left."""
        ...
