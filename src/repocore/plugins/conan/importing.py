"""Take over the data, users and rules of a conan_server.

The old tree is read and never changed: a file becomes another name of the old one where the disk
allows it.  What is there already is passed over, so that an import which was cut off goes on, and
a second one takes what has come since.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

import attrs

from repocore.errors import AlreadyExistsError, MissingError, StorageFullError
from repocore.plugins.conan.references import PackageReference
from repocore.plugins.conan.revisions import MANIFEST
from repocore.plugins.conan.server_conf import ServerConf, rules_of
from repocore.plugins.conan.tree import Finding, Revision, StoredFile, TreeReference, references
from repocore.ports import Progress
from repocore.registry import Session

__all__ = ["ImportReport", "import_access", "import_tree"]

#: Findings beyond that number are counted, not listed.
_LISTED: Final = 1000
_THREADS: Final = 4


@attrs.define
class ImportReport:
    """What was taken over, and what was repaired or left out."""

    references: int = 0
    revisions: int = 0
    package_revisions: int = 0
    files: int = 0
    bytes: int = 0
    #: Revisions that were there already.
    known: int = 0
    users: int = 0
    rules: int = 0
    repaired: int = 0
    skipped: int = 0
    #: Of those that were skipped, what the disk did not let us read.
    unreadable: int = 0
    findings: list[str] = attrs.field(factory=list[str])
    _lock: threading.Lock = attrs.field(factory=threading.Lock, repr=False, eq=False)

    def find(self, finding: Finding) -> None:
        """Count a finding, and list it if there are not too many."""
        with self._lock:
            self.unreadable += finding.unreadable
            if finding.skipped:
                self.skipped += 1
            else:
                self.repaired += 1
            if len(self.findings) < _LISTED:
                self.findings.append(str(finding))

    def add(self, **counts: int) -> None:
        """Count."""
        with self._lock:
            for name, count in counts.items():
                setattr(self, name, getattr(self, name) + count)


def import_tree(
    session: Session | None,
    address: str,
    data: Path,
    *,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> ImportReport:
    """Take a data folder into a repository; idempotent, and memory does not grow with it.

    With ``dry_run`` nothing is written, and no session is needed; else it requires WRITE and
    MANAGE of the repository.  Raises what `Files.put` raises, and `OSError` for a folder that
    cannot be read; whatever was taken by then is whole.
    """
    report = ImportReport()
    ours = None if session is None else session.registry.settings.data
    if not data.is_dir():
        report.find(Finding(data.name, "is no folder yet: there is nothing to take", skipped=False))
        return report
    work = _Work(session, address, report, dry_run)
    if progress is not None:
        progress.start(None, "Importing references")
    try:
        with ThreadPoolExecutor(_THREADS) as pool:
            for _ in _bounded(pool, work, references(data, ours)):
                if progress is not None:
                    progress.advance()
                    progress.check()
    except StorageFullError as error:
        message = "The storage is full. What was taken is whole: make room, and run it again."
        raise StorageFullError(message) from error
    return report


def _bounded(
    pool: ThreadPoolExecutor, work: _Work, found: Iterable[TreeReference | Finding]
) -> Iterator[None]:
    """Do all of it, with a few at once and no more than a few read ahead."""
    running: deque[Future[None]] = deque()
    try:
        for one in found:
            if isinstance(one, Finding):
                work.report.find(one)
                continue
            running.append(pool.submit(work.take, one))
            if len(running) > 2 * _THREADS:
                running.popleft().result()
                yield
        while running:
            running.popleft().result()
            yield
    finally:
        for future in running:
            future.cancel()


@attrs.frozen
class _Work:
    """Taking one reference after another."""

    session: Session | None
    address: str
    report: ImportReport
    dry_run: bool

    def take(self, found: TreeReference) -> None:
        """Take a reference's revisions in their order, each with its packages."""
        for finding in found.findings:
            self.report.find(finding)
        if found.revisions:
            self.report.add(references=1)
        partition = found.reference.partition
        for revision in found.revisions:
            self._take(partition, revision, "revisions")
            for package_id, packages in revision.packages:
                package = PackageReference(found.reference, revision.name, package_id)
                for prev in packages:
                    self._take(package.partition, prev, "package_revisions")

    def _take(self, partition: str, revision: Revision, kind: str) -> None:
        there = self._there(partition, revision.name)
        missing = [f for f in revision.files if there.get(str(f.file.path)) != f.size]
        if there and not missing:
            self.report.add(known=1)
            return
        # The manifest publishes the others.
        for file in sorted(missing, key=lambda one: one.file.name == (MANIFEST,)):
            if self.session is not None and not self.dry_run:
                self._put(self.session, file, revision)
            self.report.add(files=1, bytes=file.size)
        self.report.add(**{kind: 1})

    def _there(self, partition: str, name: str) -> dict[str, int]:
        if self.session is None:
            return {}
        try:
            found = self.session.releases.files(self.address, partition, name)
        except MissingError:
            return {}
        return {str(file.path): file.size for file in found}

    def _put(self, session: Session, stored: StoredFile, revision: Revision) -> None:
        with stored.open() as stream:
            session.files.put(
                self.address,
                stored.file.path,
                stream,
                length=stored.size,
                released_at=revision.time,
                link=True,
            )


def import_access(
    session: Session | None, conf: ServerConf, address: str, report: ImportReport
) -> None:
    """Make accounts of the users, with hashed passwords, and rules of the permissions.

    What is there already stays as it is.  Requires ADMIN.  Without a session it only counts.
    """
    if session is None:
        report.add(users=len(conf.users), rules=len(rules_of(conf.read, conf.write, address)))
        return
    for name, password in conf.users.items():
        try:
            session.accounts.add(name, str(password))
        except AlreadyExistsError:
            report.find(Finding(name, "the account is there already, and stays", skipped=False))
            continue
        report.add(users=1)
    known = {attrs.evolve(rule, id=None) for rule in session.accounts.rules()}
    for rule in rules_of(conf.read, conf.write, address):
        if rule not in known:
            session.accounts.add_rule(rule)
            report.add(rules=1)
