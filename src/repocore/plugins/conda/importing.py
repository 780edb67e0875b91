"""Take over a static channel.

Records come from its index, and packages are not opened: each file is read once, to see that it is
the one that the index describes.  The tree is never changed: a file becomes another name of the old
one where the disk allows it.  What is there already is passed over, so that an import which was cut
off goes on, and a second one takes what has come since.
"""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final, cast

import attrs

from repocore.errors import (
    ChecksumMismatchError,
    FileMissingError,
    RejectedError,
    RepocoreError,
    RepositoryMissingError,
    StorageFullError,
    TruncatedError,
)
from repocore.model import Checksums, Digest, File, FileFacts, FilePath
from repocore.plugins.conda.channel_tree import (
    ChannelTree,
    Described,
    RunExports,
    Subdir,
    TreeFile,
)
from repocore.plugins.conda.descriptions import check_index, milliseconds, to_revision_3
from repocore.plugins.conda.filenames import PackageFile
from repocore.plugins.conda.index_stream import REMOVED
from repocore.plugins.conda.inspecting import (
    ABOUT_LISTS,
    ABOUT_TEXTS,
    FACTS,
    MEDIA_TYPES,
    SECTIONS,
    SECTIONS_3,
)
from repocore.plugins.conda.patches import PATCH_FILE, Instructions, parse_instructions
from repocore.plugins.conda.records import STAMP, Extra, canonical, pack_shard, record_of
from repocore.plugins.conda.reindexing import open_packages
from repocore.ports import Progress
from repocore.registry import Session, Upload

__all__ = ["ChannelReport", "import_channel"]

#: Findings beyond that number are counted, not listed.
_LISTED: Final = 1000
#: Packages in one transaction, and how many of them are read at a time.
_BATCH: Final = 200
#: From so many packages in a subdir on, it pays to start processes.
_MANY: Final = 500
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: What quetz writes into records: when the package came, in seconds.
_CAME: Final = "time_modified"
_CHUNK: Final = 1 << 20
_DAY: Final = 24 * 3600


@attrs.define
class ChannelReport:
    """What was taken over, and what was left out."""

    packages: int = 0
    bytes: int = 0
    #: Packages that were there already, with the same bytes.
    known: int = 0
    #: Of the packages, those that were opened.
    opened: int = 0
    #: Subdirs whose patch instructions were taken.
    patches: int = 0
    skipped: int = 0
    findings: list[str] = attrs.field(factory=list[str])

    def skip(self, where: str, why: str) -> None:
        """Count something that was left out, and list it if there are not too many."""
        self.skipped += 1
        if len(self.findings) < _LISTED:
            self.findings.append(f"{where}: {why}")


def import_channel(  # noqa: PLR0913 - what an operator may choose
    session: Session | None,
    tree: ChannelTree,
    address: str,
    *,
    reindex: bool = False,
    dry_run: bool = False,
    workers: int | None = None,
    processes: int = 0,
    progress: Progress | None = None,
) -> ChannelReport:
    """Take a tree into a channel; idempotent, and memory grows by no more than names.

    With ``reindex`` packages are opened, whatever an index says of them, and those that no index
    names are taken too.  ``workers`` are read at a time (by default as many as there are
    processors); where there are many small ones to be opened, so many ``processes`` do it.  With
    ``dry_run`` nothing is written or hashed, and no session is needed; else it requires WRITE and
    MANAGE of the repository.  Raises what `Files.put_all` raises, and `RejectedError` for an index
    that is not to be read; whatever was taken by then is whole.
    """
    work = _Work(
        session=session,
        tree=tree,
        address=address,
        reindex=reindex,
        dry_run=dry_run or session is None,
        workers=workers or os.cpu_count() or 1,
        processes=processes if reindex else 0,
        progress=progress,
    )
    try:
        work.run()
    except StorageFullError as error:
        message = "The storage is full. What was taken is whole: make room, and run it again."
        raise StorageFullError(message) from error
    return work.report


