"""``<subdir>/repodata.json`` (CEP 36): every record of a subdir, in all encodings.

Stored records are copied with their stamps between them, in one pass over the releases: by the
database, which is quickest; or here where there are patches, so that the few that these name are
read and written anew.  Releases come in the order of their names, so what is not
``packages.conda`` waits in a spool until that is written: the order of keys is always the same,
and memory does not grow with the channel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Final

import attrs

from repocore.model import FilePath
from repocore.plugins.conda.encodings import Spool, open_json
from repocore.plugins.conda.filenames import in_subdirs
from repocore.plugins.conda.patches import NOTHING, PATCH_FILE, Instructions, instructions_of
from repocore.plugins.conda.records import STAMP, canonical
from repocore.plugins.conda.settings import ChannelOptions, CondaSettings, channel_options
from repocore.ports import DocumentOutput, Members, ReleaseQuery

__all__ = [
    "SECTIONS",
    "V3_SECTIONS",
    "RepodataIndexer",
    "Row",
    "joined",
    "patched_rows",
    "removed_names",
    "write_repodata",
]

#: Another number makes every document of this module anew.
_CODE: Final = 1

#: The section that packages of each kind are in, by the key in documents.
SECTIONS: Final = ("packages.conda", "packages")
#: The sections below ``v3`` (CEP 48), by their keys there, which files lose from their names.
V3_SECTIONS: Final = {"v3.conda": "conda", "v3.tar.bz2": "tar.bz2"}

#: How much names of each section lose in a document.
_CUTS: Final = {
    **dict.fromkeys(SECTIONS, 0),
    **{name: len(f".{key}") for name, key in V3_SECTIONS.items()},
}

_STEM: Final = "repodata.json"
_UNPATCHED: Final = "repodata_from_packages.json"

#: (name, section, released_at, record), as `repocore.ports.ReleaseQuery.records` has them.
Row = tuple[str, str, int, bytes]


def _stem(of: RepodataIndexer) -> str:
    return _STEM if of.patched else _UNPATCHED


def _has_bzip2(of: RepodataIndexer) -> bool:
    return of.patched and of.settings.bz2


def _all_names(of: RepodataIndexer) -> tuple[str, ...]:
    suffixes = ("", ".zst", ".bz2") if _has_bzip2(of) else ("", ".zst")
    return tuple(_stem(of) + suffix for suffix in suffixes)


@attrs.frozen(kw_only=True)
class RepodataIndexer:
    """Makes ``repodata.json``; or, with ``patched`` false, ``repodata_from_packages.json``.

    Memory is O(chunk), and O(instructions) where there are patches.
    """

    settings: CondaSettings
    patched: bool = True
    format: str = attrs.field(default="conda", init=False)
    _names: tuple[str, ...] = attrs.field(
        init=False, default=attrs.Factory(_all_names, takes_self=True)
    )

    @property
    def kind(self) -> str:
        """``repodata`` or ``unpatched``."""
        return "repodata" if self.patched else "unpatched"

    @property
    def variant(self) -> str:
        """The code's number, and which encodings there are."""
        return f"{_CODE} {self.settings.zstd_level} {_has_bzip2(self)}"

    def partition(self, path: FilePath) -> str | None:
        """The subdir of one of its paths."""
        mine = len(path.parts) == 2 and path.name in self._names  # noqa: PLR2004 - subdir and name
        return path.parts[0] if mine else None

    def paths(self, partitions: Sequence[str]) -> Iterable[FilePath]:
        """One in each subdir, in all encodings."""
        return in_subdirs(partitions, *self._names)

    def is_immutable(self, path: FilePath) -> bool:
        """They are not."""
        return False

    def standing(self, partition: str) -> bool:
        """A channel is one only if it has ``noarch``."""
        return partition == "noarch"

    def make(self, query: ReleaseQuery, output: DocumentOutput) -> None:
        """Write all encodings side by side."""
        instructions = instructions_of(query) if self.patched else NOTHING
        path = FilePath((query.partition, _stem(self)))
        removed: list[str] = []
        if instructions.names:
            found = joined(patched_rows(query, instructions, removed))
        else:
            found = query.members(_CUTS, STAMP)
        with open_json(output, path, self.settings, bzip2=_has_bzip2(self)) as write:
            write_repodata(write, query, found, removed)


