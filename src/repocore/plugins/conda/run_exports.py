"""``<subdir>/run_exports.json`` (CEP 12): what a package imposes on those that are built with it.

Every package of the subdir is in it, with an empty object if it imposes nothing; patches of
version 2 (CEP 21) change what it says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import attrs

from repocore.model import FilePath
from repocore.plugins.conda.encodings import Spool, open_json
from repocore.plugins.conda.filenames import in_subdirs
from repocore.plugins.conda.patches import PATCH_SECTION, Instructions, instructions_of
from repocore.plugins.conda.records import Extra, canonical
from repocore.plugins.conda.settings import CondaSettings
from repocore.ports import DocumentOutput, Listed, ReleaseQuery

__all__ = ["RunExportsIndexer"]

#: Another number makes every document of this module anew.
_CODE: Final = 1
_NAME: Final = "run_exports.json"
_NAMES: Final = (_NAME, f"{_NAME}.zst")
_V2: Final = ".conda"


@attrs.frozen(kw_only=True)
class RunExportsIndexer:
    """Makes ``run_exports.json``; memory is O(chunk), and O(instructions) where there are any."""

    settings: CondaSettings
    format: str = attrs.field(default="conda", init=False)
    kind: str = attrs.field(default="run_exports", init=False)

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
        """Write all encodings side by side."""
        path = FilePath((query.partition, _NAME))
        with open_json(output, path, self.settings) as write:
            _write(write, query, instructions_of(query))


def _write(write: Callable[[bytes], None], query: ReleaseQuery, instructions: Instructions) -> None:
    info = canonical({"subdir": query.partition, "version": 1})
    write(b'{"info":%b,"packages.conda":{' % info)
    older = Spool()
    try:
        streamed, spooled = _Entries(write), _Entries(older.write)
        for chunk in query.listed():
            packages = [release for release in chunk if release.section != PATCH_SECTION]
            # By kind of file, as CEP 12 has it, whatever the revision of repodata is.
            for entries, newer in ((streamed, True), (spooled, False)):
                mine = [r for r in packages if r.name.endswith(_V2) is newer]
                entries.add(mine, instructions)
        write(b'},"packages":{')
        for block in older.blocks():
            write(block)
        write(b"}}")
    finally:
        older.close()


@attrs.define
class _Entries:
    """Entries of one object, one after another."""

    _write: Callable[[bytes], None]
    _any: bool = False

    def add(self, releases: Sequence[Listed], instructions: Instructions) -> None:
        entries = [
            b'"%b":{"run_exports":%b}' % (release.name.encode(), _exports(release, instructions))
            for release in releases
        ]
        if entries:
            self._write(b"," * self._any + b",".join(entries))
            self._any = True


def _exports(release: Listed, instructions: Instructions) -> bytes:
    if release.name in instructions.names:
        release = instructions.release(release)
    return Extra.unpack(release.extra).run_exports