@attrs.define(kw_only=True)
class _Work:
    """Taking one subdir after another."""

    session: Session | None
    tree: ChannelTree
    address: str
    reindex: bool
    dry_run: bool
    workers: int
    processes: int
    progress: Progress | None
    report: ChannelReport = attrs.field(factory=ChannelReport)
    _channeldata: Mapping[str, bytes] = attrs.field(factory=dict[str, bytes])
    #: Whether the subdir that is being taken had files before.
    _any_there: bool = False

    def run(self) -> None:
        if self.progress is not None:
            self.progress.start(None, "Importing packages")
        if not self.reindex:
            self._channeldata = self.tree.channeldata()
        for subdir in self.tree.subdirs():
            self._any_there = self._has(subdir)
            self._put(self._opened(subdir, self._uploads(subdir)))
            self._patch(subdir)

    def _has(self, subdir: Subdir) -> bool:
        if self.session is None:
            return False
        try:
            return any(self.session.files.list(self.address, prefix=f"{subdir.name}/"))
        except RepositoryMissingError:
            return False

    def _opened(self, subdir: Subdir, uploads: Iterator[Upload]) -> Iterator[Upload]:
        """The uploads, with what was found in them where other processes open them."""
        some = sum(1 for _ in islice(subdir.packages(), _MANY)) if self.processes else 0
        if self.session is None or self.dry_run or some < _MANY:
            yield from uploads
            return
        limits = self.session.registry.plugin_settings("conda").limits
        for upload, why in open_packages(uploads, limits, self.processes):
            if why:
                self.report.skip(str(upload.path), why)
            else:
                yield upload

    def _put(self, uploads: Iterator[Upload]) -> None:
        if self.session is None or self.dry_run:
            for upload in uploads:
                self._advance()
                self._count(upload)
            return
        files = self.session.files
        for upload, found in files.put_all(
            self.address, uploads, batch=_BATCH, workers=self.workers
        ):
            self._advance()
            cast("TreeFile", upload.stream).close()
            if isinstance(found, File):
                self._count(upload)
            else:
                self.report.skip(str(upload.path), _why(found))

    def _advance(self) -> None:
        if self.progress is not None:
            self.progress.advance()
            self.progress.check()

    def _count(self, upload: Upload) -> None:
        self.report.packages += 1
        self.report.bytes += upload.length or 0
        self.report.opened += self.reindex or upload.facts is None

    def _uploads(self, subdir: Subdir) -> Iterator[Upload]:
        """What is to be put of a subdir: what its index names, then what lies there besides.

        Files that the index names as removed are taken, opened and yanked: whoever has noted one
        still gets it, and nobody chooses it.
        """
        reading = _Reading(subdir, self._channeldata, subdir.run_exports(), time.time())
        described = subdir.described()
        named: set[str] = set()
        removed: set[str] = set()
        try:
            for one in described or ():
                if one.section == REMOVED:
                    removed.add(one.name)
                    continue
                named.add(one.name)
                yield from self._upload(reading, one)
        except RejectedError as error:
            self.report.skip(subdir.name, str(error))
            return
        if described is None and not self.reindex and any(subdir.packages()):
            self.report.skip(subdir.name, "it has no index; --reindex opens its packages")
            return
        for name in subdir.packages():
            if name in named:
                continue
            if self.reindex or name in removed:
                section = REMOVED if name in removed else ""
                yield from self._upload(reading, Described(section, name, {}))
            else:
                why = "no index names it; --reindex takes what lies there"
                self.report.skip(f"{subdir.name}/{name}", why)

    def _upload(self, reading: _Reading, one: Described) -> Iterator[Upload]:
        """The upload of a package; none where it is there, or is left out."""
        where = f"{reading.subdir.name}/{one.name}"
        try:
            known = not self.reindex and one.section != REMOVED
            upload = reading.believed(one) if known else reading.opened(one)
        except RejectedError as error:
            self.report.skip(where, str(error))
            return
        if self._is_there(upload):
            self.report.known += 1
            self._advance()
            return
        yield upload

    def _is_there(self, upload: Upload) -> bool:
        """Whether the channel has these bytes under that path, as far as the index knows them.

        Digests are compared, never names and sizes alone: without one the file is read.
        """
        wanted = [digest.hex for digest in upload.announced if digest.algorithm == "sha256"]
        if self.session is None or not wanted or not self._any_there:
            return False
        try:
            return self.session.files.stat(self.address, upload.path).digest == wanted[0]
        except FileMissingError:
            return False

    def _patch(self, subdir: Subdir) -> None:
        """Take the patch instructions of a subdir, if they say anything."""
        file = subdir.patches()
        if file is None:
            return
        path = FilePath((subdir.name, PATCH_FILE))
        try:
            content = b"".join(iter(lambda: file.read(_CHUNK), b""))
            if parse_instructions(content) == Instructions():
                return
            if self.session is not None and not self.dry_run:
                self.session.files.put(self.address, path, io.BytesIO(content))
        except RejectedError as error:
            self.report.skip(str(path), str(error))
        else:
            self.report.patches += 1
        finally:
            file.close()


