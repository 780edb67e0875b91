"""``<subdir>/current_repodata.json``: the newest of each package, and what that depends on.

It is a guess that makes solving quick; a client that finds no solution in it asks for the whole.
The newest version of each name, all its builds; the versions that the channel's options name; for
a dependency that none of them satisfies, the best that does; and beside packages with features the
newest without any.
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
from repocore.plugins.conda.filenames import in_subdirs
from repocore.plugins.conda.matching import Spec, newest_first, parse_spec, starts_with
from repocore.plugins.conda.patches import Instructions, instructions_of
from repocore.plugins.conda.records import canonical
from repocore.plugins.conda.repodata import (
    SECTIONS,
    V3_SECTIONS,
    Row,
    joined,
    patched_rows,
    write_repodata,
)
from repocore.plugins.conda.settings import CondaSettings, channel_options
from repocore.plugins.conda.versions import version_key
from repocore.ports import DocumentOutput, Listed, ReleaseQuery

__all__ = ["CurrentIndexer"]

#: Another number makes every document of this module anew.
_CODE: Final = 1
_NAME: Final = "current_repodata.json"
_NAMES: Final = (_NAME, f"{_NAME}.zst")
_V1: Final = ".tar.bz2"
_V2: Final = ".conda"
_TWIN: Final = "legacy_bz2_md5"


@attrs.frozen(kw_only=True)
class CurrentIndexer:
    """Makes ``current_repodata.json``; memory is O(what it shows) and O(releases of one name)."""

    settings: CondaSettings
    format: str = attrs.field(default="conda", init=False)
    kind: str = attrs.field(default="current", init=False)

    @property
    def variant(self) -> str:
        """The code's number, and how hard it compresses."""
        return f"{_CODE} {self.settings.zstd_level}"

    def partition(self, path: FilePath) -> str | None:
        """The subdir of one of its paths."""
        mine = len(path.parts) == 2 and path.name in _NAMES  # noqa: PLR2004
        return path.parts[0] if mine else None

    def paths(self, partitions: Sequence[str]) -> Iterable[FilePath]:
        """One in each subdir, in both encodings."""
        return in_subdirs(partitions, *_NAMES)

    def is_immutable(self, path: FilePath) -> bool:
        """They are not."""
        return False

    def standing(self, partition: str) -> bool:
        """A channel is one only if it has ``noarch``."""
        return partition == "noarch"

    def make(self, query: ReleaseQuery, output: DocumentOutput) -> None:
        """Choose in two passes, then write."""
        instructions = instructions_of(query)
        chosen = _chosen(query, instructions)
        removed: list[str] = []
        # Clients that know the newer records want all of them, as the other keys of repodata.
        newer = (
            [row for row in rows if row[1] in V3_SECTIONS]
            for rows in patched_rows(query, instructions, removed)
        )
        path = FilePath((query.partition, _NAME))
        with open_json(output, path, self.settings) as write:
            write_repodata(write, query, joined(chain([chosen], newer)), removed)


def _chosen(query: ReleaseQuery, instructions: Instructions) -> list[Row]:
    pinned = channel_options(query.repository.options).index_versions
    kept: dict[str, _Kept] = {}
    for group in _groups(query.listed(), instructions):
        kept[group.name] = _Kept.newest(group, pinned.get(group.name, ()))
    unmet = _unmet(kept)
    for group in _groups(query.listed(unmet), instructions):
        kept[group.name].add_best(group, unmet[group.name])
    rows = [row for one in kept.values() for row in one.rows.values()]
    return sorted(rows)


@attrs.frozen
class _Group:
    """The releases of one name: of twins the newer, with the digests of the others."""

    name: str
    releases: Sequence[Listed]
    twins: Mapping[str, str]

    def of_version(self, version: str) -> list[Listed]:
        key = version_key(version)
        return [release for release in self.releases if version_key(release.version) == key]