def write_repodata(
    write: Callable[[bytes], None],
    query: ReleaseQuery,
    chunks: Iterable[Sequence[Members]],
    removed: Sequence[str],
) -> None:
    """Write a document of these records, which are in the order of names within each section.

    ``removed`` is read when they have come to an end.
    """
    options = channel_options(query.repository.options)
    write(b'{"packages.conda":{')
    sections = {name: _Spooled() for name in ("packages", *V3_SECTIONS)}
    streamed = _Section(write)
    try:
        for members in chain.from_iterable(chunks):
            if members.section == "packages.conda":
                streamed.add(members)
            else:
                sections[members.section].section.add(members)
        write(b'},"packages":{')
        sections["packages"].copy(write)
        _write_v3(write, sections)
        v3 = [sections[name].section for name in V3_SECTIONS]
        tail = {
            "info": _information(query.partition, options, _revisions(v3)),
            "removed": removed_names(query, removed),
            "repodata_version": 2 if options.base_url else 1,  # CEP 15
        }
        write(b"," + canonical(tail)[1:])
    finally:
        for section in sections.values():
            section.spool.close()


def _write_v3(write: Callable[[bytes], None], sections: dict[str, _Spooled]) -> None:
    write(b"}")
    if any(sections[name].section.count for name in V3_SECTIONS):
        opening = b',"v3":{'
        for name, key in V3_SECTIONS.items():
            write(b'%b"%b":{' % (opening, key.encode()))
            sections[name].copy(write)
            opening = b"},"
        write(b"}}")


@attrs.define
class _Section:
    """Entries of one object, one after another, and what CEP 48 says of them together."""

    _write: Callable[[bytes], None]
    count: int = 0
    oldest: int | None = None
    newest: int | None = None

    def add(self, members: Members) -> None:
        """Add records with their stamps."""
        oldest, newest = members.oldest, members.newest
        self.oldest = oldest if self.oldest is None else min(self.oldest, oldest)
        self.newest = newest if self.newest is None else max(self.newest, newest)
        if self.count:
            self._write(b",")
        self._write(members.text)
        self.count += members.count


class _Spooled:
    """A section that waits."""

    def __init__(self) -> None:
        self.spool = Spool()
        self.section = _Section(self.spool.write)

    def copy(self, write: Callable[[bytes], None]) -> None:
        for block in self.spool.blocks():
            write(block)


def joined(chunks: Iterable[Sequence[Row]]) -> Iterator[Sequence[Members]]:
    """Rows as members of the sections of a document; those of other sections are left out."""
    for rows in chunks:
        found = {row[1] for row in rows} & _CUTS.keys()
        yield [_join(name, [row for row in rows if row[1] == name]) for name in sorted(found)]


def _join(section: str, rows: Sequence[Row]) -> Members:
    cut = -_CUTS[section] or None
    # `splice_json` in line: a call for each of 500,000 records would double the time.  Names hold
    # nothing that JSON escapes (CEP 26).
    text = b",".join(
        [
            b'"%b":%b,"indexed_timestamp":%d}' % (name[:cut].encode(), record[:-1], at // 1000)
            for name, _, at, record in rows
        ]
    )
    times = [row[2] for row in rows]
    return Members(section, len(rows), min(times), max(times), text)


def patched_rows(
    query: ReleaseQuery, instructions: Instructions, removed: list[str]
) -> Iterator[Sequence[Row]]:
    """The rows of packages as documents have them; names of what patches remove go to the list."""
    names = instructions.names
    for rows in query.records():
        if not names or names.isdisjoint([row[0] for row in rows]):
            yield rows
            continue
        kept: list[Row] = []
        for name, section, at, record in rows:
            if name not in names:
                kept.append((name, section, at, record))
            elif instructions.removes(name):
                removed.append(name)
            else:
                kept.append((name, section, at, instructions.record(name, record)))
        yield kept


def removed_names(query: ReleaseQuery, removed: Sequence[str]) -> list[str]:
    """Files that are in the index no more, by name: withdrawn, or taken out by patches."""
    return sorted({*query.withdrawn(), *removed} - {PATCH_FILE})


def _revisions(sections: Sequence[_Section]) -> dict[str, Any]:
    """What CEP 48 says of the ``v3`` records of one document; empty where it has none."""
    held = [section for section in sections if section.count]
    if not held:
        return {}
    return {
        "v3": {
            "n_packages": sum(section.count for section in held),
            "oldest": min(section.oldest or 0 for section in held) // 1000,
            "newest": max(section.newest or 0 for section in held) // 1000,
        }
    }


def _information(subdir: str, options: ChannelOptions, revisions: dict[str, Any]) -> dict[str, Any]:
    """The object ``info`` of a document (CEPs 15, 36, 42, 48)."""
    found = {
        "base_url": options.base_url_of(subdir),
        "channel_relations": options.channel_relations.document(),
        "repodata_revisions": revisions,
    }
    return {"subdir": subdir, **{key: value for key, value in found.items() if value}}
