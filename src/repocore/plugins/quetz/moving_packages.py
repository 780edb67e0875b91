"""Take over the packages of a quetz's channel that its index does not tell of, and its counts.

Rows of the database say which files there are; each file that is not there yet is opened, as an
upload is.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Final, cast

import attrs

from repocore.errors import FileMissingError, RejectedError, RepositoryMissingError
from repocore.model import Digest, File, FilePath
from repocore.plugins.quetz.moving import MoveReport
from repocore.plugins.quetz.old_database import OldDatabase, OldVersion
from repocore.plugins.quetz.old_files import OldFile, OldFiles
from repocore.ports import Progress
from repocore.registry import Session, Upload

__all__ = ["move_downloads", "move_packages"]

_BATCH: Final = 100
#: Counts that are written at once.
_COUNTS: Final = 500
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@attrs.frozen
class _Taking:
    """The packages of one channel."""

    session: Session | None
    database: OldDatabase
    files: OldFiles
    channel: str
    report: MoveReport
    progress: Progress

    @property
    def address(self) -> str:
        return f"conda/{self.channel}"

    def uploads(self) -> Iterator[Upload]:
        """What is to be put: each file that has a row and is not there."""
        for one in self.database.versions(self.channel):
            self.progress.check()
            self.progress.advance()
            try:
                upload = self._upload(one)
            except RejectedError as error:
                self.report.skip(f"{self.channel}/{one.platform}/{one.filename}", str(error))
                continue
            if upload is not None:
                yield upload

    def _upload(self, one: OldVersion) -> Upload | None:
        path = FilePath((one.platform, one.filename))
        announced = tuple(
            Digest(name, value.lower())
            for name, value in (("sha256", one.sha256), ("md5", one.md5))
            if value
        )
        there = self._digest(path)
        if there is not None and (not one.sha256 or there == one.sha256.lower()):
            self.report.known += 1
            return None
        file = self.files.find(self.channel, one.platform, one.filename)
        if file is None:
            message = "the database names it, and there is no such file"
            raise RejectedError(message)
        return Upload(
            path=path,
            stream=file,
            length=file.size,
            announced=announced,
            released_at=one.came,
            link=True,
            overwrite=False,
        )

    def _digest(self, path: FilePath) -> str | None:
        """The SHA-256 of what is at that path already."""
        if self.session is None:
            return None
        try:
            return self.session.files.stat(self.address, path).digest
        except (FileMissingError, RepositoryMissingError):
            return None


def move_packages(
    session: Session | None,
    database: OldDatabase,
    files: OldFiles,
    channel: str,
    report: MoveReport,
    progress: Progress,
) -> None:
    """Take what has a row and is not there yet; requires WRITE and MANAGE of the channel.

    Without a session nothing is written.  Idempotent; memory does not grow with the channel.
    Raises what is no package's own fault: errors of access and of the storage.
    """
    taking = _Taking(session, database, files, channel, report, progress)
    if session is None:
        for upload in taking.uploads():
            _count(report, upload)
        return
    for upload, found in session.files.put_all(taking.address, taking.uploads(), batch=_BATCH):
        cast("OldFile", upload.stream).close()
        if isinstance(found, File):
            _count(report, upload)
        else:
            report.skip(f"{channel}/{upload.path}", str(found))


def _count(report: MoveReport, upload: Upload) -> None:
    report.packages += 1
    report.bytes += upload.length or 0


def move_downloads(
    session: Session, database: OldDatabase, channel: str, report: MoveReport
) -> None:
    """Take over how often each file was downloaded, once; requires ADMIN of the site."""
    counted = (
        (one.platform, one.filename, one.came or _EPOCH, one.downloads)
        for one in database.versions(channel)
        if one.downloads
    )
    while some := list(islice(counted, _COUNTS)):
        report.downloads += session.statistics.take_over(f"conda/{channel}", some)
