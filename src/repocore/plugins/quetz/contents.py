"""What a channel holds, in the words of this API: packages, and the versions of one.

Packages are read from ``channeldata.json``, which is as new as the channel; versions from the
releases themselves.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any, Final, cast

import attrs

from repocore.http import FileContent
from repocore.model import Repository
from repocore.plugins.quetz.answers import no_such
from repocore.ports import Listed
from repocore.registry import Session

__all__ = [
    "Package",
    "Version",
    "find_package",
    "last_change",
    "package_count",
    "packages_of",
    "subdirs_of",
    "versions_of",
]

_DOCUMENT: Final = "channeldata.json"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: Channels whose packages are remembered, and whose number of packages.
_REMEMBERED: Final = 8
_COUNTED: Final = 1000


@attrs.frozen(kw_only=True)
class Package:
    """A package of a channel, without its versions."""

    channel: str
    name: str
    summary: str
    description: str
    url: str
    platforms: tuple[str, ...]
    version: str


@attrs.frozen(kw_only=True)
class Version:
    """One file of a package."""

    channel: str
    platform: str
    listed: Listed
    downloads: int
    record: Mapping[str, Any]

    @property
    def came(self) -> datetime:
        """When it came into the channel."""
        return _time(self.listed.released_at)


class _Memory:
    """What was read from documents, by their digest."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._packages: OrderedDict[tuple[str, str], dict[str, Package]] = OrderedDict()
        self._counts: OrderedDict[str, int] = OrderedDict()

    def packages(self, channel: str, content: FileContent) -> dict[str, Package]:
        key = (channel, content.file.digest)
        with self._lock:
            found = self._packages.get(key)
        if found is None:
            found = _read(channel, content)
        with self._lock:
            _remember(self._packages, key, found, _REMEMBERED)
            _remember(self._counts, content.file.digest, len(found), _COUNTED)
        return found

    def count(self, channel: str, content: FileContent) -> int:
        with self._lock:
            found = self._counts.get(content.file.digest)
        return len(self.packages(channel, content)) if found is None else found


def _remember(known: OrderedDict[Any, Any], key: Any, value: Any, most: int) -> None:
    known[key] = value
    known.move_to_end(key)
    if len(known) > most:
        known.popitem(last=False)


_MEMORY: Final = _Memory()


def _read(channel: str, content: FileContent) -> dict[str, Package]:
    with content.open(0, None) as stream:
        document: dict[str, dict[str, Any]] = json.loads(stream.read())
    return {
        name: Package(
            channel=channel,
            name=name,
            summary=_text(entry.get("summary")),
            description=_text(entry.get("description")),
            url=_text(entry.get("home")) or _text(entry.get("dev_url")),
            platforms=tuple(cast("list[str]", entry.get("subdirs", []))),
            version=_text(entry.get("version")),
        )
        for name, entry in document["packages"].items()
    }


def _text(value: object) -> str:
    """A text of the index as it is; where a recipe gave a list, the first of it."""
    if isinstance(value, list) and value:
        value = cast("list[object]", value)[0]
    return value if isinstance(value, str) else ""


def packages_of(session: Session, channel: Repository) -> dict[str, Package]:
    """The packages of a channel by name; requires READ of it."""
    content = session.files.content(channel.address, _DOCUMENT)
    return _MEMORY.packages(channel.name, content)


def package_count(session: Session, channel: Repository) -> int:
    """How many packages a channel has; requires READ of it."""
    return _MEMORY.count(channel.name, session.files.content(channel.address, _DOCUMENT))


def find_package(session: Session, channel: Repository, name: str) -> Package:
    """A package by its name; raises `MissingError`."""
    found = packages_of(session, channel).get(name)
    if found is None:
        raise no_such(f"Package {channel.name}/{name}")
    return found


def subdirs_of(session: Session, channel: Repository) -> list[str]:
    """The subdirs that a channel has, also those with nothing listed in them."""
    with session.releases.query(channel.address, "") as query:
        return [part.partition for part in query.partitions()]


def _listed(session: Session, channel: Repository, name: str) -> Iterator[tuple[str, Listed]]:
    with session.releases.query(channel.address, "") as query:
        for part in query.partitions():
            for one in chain.from_iterable(part.listed([name])):
                yield part.partition, one


def last_change(session: Session, channel: Repository, name: str) -> str | None:
    """When the newest file of a package came, in ISO 8601."""
    times = [one.released_at for _, one in _listed(session, channel, name)]
    return _time(max(times)).isoformat() if times else None


def versions_of(session: Session, channel: Repository, name: str) -> list[Version]:
    """The files of a package, the newest version first, whatever their format and subdir."""
    sort_key = session.registry.formats["conda"].sort_key
    found = list(_listed(session, channel, name))
    downloads = {
        subdir: session.statistics.downloads(channel.address, subdir)
        for subdir in {subdir for subdir, _ in found}
    }
    versions = [
        Version(
            channel=channel.name,
            platform=subdir,
            listed=one,
            downloads=_count(downloads[subdir].get(one.name)),
            record=json.loads(one.record),
        )
        for subdir, one in found
    ]
    return sorted(
        versions,
        key=lambda one: (
            sort_key(one.listed.version),
            _number(one.record.get("build_number")),
            one.listed.released_at,
            one.listed.name,
        ),
        reverse=True,
    )


def _count(found: Any) -> int:
    return 0 if found is None else found.count


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _time(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)
