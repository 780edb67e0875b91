"""What has happened: told to plugins after the commit, at least once."""

from __future__ import annotations

import re
from functools import cache

import attrs

__all__ = [
    "AccountChanged",
    "BlobDamaged",
    "BlobRepaired",
    "Event",
    "FileAdded",
    "FileRemoved",
    "JobCancelled",
    "JobFinished",
    "JobSubmitted",
    "ReleaseAdded",
    "ReleaseRemoved",
    "ReleaseYanked",
    "RepositoryChanged",
    "event_name",
    "event_subject",
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
class ReleaseYanked:
    """A release was taken out of every list, or put back."""

    repository: str
    partition: str
    release: str
    yanked: bool
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
class BlobDamaged:
    """Stored bytes are not what they were: they are served no more until somebody brings them."""

    digest: str
    by: str


@attrs.frozen(kw_only=True)
class BlobRepaired:
    """Bytes that were lost or damaged are stored again."""

    digest: str
    by: str


@attrs.frozen(kw_only=True)
class JobSubmitted:
    """A job is queued; one that was queued already is not told of again."""

    job: int
    kind: str
    by: str


@attrs.frozen(kw_only=True)
class JobCancelled:
    """Somebody wants no more of a job; it ends now, or at its next check."""

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
    | ReleaseYanked
    | RepositoryChanged
    | AccountChanged
    | BlobDamaged
    | BlobRepaired
    | JobSubmitted
    | JobCancelled
    | JobFinished
)


@cache
def event_name(kind: type[Event]) -> str:
    """The name of a kind of events for records and webhooks, as in ``release.added``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", ".", kind.__name__).lower()


def event_subject(event: Event) -> str:
    """What an event is about, as one text: ``conda/main/noarch#a-1.0-0.conda``, ``user:alice``."""
    match event:
        case FileAdded() | FileRemoved():
            return f"{event.repository}/{event.path}"
        case ReleaseAdded() | ReleaseRemoved() | ReleaseYanked():
            return f"{event.repository}/{event.partition}#{event.release}"
        case RepositoryChanged():
            return event.repository
        case AccountChanged():
            return event.account
        case BlobDamaged() | BlobRepaired():
            return f"sha256:{event.digest}"
        case JobSubmitted() | JobCancelled() | JobFinished():
            return f"job {event.job}"
