"""Sharded repodata (CEP 16): an index of names, and a file for each name, called by its digest.

A change of one package makes its shard and the index, nothing else.  Shards hold run exports
(CEP 21).  Whatever was there before, the same releases give the same bytes: entries are in the
order of names, and ``created_at`` is the newest stamp of a record, not the time of day.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from itertools import chain, groupby
from operator import attrgetter
from typing import Any, Final, cast

import attrs
import msgpack
import zstandard

from repocore.model import FilePath
from repocore.plugins.conda.encodings import ZSTD
from repocore.plugins.conda.filenames import in_subdirs
from repocore.plugins.conda.patches import (
    PATCH_PACKAGE,
    PATCH_SECTION,
    Instructions,
    instructions_of,
)
from repocore.plugins.conda.records import STAMP, Extra, splice_shard
from repocore.plugins.conda.repodata import SECTIONS, V3_SECTIONS, patched_rows
from repocore.plugins.conda.settings import CondaSettings, channel_options
from repocore.plugins.conda.shard_index import ShardIndex
from repocore.ports import DocumentOutput, Listed, ReleaseQuery

__all__ = ["ShardsIndexer"]

#: Another number makes every document of this module anew.
_CODE: Final = 1
_INDEX: Final = "repodata_shards.msgpack.zst"
_FOLDER: Final = "shards"
_SHARD: Final = re.compile(r"[0-9a-f]{64}\.msgpack\.zst\Z")

_SECOND: Final = 1_000_000  # in microseconds


@attrs.frozen(kw_only=True)
class ShardsIndexer:
    """Makes ``repodata_shards.msgpack.zst``, and the shards that it names.

    Memory is O(names), for the index, and O(releases of one name); and O(instructions) where there
    are patches.
    """

    settings: CondaSettings
    format: str = attrs.field(default="conda", init=False)
    kind: str = attrs.field(default="shards", init=False)

    @property
    def variant(self) -> str:
        """The code's number, and how hard it compresses."""
        return f"{_CODE} {self.settings.zstd_level}"

    def partition(self, path: FilePath) -> str | None:
        """The subdir of the index, or of what may be a shard."""
        match path.parts:
            case (subdir, name) if name == _INDEX:
                return subdir
            case (subdir, folder, name) if folder == _FOLDER and _SHARD.match(name):
                return subdir
            case _:
                return None

    def paths(self, partitions: Sequence[str]) -> Iterable[FilePath]:
        """The index of each subdir."""
        return in_subdirs(partitions, _INDEX)

    def is_immutable(self, path: FilePath) -> bool:
        """A shard is."""
        return path.name != _INDEX

    def standing(self, partition: str) -> bool:
        """A channel is one only if it has ``noarch``."""
        return partition == "noarch"

    def make(self, query: ReleaseQuery, output: DocumentOutput) -> None:
        """Make the shards of what has changed, or all of them, and the index."""
        path = FilePath((query.partition, _INDEX))
        before = _Before.read(query.document(path)) if query.previous else None
        changed = None if before is None else query.changed(query.previous)
        if changed is not None and PATCH_PACKAGE in changed:
            changed = None  # a patch may be about anything
        made = _Shards(query, output, self.settings.zstd_level)
        made.make(changed)
        if before is None or changed is None:
            index, newest = ShardIndex.of(made.digests), made.newest
        else:
            gone: dict[str, bytes | None] = dict.fromkeys(changed)
            index = before.index.changed(gone | made.digests)
            newest = made.newest_of_all(before, changed)
        if before is not None:
            for digest in before.replaced(changed):
                if not index.has(digest):
                    output.drop(_shard_path(query.partition, digest))
        with output.open(path, ZSTD) as writer:
            writer.write(index.write(_information(query, newest)))


class _Shards:
    """The shards of one generation."""

    def __init__(self, query: ReleaseQuery, output: DocumentOutput, level: int) -> None:
        self._query = query
        self._output = output
        self._instructions = instructions_of(query)
        self._compress: Callable[[bytes], bytes] = zstandard.ZstdCompressor(level=level).compress
        self._newest = 0
        self.digests: dict[str, bytes] = {}

    @property
    def newest(self) -> int:
        """The second of the newest record in them."""
        return self._newest // _SECOND

    def make(self, changed: set[str] | None) -> None:
        """Make the shards of these packages, or of all."""
        removed = _by_package(self._query.withdrawn(), changed)
        releases = chain.from_iterable(self._query.listed(changed))
        for package, group in groupby(releases, attrgetter("package")):
            content = self._shard([r for r in group if r.section != PATCH_SECTION], removed)
            if content is not None:
                self.digests[package] = hashlib.sha256(content).digest()
                path = _shard_path(self._query.partition, self.digests[package])
                self._output.add(path, content, ZSTD)

    def _shard(self, releases: Sequence[Listed], removed: dict[str, list[str]]) -> bytes | None:
        kept, gone = _patched(releases, self._instructions)
        if not kept:
            return None  # a name with nothing to install would be found by searches all the same
        self._newest = max(self._newest, *(release.released_at for release in kept))
        gone += removed.get(kept[0].package, [])
        return self._compress(_pack_shard(kept, sorted(gone)))

    def newest_of_all(self, before: _Before, changed: set[str]) -> int:
        """In seconds.  All releases are looked at only if one of the newest second has gone."""
        if self.newest >= before.newest:
            return self.newest
        stamps = (self._newest_stamp(digest) for digest in before.replaced(changed))
        if all(stamp is not None and stamp < before.newest for stamp in stamps):
            return before.newest
        times = (
            row[2]
            for rows in patched_rows(self._query, self._instructions, [])
            for row in rows
            if row[1] != PATCH_SECTION
        )
        return max(times, default=0) // _SECOND

    def _newest_stamp(self, digest: bytes) -> int | None:
        content = self._query.document(_shard_path(self._query.partition, digest))
        if content is None:
            return None
        shard = _unpack(content)
        maps = [shard["packages"], shard["packages.conda"], *shard.get("v3", {}).values()]
        stamps = (record[STAMP] for records in maps for record in records.values())
        return max(stamps, default=0) // 1000


