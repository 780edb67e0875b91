"""``[plugins.conda]``, and what a channel says of itself in the options of its repository."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

import attrs

from repocore.config import says
from repocore.config.structuring import structure
from repocore.errors import ConfigurationError
from repocore.plugins.conda.limits import ArchiveLimits

__all__ = ["ChannelOptions", "ChannelRelations", "CondaSettings", "Notice", "channel_options"]

_LEVELS: Final = ("info", "warning", "critical")
_URL_TEXT: Final = re.compile(r"[!-~]+\Z")  # printable ASCII, no space
_RELATION: Final = re.compile(r"\.\.(?:/(?:\.\.|[A-Za-z0-9_][A-Za-z0-9_.~+-]*))+\Z")
_ZSTD_LEVELS: Final = range(1, 20)  # more than 19 wants memory from whoever reads it


def _level(value: int) -> None:
    if value not in _ZSTD_LEVELS:
        message = f"must be from {_ZSTD_LEVELS.start} to {_ZSTD_LEVELS.stop - 1}"
        raise ValueError(message)


def _some_bytes(value: int) -> None:
    if value <= 0:
        raise ValueError("must be more than nothing")


@attrs.frozen(kw_only=True)
class CondaSettings:
    """``[plugins.conda]``."""

    zstd_level: int = attrs.field(
        default=3,
        metadata=says(
            "How hard indexes are compressed with Zstandard, 1 to 19; more takes longer.",
            check=_level,
        ),
    )
    bz2: bool = attrs.field(
        default=False,
        metadata=says("Whether there is a repodata.json.bz2 too, for clients of long ago."),
    )
    max_patches: int = attrs.field(
        default=64 << 20,
        metadata=says("The largest patch_instructions.json.", check=_some_bytes, size=True),
    )
    limits: ArchiveLimits = attrs.field(
        factory=ArchiveLimits, metadata=says("Bounds of what a package may be.")
    )


# ------------------------------------------------------------------------- options of a channel


def _base_url(value: str) -> None:
    if not value:
        return
    if not _URL_TEXT.match(value):
        raise ValueError("has a character that no URL has")
    parts = urlsplit(value)
    if parts.scheme not in {"", "http", "https"} or bool(parts.scheme) != bool(parts.netloc):
        raise ValueError("expected an http or https URL, or a path relative to the index")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user name or password: every client would see it")
    if parts.query or parts.fragment:
        raise ValueError("must end in a path: no ? and no #")


def _relation(value: str | None) -> None:
    # CEP 42: a path relative to the channel, which leaves it first.
    if value is not None and not _RELATION.match(value):
        raise ValueError("expected a path such as ../other, which starts with ../ (CEP 42)")


def _not_negative(value: int) -> None:
    if value < 0:
        raise ValueError("must not be less than nothing")


def _word(value: str) -> None:
    if not value.strip():
        raise ValueError("expected some text")


def _severity(value: str) -> None:
    if value not in _LEVELS:
        message = f"expected one of {', '.join(_LEVELS)}"
        raise ValueError(message)


def _moment(value: str | None) -> None:
    if value is None:
        return
    try:
        zone = datetime.fromisoformat(value).tzinfo
    except ValueError:
        zone = None
    if zone is None:
        raise ValueError("expected a time with its zone, such as 2026-11-20T12:00:00+00:00")


def _known_names(value: Mapping[str, Any]) -> None:
    for name, versions in value.items():
        if not name or not versions:
            raise ValueError('expected names and their versions, such as python = ["3.12"]')


@attrs.frozen(kw_only=True)
class ChannelRelations:
    """Which channel to ask before this one, and which after it (CEP 42)."""

    base: str | None = attrs.field(
        default=None, metadata=says("The channel that goes before this one.", check=_relation)
    )
    overrides: str | None = attrs.field(
        default=None, metadata=says("The channel that this one goes before.", check=_relation)
    )

    def document(self) -> dict[str, str]:
        """What an index has of it; empty where there is nothing to say."""
        return {name: path for name, path in attrs.asdict(self).items() if path is not None}


@attrs.frozen(kw_only=True)
class Notice:
    """A message to those who use the channel (CEP 6)."""

    id: str = attrs.field(metadata=says("One word for it, never used again.", check=_word))
    message: str = attrs.field(metadata=says("What is to be told.", check=_word))
    level: str = attrs.field(
        default="info", metadata=says("info, warning or critical.", check=_severity)
    )
    created_at: str = attrs.field(metadata=says("When it was written.", check=_moment))
    expires_at: str | None = attrs.field(
        default=None, metadata=says("When clients stop to show it.", check=_moment)
    )

    def document(self) -> dict[str, str]:
        """What ``notices.json`` has of it."""
        return {name: text for name, text in attrs.asdict(self).items() if text is not None}


@attrs.frozen(kw_only=True)
class ChannelOptions:
    """The options of a repository in the format ``conda``."""

    base_url: str = attrs.field(
        default="",
        metadata=says("Where clients fetch packages from, if not here (CEP 15).", check=_base_url),
    )
    channel_relations: ChannelRelations = attrs.field(
        factory=ChannelRelations, metadata=says("Other channels that go with this one (CEP 42).")
    )
    notices: tuple[Notice, ...] = attrs.field(
        default=(), metadata=says("Messages to those who use the channel (CEP 6).")
    )
    index_versions: Mapping[str, tuple[str, ...]] = attrs.field(
        factory=dict[str, tuple[str, ...]],
        metadata=says(
            "Versions besides the newest that current_repodata.json has, by name.",
            check=_known_names,
        ),
    )
    ttl: int = attrs.field(
        default=36000,
        metadata=says(
            "Seconds that quetz's API tells of; indexes are asked for anew whatever it says.",
            check=_not_negative,
        ),
    )

    def base_url_of(self, subdir: str) -> str:
        """Where the packages of a subdir are, with a slash at its end; empty: beside the index."""
        return f"{self.base_url.rstrip('/')}/{subdir}/" if self.base_url else ""


def channel_options(options: Mapping[str, Any]) -> ChannelOptions:
    """Read the options of a repository; raises `ConfigurationError` with every problem."""
    try:
        # Every document asks, and classes are prepared anew for each reading.
        return _read(json.dumps(options, sort_keys=True))
    except TypeError:
        return _structured(options)


@lru_cache(maxsize=256)
def _read(text: str) -> ChannelOptions:
    return _structured(json.loads(text))


def _structured(options: Mapping[str, Any]) -> ChannelOptions:
    made = structure(options, ChannelOptions, "options")
    problems = tuple(_contradictions(made))
    if problems:
        raise ConfigurationError("The options are not usable.", problems=problems)
    return made


def _contradictions(options: ChannelOptions) -> list[str]:
    found: list[str] = []
    relations = options.channel_relations
    if relations.base is not None and relations.base == relations.overrides:
        found.append("options.channel_relations: base and overrides are the same channel")
    names = [notice.id for notice in options.notices]
    found.extend(
        f"options.notices: two are called {name}"
        for name in sorted({name for name in names if names.count(name) > 1})
    )
    return found
