"""``channeldata.json`` (CEP 38): what there is in the whole channel, for people and mirrors.

Of each version of a name in a subdir the newest build speaks.  Of texts the newest version's
count, and an older one's where that says nothing; a script or a prefix that one of them has, the
name has.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby
from operator import attrgetter
from typing import Any, Final

import attrs

from repocore.model import FilePath
from repocore.plugins.conda.encodings import open_json
from repocore.plugins.conda.patches import PATCH_SECTION, Instructions, instructions_of
from repocore.plugins.conda.records import Extra, canonical
from repocore.plugins.conda.settings import CondaSettings
from repocore.plugins.conda.versions import version_key
from repocore.ports import DocumentOutput, Listed, ReleaseQuery

__all__ = ["ChanneldataIndexer"]

#: Another number makes every document of this module anew.
_CODE: Final = 1
_NAME: Final = "channeldata.json"
_NAMES: Final = (_NAME, f"{_NAME}.zst")

_FLAGS: Final = (
    "activate.d",
    "binary_prefix",
    "deactivate.d",
    "post_link",
    "pre_link",
    "pre_unlink",
    "text_prefix",
)
_TEXTS: Final = (
    "description",
    "dev_url",
    "doc_source_url",
    "doc_url",
    "home",
    "icon_hash",
    "icon_url",
    "identifiers",
    "keywords",
    "license",
    "recipe_origin",
    "source_git_url",
    "source_url",
    "spdx_license",
    "summary",
    "tags",
)


@attrs.frozen(kw_only=True)
class ChanneldataIndexer:
    """Makes ``channeldata.json`` of all subdirs together; memory is O(names and their versions)."""

    settings: CondaSettings
    format: str = attrs.field(default="conda", init=False)
    kind: str = attrs.field(default="channeldata", init=False)

    @property
    def variant(self) -> str:
        """The code's number, and how hard it compresses."""
        return f"{_CODE} {self.settings.zstd_level}"

    def partition(self, path: FilePath) -> str | None:
        """The whole repository, for one of its paths."""
        return "" if len(path.parts) == 1 and path.name in _NAMES else None

    def paths(self, partitions: Sequence[str]) -> Iterable[FilePath]:
        """The one of the channel, in both encodings."""
        return [FilePath((name,)) for name in _NAMES]

    def is_immutable(self, path: FilePath) -> bool:
        """They are not."""
        return False

    def standing(self, partition: str) -> bool:
        """A channel has it from its birth."""
        return True

    def make(self, query: ReleaseQuery, output: DocumentOutput) -> None:
        """Gather what every subdir says, then write name by name."""
        subdirs = {"noarch"}  # a channel always has it
        packages: dict[str, _Package] = {}
        for part in query.partitions():
            instructions = instructions_of(part)
            for name, releases in groupby(
                chain.from_iterable(part.listed()), attrgetter("package")
            ):
                voices = list(_voices(part.partition, releases, instructions))
                if voices:
                    subdirs.add(part.partition)
                    packages.setdefault(name, _Package()).add(part.partition, voices)
        with open_json(output, FilePath((_NAME,)), self.settings) as write:
            write(b'{"channeldata_version":1,"packages":{')
            for place, (name, package) in enumerate(sorted(packages.items())):
                entry = b"%b:%b" % (canonical(name), canonical(package.entry()))
                write(b"," + entry if place else entry)
            write(b'},"subdirs":%b}' % canonical(sorted(subdirs)))


@attrs.frozen(order=True)
class _Voice:
    """The newest build of a version in one subdir; the last in order has the most to say."""

    key: bytes
    timestamp: int
    subdir: str
    newer_kind: bool
    file: str
    version: str = attrs.field(order=False)
    data: Mapping[str, Any] = attrs.field(order=False)
    run_exports: Mapping[str, Any] = attrs.field(order=False)


def _voices(
    subdir: str, releases: Iterable[Listed], instructions: Instructions
) -> Iterator[_Voice]:
    newest: dict[str, _Voice] = {}
    for release in releases:
        if release.section == PATCH_SECTION or instructions.removes(release.name):
            continue
        voice = _voice(subdir, release, instructions)
        version = release.version
        newest[version] = max(newest.get(version, voice), voice)
    yield from newest.values()


def _voice(subdir: str, release: Listed, instructions: Instructions) -> _Voice:
    patch: dict[str, Any] = {}
    if release.name in instructions.names:
        release = instructions.release(release)
        patch = instructions.fields(release.name)
    extra = Extra.unpack(release.extra)
    data: dict[str, Any] = json.loads(extra.channeldata)
    if "license" in patch:
        data["license"] = patch["license"]
    return _Voice(
        key=version_key(release.version),
        timestamp=data.get("timestamp") or 0,
        subdir=subdir,
        newer_kind=release.name.endswith(".conda"),
        file=release.name,
        version=release.version,
        data=data,
        run_exports=json.loads(extra.run_exports),
    )


class _Package:
    """A name in all subdirs."""

    def __init__(self) -> None:
        self._subdirs: list[str] = []
        self._voices: list[_Voice] = []

    def add(self, subdir: str, voices: Iterable[_Voice]) -> None:
        self._subdirs.append(subdir)
        self._voices.extend(voices)

    def entry(self) -> dict[str, Any]:
        """What the document says of it."""
        entry: dict[str, Any] = dict.fromkeys(_FLAGS, False)
        run_exports: dict[str, Any] = {}
        for voice in sorted(self._voices):
            entry.update({text: voice.data[text] for text in _TEXTS if voice.data.get(text)})
            entry.update(dict.fromkeys([flag for flag in _FLAGS if voice.data.get(flag)], True))
            if voice.run_exports:
                run_exports[voice.version] = voice.run_exports
        return {
            **entry,
            "run_exports": run_exports,
            "subdirs": sorted(self._subdirs),
            "timestamp": max(voice.timestamp for voice in self._voices),
            "version": max(self._voices).version,
        }
