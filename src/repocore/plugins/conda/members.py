"""What a package holds, and whether it may: one place from which nothing leads out.

A client unpacks a package into a folder of its cache and links the files from there into
environments.  So each path is a plain one below that folder, each link ends below it, and nothing
lies behind a link.  The rules look at names alone; a name that Windows or macOS would take for
another one counts as that one, too.

Of each path its hash is kept, so that a package of half a million files takes tens of megabytes.
Python salts the hash, and two paths that collide by chance refuse a good package once in ages.
"""

from __future__ import annotations

import re
from typing import Final

import attrs

from repocore.errors import InvalidPackageError
from repocore.plugins.conda.limits import ArchiveLimits
from repocore.plugins.conda.tars import Kind, TarMember

__all__ = ["INFO", "Contents", "check_path"]

#: The folder of what a package says of itself.
INFO: Final = "info"
# What a client writes when it unpacks or links a package.
_CLIENTS: Final = "conda-meta"
_CLIENTS_RECORD: Final = "info/repodata_record.json"

# Empty, and dots and spaces only: each is the same folder, or the one above, on some system.
_DOTS: Final = r"(?:^|[/\\])[. ]*(?:[/\\]|\Z)"
_WRONG = re.compile(rf"{_DOTS}|[\x00-\x1f\x7f]|^[\\/]|^[A-Za-z]:")
# Most paths: no part of them starts with a dot or a space, and one look is enough.
_PART: Final = r"[A-Za-z0-9_+~@=-][A-Za-z0-9_.+~@=-]*+"
_PLAIN = re.compile(rf"(?:{_PART}/)*+{_PART}\Z")
_OUTWARD = re.compile(r"^[\\/]|^[A-Za-z]:|[\x00-\x1f\x7f]")
# What is ".." there, but not here: behind a backslash, or with more dots and spaces.
_HIDDEN_UP = re.compile(r"(?:^|/)(?:\.[. ]+[. ]| [. ]*)(?:/|\Z)|\\[. ]*(?:[/\\]|\Z)|\.\.[/ ]*\\")

_FOLDER: Final = -1
_SYMLINK: Final = -2


def _refused(path: str, reason: str) -> InvalidPackageError:
    return InvalidPackageError(f"The package may not hold {path[:200]!r}: {reason}.")


def check_path(path: str, limits: ArchiveLimits) -> str:
    """Return the path if it is a plain one below the package; raises `InvalidPackageError`.

    Letter case is kept: names that differ in nothing else are two files on the systems that most
    packages are for.
    """
    if not _PLAIN.match(path) and _WRONG.search(path):
        raise _refused(path, "it is not a plain relative path")
    if len(path) > limits.path // 4 and len(path.encode()) > limits.path:
        raise _refused(path, f"a path has at most {limits.path} bytes")
    if path.count("/") > limits.depth:
        raise _refused(path, f"a path has at most {limits.depth} folders")
    top = path.replace("\\", "/").partition("/")[0].rstrip(". ").lower()
    if top == _CLIENTS:
        raise _refused(path, "the folder conda-meta belongs to the client")
    if top == INFO:
        if path != INFO and not path.startswith(f"{INFO}/"):
            raise _refused(path, "on some systems it is the folder info")
        if path.rstrip(". ").lower() == _CLIENTS_RECORD:
            raise _refused(path, "its client writes that file")
    return path


@attrs.define
class Contents:
    """All members of a package, from one archive or from two."""

    limits: ArchiveLimits
    #: By the hash of a path, the size of a file, or what else it is.
    _found: dict[int, int] = attrs.field(factory=dict[int, int], init=False)
    #: Folders that something lies in, or that a link goes up from; with each, all above it.
    _folders: set[int] = attrs.field(factory=set[int], init=False)
    _parent: str = attrs.field(default="", init=False)

    def __len__(self) -> int:
        return len(self._found)

    def add(self, member: TarMember) -> str:
        """Take a member in and return its path; empty for the folder of the package itself.

        Raises `InvalidPackageError`.
        """
        path = member.path.removeprefix("./")
        if member.kind is Kind.FOLDER:
            path = path.removesuffix("/")
            if path in {"", "."}:
                return ""
        check_path(path, self.limits)
        place = hash(path)
        what = self._what(path, member)
        if place in self._found and not self._found[place] == what == _FOLDER:
            raise _refused(path, "it is there twice")
        self._found[place] = what
        if len(self._found) > self.limits.members:
            message = f"The package holds more than {self.limits.members} files."
            raise InvalidPackageError(message)
        self._enter(path)
        return path

    def size_of(self, place: int) -> int | None:
        """Of the path with that hash the bytes if it is a file, less than 0 if it is not.

        None where nothing is.
        """
        return self._found.get(place)

    def close(self) -> None:
        """All members came; raises `InvalidPackageError` if one lies behind another.

        A client that unpacks it would write through a link, to wherever that leads.
        """
        for place in self._folders:
            if self._found.get(place, _FOLDER) != _FOLDER:
                message = "The package holds files below a path that is a link or a file itself."
                raise InvalidPackageError(message)

    def _what(self, path: str, member: TarMember) -> int:
        if member.kind is Kind.FILE:
            return member.size
        if member.kind is Kind.FOLDER:
            return _FOLDER
        if member.kind is Kind.SYMLINK:
            self._follow(path, member.target)
            return _SYMLINK
        target = check_path(member.target.removeprefix("./"), self.limits)
        size = self._found.get(hash(target), _FOLDER)
        if size < 0:
            raise _refused(path, "it is a hard link to what is no file before it in the package")
        return size

    def _follow(self, path: str, target: str) -> None:
        """A symbolic link goes up first, no further than the package, and down then.

        One that goes up later is all right where it goes up from folders of the package.
        """
        # A link to nothing is let be: an old builder left targets out, and no client writes it.
        if _OUTWARD.search(target) or len(target) > self.limits.path:
            raise _refused(path, "it is a link out of the package")
        if _HIDDEN_UP.search(target):
            raise _refused(path, "it is a link that may lead out of the package on Windows")
        stack = path.split("/")[:-1]
        down = False
        for part in target.split("/"):
            if part == "..":
                if not stack:
                    raise _refused(path, "it is a link out of the package")
                if down:
                    self._walk("/".join(stack))
                stack.pop()
            elif part not in {"", "."}:
                stack.append(part)
                down = True

    def _enter(self, path: str) -> None:
        parent = path.rpartition("/")[0]
        if parent != self._parent:
            self._parent = parent
            self._walk(parent)

    def _walk(self, folder: str) -> None:
        """The folder and all above it have to be folders: of one in the set, those are there."""
        while folder and (place := hash(folder)) not in self._folders:
            self._folders.add(place)
            folder = folder.rpartition("/")[0]
