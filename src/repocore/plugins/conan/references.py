"""Conan references: parsed from the fields of a URL, printed as the client prints them.

Names and ids are checked here and nowhere else.  The bounds are those of the clients: Conan 1
allows upper case and 51 characters, Conan 2 lower case and 101, and 200 for a whole printed
reference.  Both ask for two characters; one alone harms nobody.  A dot at the end is refused
because two paths must not become one on a disk that drops it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Self

import attrs

from repocore.errors import InvalidPathError
from repocore.model import release_key

__all__ = ["NOBODY", "ConanReference", "PackageReference", "check_id", "reference"]

_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_+.-]{0,99}[A-Za-z0-9_+-])?\Z")
# Hashes of up to sha256 in hex, and the words that people and tests use in their place.
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_MOST: Final = 200
#: What stands for a user or channel that is not there.
NOBODY: Final = "_"


def _check(kind: str, value: str) -> None:
    if not _NAME.match(value):
        message = (
            f"{value!r} is not a Conan {kind}: up to 101 letters, digits and _ + . -, "
            "starting with a letter, a digit or _, not ending in a dot."
        )
        raise InvalidPathError(message)


def check_id(kind: str, value: str) -> str:
    """Return a revision or package id; raises `InvalidPathError` for what cannot be one."""
    if not _ID.match(value):
        message = f"{value!r} is not a Conan {kind}: up to 64 letters, digits, _ and -."
        raise InvalidPathError(message)
    return value


@attrs.frozen
class ConanReference:
    """``name/version[@user[/channel]]``; a missing user or channel is ``_``.

    ``ConanReference.parse(str(reference)) == reference``.
    """

    name: str
    version: str
    user: str = NOBODY
    channel: str = NOBODY

    def __attrs_post_init__(self) -> None:
        for kind in ("name", "version", "user", "channel"):
            _check(kind, getattr(self, kind))
        if self.user == NOBODY and self.channel != NOBODY:
            message = "A Conan reference with a channel has a user."
            raise InvalidPathError(message)
        if len(str(self)) > _MOST:
            message = f"A Conan reference has at most {_MOST} characters."
            raise InvalidPathError(message)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``name/version[@user[/channel]]``; raises `InvalidPathError`."""
        package, _, rest = text.partition("@")
        name, _, version = package.partition("/")
        user, _, channel = rest.partition("/")
        return cls(name, version, user or NOBODY, channel or NOBODY)

    @property
    def full_version(self) -> str:
        """The version as rules and releases name it: ``version@user/channel``."""
        return f"{self.version}@{self.user}/{self.channel}"

    @property
    def partition(self) -> str:
        """The partition of its recipe revisions: ``name/version@user/channel``."""
        return f"{self.name}/{self.full_version}"

    def __str__(self) -> str:
        text = f"{self.name}/{self.version}"
        if self.user == NOBODY:
            return text
        return f"{text}@{self.user}" + ("" if self.channel == NOBODY else f"/{self.channel}")


#: A checked reference of four fields; the same few are asked for again and again.
reference = lru_cache(maxsize=4096)(ConanReference)


@attrs.frozen
class PackageReference:
    """A recipe revision and a package id; its package revisions are one partition.

    Prints as ``reference#rrev:package_id``, and parses from that.
    """

    recipe: ConanReference
    rrev: str
    package_id: str

    def __attrs_post_init__(self) -> None:
        check_id("recipe revision", self.rrev)
        check_id("package id", self.package_id)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``reference#rrev:package_id``; raises `InvalidPathError`."""
        recipe, _, rest = text.partition("#")
        rrev, _, package_id = rest.partition(":")
        return cls(ConanReference.parse(recipe), rrev, package_id)

    @property
    def partition(self) -> str:
        """``name/version@user/channel#rrev:package_id``."""
        return f"{self.parent}:{self.package_id}"

    @property
    def parent(self) -> str:
        """The key of the recipe revision that it hangs on."""
        return release_key(self.recipe.partition, self.rrev)

    def __str__(self) -> str:
        return f"{self.recipe}#{self.rrev}:{self.package_id}"
