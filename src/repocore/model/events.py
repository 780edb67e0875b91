"""What has happened: told to plugins after the commit, at least once."""

from __future__ import annotations

import attrs

__all__ = [
    "AccountChanged",
    "Event",
    "FileAdded",
    "FileRemoved",
    "JobFinished",
    "JobSubmitted",
    "ReleaseAdded",
    "ReleaseRemoved",
    "RepositoryChanged",
]


@attrs.frozen(kw_only=True)
class FileAdded:
    """A visible path names new bytes."""

    repository: str
    path: str
    digest: str
    by: str


@attrs.frozen(kw_only=True)
class FileRemoved:
    """A visible path names nothing any more."""

    repository: str
    path: str
    by: str


@attrs.frozen(kw_only=True)
class ReleaseAdded:
    """A release became visible, or the newest again."""

    repository: str
    partition: str
    release: str
    package: str
    version: str
    serial: int
    by: str


@attrs.frozen(kw_only=True)
class ReleaseRemoved:
    """A release is gone, with its files."""

    repository: str
    partition: str
    release: str
    package: str
    version: str
    serial: int
    by: str


@attrs.frozen(kw_only=True)
class RepositoryChanged:
    """A repository was created, configured or deleted."""

    repository: str
    change: str
    by: str


@attrs.frozen(kw_only=True)
class AccountChanged:
    """An account, a group, a token or a rule was changed."""

    account: str
    change: str
    by: str


@attrs.frozen(kw_only=True)
class JobSubmitted:
    """A job is queued; one that was queued already is not told of again."""

    job: int
    kind: str
    by: str


@attrs.frozen(kw_only=True)
class JobFinished:
    """A job has ended: its state is done, failed or cancelled."""

    job: int
    kind: str
    state: str
    by: str


Event = (
    FileAdded
    | FileRemoved
    | ReleaseAdded
    | ReleaseRemoved
    | RepositoryChanged
    | AccountChanged
    | JobSubmitted
    | JobFinished
)