def _why(error: RepocoreError) -> str:
    """The reason in words that fit somebody who sent nothing."""
    if isinstance(error, ChecksumMismatchError):
        return "its checksum is not the one in the index"
    if isinstance(error, TruncatedError):
        return "it changed while it was read"
    return str(error)


@attrs.frozen
class _Reading:
    """What is known of the packages of one subdir."""

    subdir: Subdir
    _channeldata: Mapping[str, bytes]
    _run_exports: RunExports
    _now: float

    def opened(self, one: Described) -> Upload:
        """An upload of a package that is opened; the index tells but when it came."""
        file = PackageFile.parse(one.name)
        content = self.subdir.file(one.name)
        status = content.present()
        return Upload(
            path=file.path(self.subdir.name),
            stream=content,
            length=status.st_size,
            released_at=_came(one.record, status, self._now),
            link=True,
            overwrite=False,
            yanked=one.section == REMOVED,
        )

    def believed(self, one: Described) -> Upload:
        """An upload of a package that is what its index says; it is opened where that is not
        enough to know its bytes.
        """
        upload = self.opened(one)
        record = one.record
        announced = tuple(
            Digest(name, str(record[name]).lower()) for name in ("sha256", "md5") if name in record
        )
        upload = attrs.evolve(upload, announced=announced)
        size = record.get("size")
        if size is not None and size != upload.length:
            message = f"it has {upload.length} bytes, and {size!r:.20} in the index"
            raise RejectedError(message)
        facts = None
        if len(announced) == 2 and type(size) is int:  # noqa: PLR2004 - sha256 and md5
            facts = self._facts(PackageFile.parse(one.name), one)
        return attrs.evolve(upload, facts=facts)

    def _facts(self, file: PackageFile, one: Described) -> FileFacts:
        check_index(one.record, file, self.subdir.name, self._now)
        index = {key: value for key, value in one.record.items() if key != _CAME}
        index.pop(STAMP, None)
        changed = to_revision_3(index)
        later = changed is not None or one.section in SECTIONS_3.values()
        sums = Checksums(sha256=index["sha256"].lower(), md5=index["md5"].lower())
        record = record_of(index if changed is None else changed, sums, index["size"])
        known = self._run_exports.of(one.name)
        exports = None if known is None else json.loads(known)
        said = self._channeldata.get(file.name, b"{}")
        try:
            extra = Extra(
                shard=pack_shard(record, exports),
                run_exports=known or b"{}",
                channeldata=canonical(_channeldata(json.loads(said), record)),
            )
            return FileFacts(
                partition=self.subdir.name,
                release=one.name,
                package=file.name,
                version=file.version,
                media_type=MEDIA_TYPES[file.kind],
                sole=True,
                section=(SECTIONS_3 if later else SECTIONS)[file.kind],
                record=canonical(record),
                extra=extra.pack(),
            )
        except (ValueError, OverflowError) as error:
            message = f"its record has what an index has no words for: {error}."
            raise RejectedError(message) from error


def _came(record: Mapping[str, Any], status: os.stat_result, now: float) -> datetime:
    """When a package came into its channel: as the index says (CEP 47), as quetz says, or as its
    file does, which its build cannot be later than.
    """
    stamp = record.get(STAMP)
    if type(stamp) is not int or not 0 < stamp <= (now + _DAY) * 1000:
        came = record.get(_CAME)
        stamp = came * 1000 if type(came) is int and 0 < came <= now else None
    if stamp is None:
        built = record.get("timestamp")
        least = milliseconds(built) if type(built) is int and built > 0 else 0
        stamp = min(max(int(status.st_mtime * 1000), least), int(now * 1000))
    return _EPOCH + timedelta(milliseconds=stamp)


def _channeldata(said: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """What `inspecting` would find in the package, as far as ``channeldata.json`` tells."""
    data: dict[str, Any] = {name: said.get(name) is True for name in FACTS}
    for name in ABOUT_TEXTS:
        if isinstance(said.get(name), str) and said[name]:
            data[name] = said[name]
    for name in ABOUT_LISTS:
        items = said.get(name)
        if items and isinstance(items, list):
            data[name] = [item for item in cast("list[Any]", items) if isinstance(item, str)]
    if record.get("license") and "license" not in data:
        data["license"] = record["license"]
    data["timestamp"] = milliseconds(record.get("timestamp") or 0) // 1000
    return data