def _groups(chunks: Iterable[Sequence[Listed]], instructions: Instructions) -> Iterator[_Group]:
    for name, found in groupby(chain.from_iterable(chunks), attrgetter("package")):
        releases = {r.name: r for r in found if r.section in SECTIONS}
        releases = {
            file: instructions.release(r) if file in instructions.names else r
            for file, r in releases.items()
            if not instructions.removes(file)
        }
        stems = {file.removesuffix(_V2) for file in releases if file.endswith(_V2)}
        twins = {s: releases.pop(s + _V1) for s in stems if s + _V1 in releases}
        digests = {stem: json.loads(twin.record).get("md5") for stem, twin in twins.items()}
        if releases:
            yield _Group(name, list(releases.values()), digests)


@attrs.define
class _Kept:
    """What is chosen of one name: rows by file name, and their records."""

    rows: dict[str, Row] = attrs.field(factory=dict[str, Row])
    records: dict[str, dict[str, Any]] = attrs.field(factory=dict[str, dict[str, Any]])

    @classmethod
    def newest(cls, group: _Group, pins: Sequence[str]) -> _Kept:
        made = cls()
        versions = sorted({release.version for release in group.releases}, key=version_key)
        wanted = {versions[-1]}
        for pin in pins:
            wanted.update([version for version in versions if starts_with(version, pin)][-1:])
        for version in wanted:
            made._add(group, group.of_version(version))
        made._add_featureless(group)
        return made

    def add_best(self, group: _Group, specs: Sequence[Spec]) -> None:
        """For each, every build of the version of the best package that satisfies it."""
        records = {release.name: json.loads(release.record) for release in group.releases}
        for spec in specs:
            able = [r for r in group.releases if _satisfies(records[r.name], spec)]
            if able:
                best = max(able, key=lambda r: (*newest_first(r.version, records[r.name]), r.name))
                self._add(group, group.of_version(best.version))
        self._add_featureless(group)

    def satisfies(self, spec: Spec) -> bool:
        return any(_satisfies(record, spec) for record in self.records.values())

    def _add(self, group: _Group, releases: Iterable[Listed]) -> None:
        for release in releases:
            record: dict[str, Any] = json.loads(release.record)
            shown = release.record
            if release.name.endswith(_V2):
                # Clients take the package for the same one that they have in the older form.
                twin = group.twins.get(release.name.removesuffix(_V2))
                shown = canonical({**record, _TWIN: twin})
            self.records[release.name] = record
            self.rows[release.name] = (release.name, release.section, release.released_at, shown)

    def _add_featureless(self, group: _Group) -> None:
        if not any(map(_has_features, self.records.values())):
            return
        newest = max(version_key(record["version"]) for record in self.records.values())
        able: list[tuple[tuple[bytes, int, int], str, Listed]] = []
        for release in group.releases:
            record = json.loads(release.record)
            if version_key(release.version) <= newest and not _has_features(record):
                able.append((newest_first(release.version, record), release.name, release))
        if able:
            self._add(group, [max(able, key=lambda one: one[:2])[2]])


def _unmet(kept: Mapping[str, _Kept]) -> dict[str, list[Spec]]:
    """The dependencies of what is kept that nothing which is kept satisfies, by name."""
    texts = {
        text
        for one in kept.values()
        for record in one.records.values()
        for text in record.get("depends") or ()
    }
    found: dict[str, list[Spec]] = {}
    for text in sorted(texts):
        spec = parse_spec(text)
        if spec is not None and spec.name in kept and not kept[spec.name].satisfies(spec):
            found.setdefault(spec.name, []).append(spec)
    return found


def _satisfies(record: Mapping[str, Any], spec: Spec) -> bool:
    return spec.matches(record["version"], record["build"], record.get("build_number", 0))


def _has_features(record: Mapping[str, Any]) -> bool:
    return bool(record.get("track_features") or record.get("features"))
