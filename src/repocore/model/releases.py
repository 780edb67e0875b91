"""Releases: the ordered members of a partition."""

from __future__ import annotations

from datetime import datetime

import attrs

__all__ = ["DraftRelease", "Release", "release_key"]


def release_key(partition: str, name: str) -> str:
    """The text by which one release names another as its parent: ``partition#name``."""
    return f"{partition}#{name}"


@attrs.frozen(kw_only=True)
class DraftRelease:
    """A release that is not whole: nobody can see it yet."""

    repository: str
    partition: str
    name: str
    package: str
    version: str
    parent: str | None
    #: Canonical JSON, an object: the records of its files, merged.
    record: bytes


@attrs.frozen(kw_only=True)
class Release(DraftRelease):
    """A release that was published.

    ``serial`` orders the releases of a partition; ``released_at`` (UTC) never decreases with it.
    A yanked one is served but listed nowhere; a removed one is a tombstone.
    """

    serial: int
    released_at: datetime
    yanked_at: datetime | None = None
    removed_at: datetime | None = None