@attrs.frozen
class _Before:
    """The index of the generation before, and the second of the newest record in its shards."""

    index: ShardIndex
    newest: int

    @classmethod
    def read(cls, content: bytes | None) -> _Before | None:
        if content is None:
            return None
        index, info = ShardIndex.read(content)
        return cls(index, int(datetime.fromisoformat(info["created_at"]).timestamp()))

    def replaced(self, changed: set[str] | None) -> list[bytes]:
        """The digests of these packages' shards, or of all."""
        if changed is None:
            return self.index.digests()
        found = (self.index.get(name) for name in sorted(changed))
        return [digest for digest in found if digest is not None]


def _information(query: ReleaseQuery, newest: int) -> dict[str, Any]:
    """The object ``info`` of the index (CEPs 16, 42); clients want some empty texts."""
    options = channel_options(query.repository.options)
    info: dict[str, Any] = {
        "base_url": options.base_url_of(query.partition),
        "created_at": datetime.fromtimestamp(newest, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "shards_base_url": f"./{_FOLDER}/",
        "subdir": query.partition,
    }
    if relations := options.channel_relations.document():
        info["channel_relations"] = relations
    return info


def _shard_path(subdir: str, digest: bytes) -> FilePath:
    return FilePath((subdir, _FOLDER, f"{digest.hex()}.msgpack.zst"))


def _by_package(names: Iterable[str], wanted: set[str] | None) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        package = name.rsplit("-", 2)[0]
        if wanted is None or package in wanted:
            found.setdefault(package, []).append(name)
    return found


def _patched(
    releases: Sequence[Listed], instructions: Instructions
) -> tuple[list[Listed], list[str]]:
    """The releases as documents have them, and the names of what patches remove."""
    kept: list[Listed] = []
    removed: list[str] = []
    for release in releases:
        if release.name not in instructions.names:
            kept.append(release)
        elif instructions.removes(release.name):
            removed.append(release.name)
        else:
            kept.append(instructions.release(release))
    return kept, removed


# ------------------------------------------------------------------------------------- msgpack


def _pack(value: object) -> bytes:
    return cast("Any", msgpack).packb(value)


def _unpack(content: bytes) -> dict[str, Any]:
    return cast("Any", msgpack).unpackb(zstandard.ZstdDecompressor().decompress(content))


def _pack_shard(releases: Sequence[Listed], removed: Sequence[str]) -> bytes:
    """A shard, with its keys in order; both maps of packages are there even if they are empty."""
    sections: dict[str, list[Listed]] = {}
    for release in releases:
        sections.setdefault(release.section, []).append(release)
    entries = {name: _entries(sections.get(name, ())) for name in sorted(SECTIONS)}
    if removed:
        entries["removed"] = _pack(list(removed))
    v3 = [release for name in V3_SECTIONS for release in sections.get(name, ())]
    if v3:
        stamps = [release.released_at // 1000 for release in v3]
        counts = {"n_packages": len(v3), "newest": max(stamps), "oldest": min(stamps)}
        entries["info"] = _pack({"repodata_revisions": {"v3": counts}})  # CEP 48
        entries["v3"] = _map(
            {key: _entries(sections.get(name, ()), suffix=key) for name, key in V3_SECTIONS.items()}
        )
    return _map(dict(sorted(entries.items())))


def _entries(releases: Sequence[Listed], *, suffix: str = "") -> bytes:
    """A map of records with their stamps, in the order of names; a suffix is cut off these."""
    cut = -1 - len(suffix) if suffix else None
    return _map(
        {
            release.name[:cut]: splice_shard(Extra.unpack(release.extra).shard, release.released_at)
            for release in releases
        }
    )


def _map(packed: dict[str, bytes]) -> bytes:
    """A map of values that are packed already."""
    packer = cast("Any", msgpack).Packer()
    header: bytes = packer.pack_map_header(len(packed))
    return header + b"".join([_pack(key) + value for key, value in packed.items()])
