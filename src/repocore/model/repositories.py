"""Repositories and what governs them."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import attrs

from repocore.errors import InvalidPathError
from repocore.model.access import Resource

__all__ = ["Mode", "Policy", "Repository", "parse_resource", "split_address"]

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,98}[a-z0-9])?\Z", re.IGNORECASE)

#: A repository of that name could not be told from the token prefix of a URL.
_RESERVED: Final = frozenset({"t"})


class Mode(enum.Enum):
    """Where a repository's content comes from."""

    HOSTED = "hosted"


@attrs.frozen(kw_only=True)
class Policy:
    """What one repository allows; None leaves it to the format or to the settings."""

    #: Whether released bytes may be replaced by those who hold OVERWRITE.
    overwrite: bool | None = None
    #: Bytes of one file.
    max_size: int | None = None
    #: Bytes of all its files.
    quota: int | None = None
    #: How many files it may have.
    max_files: int | None = None


@attrs.frozen(kw_only=True)
class Repository:
    """A named collection in one format, addressed ``format/name``."""

    format: str
    name: str
    mode: Mode = Mode.HOSTED
    policy: Policy = attrs.field(factory=Policy)
    description: str = ""
    #: The site's general rules do not reach a private repository.
    private: bool = False
    #: What its format makes of it; checked by the format.
    options: Mapping[str, Any] = attrs.field(factory=dict[str, Any], hash=False)
    created_at: datetime | None = None

    @property
    def address(self) -> str:
        """The name in URLs, rules, the command line and the API."""
        return f"{self.format}/{self.name}"


@lru_cache(maxsize=1024)
def split_address(address: str) -> tuple[str, str]:
    """Split ``format/name``; raises `InvalidPathError` where it is not an address."""
    kind, slash, name = address.partition("/")
    if not slash or not _NAME.match(kind) or not _NAME.match(name) or name in _RESERVED:
        message = (
            "A repository is addressed format/name, each of letters, digits, dots, hyphens and "
            "underscores, for example conan/main; no repository is named t."
        )
        raise InvalidPathError(message)
    return kind, name


def parse_resource(text: str) -> Resource:
    """What ``format/name[/package[/version]]`` names; ``site``, or nothing, is the site.

    Raises `InvalidPathError` where it names nothing.
    """
    if text in {"", "site"}:
        return Resource()
    fields = text.split("/", 3)
    split_address("/".join(fields[:2]))
    return Resource(*fields)
