"""Patches that come as a package: the newest ``<channel>-repodata-patches`` of a channel.

Such a package holds ``<subdir>/patch_instructions.json`` for some subdirs.  These become the
instructions of these subdirs, and others keep theirs.  One that is not the newest changes nothing,
so that it does not matter in which order old ones come.
"""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, Final, cast

from repocore.errors import InvalidPackageError, RejectedError, RepocoreError
from repocore.http import Readable
from repocore.model import Action, File, FileFacts, FilePath, Resource
from repocore.plugins.conda.filenames import PackageFile, check_subdir, is_subdir
from repocore.plugins.conda.patches import (
    PATCH_FILE,
    PATCH_PACKAGE,
    Change,
    changes,
    parse_instructions,
)
from repocore.plugins.conda.peeking import open_part
from repocore.plugins.conda.settings import CondaSettings
from repocore.plugins.conda.tars import Kind, TarReader
from repocore.plugins.conda.versions import version_key
from repocore.ports import Listed, StagedContent
from repocore.registry import Session, Upload

__all__ = [
    "PATCHES",
    "apply_patch_package",
    "apply_patches",
    "check_patch_package",
    "patch_changes",
    "read_patch_package",
    "read_patches",
    "requires_patching",
]

#: What the name of a channel's patch package ends in.
PATCHES: Final = "-repodata-patches"
#: Bytes of a package that are kept in memory.
_MOST: Final = 4 << 20
_CHUNK: Final = 1 << 20


def read_patch_package(
    stream: BinaryIO, size: int, file: PackageFile, settings: CondaSettings
) -> dict[str, bytes]:
    """The instructions in a package, by subdir; raises `InvalidPackageError` for bad ones.

    The package is read with the same bounds as one that is uploaded.
    """
    found: dict[str, bytes] = {}
    reader = TarReader(open_part(stream, size, file, settings.limits, "pkg"), settings.limits)
    for member in reader:
        subdir, _, name = member.path.removeprefix("./").partition("/")
        if name != PATCH_FILE or member.kind is not Kind.FILE or not is_subdir(subdir):
            continue
        if member.size > settings.max_patches:
            raise InvalidPackageError(_too_large(settings.max_patches))
        found[subdir] = reader.read()
        parse_instructions(found[subdir])
    return found


def _too_large(most: int) -> str:
    return f"Patch instructions may have up to {most} bytes."


def read_patches(source: Path, settings: CondaSettings, subdir: str | None) -> dict[str, bytes]:
    """The instructions that lie at a place of this machine, by subdir.

    That is ``patch_instructions.json``, of ``subdir`` or of the one that its folder is called; a
    folder with one in each subdir; or a package that holds the same.  Raises `RejectedError`.
    """
    if source.is_dir():
        files = sorted(source.glob(f"*/{PATCH_FILE}"))
        found = {file.parent.name: file for file in files if is_subdir(file.parent.name)}
        if not found:
            message = f"There is no <subdir>/{PATCH_FILE} in {source}."
            raise RejectedError(message)
        return {name: _checked(file, settings) for name, file in found.items()}
    if source.name.endswith(".json"):
        return {check_subdir(subdir or source.absolute().parent.name): _checked(source, settings)}
    with source.open("rb") as stream:
        size = source.stat().st_size
        return read_patch_package(stream, size, PackageFile.parse(source.name), settings)


def _checked(file: Path, settings: CondaSettings) -> bytes:
    if file.stat().st_size > settings.max_patches:
        raise InvalidPackageError(_too_large(settings.max_patches))
    content = file.read_bytes()
    parse_instructions(content)
    return content


def _is_of(address: str, package: str | None) -> bool:
    return package == f"{address.partition('/')[2]}{PATCHES}"


def requires_patching(session: Session, address: str) -> None:
    """Return if the session may change the patches of a channel; raises `AccessError`."""
    name = address.partition("/")[2]
    session.require(Action.WRITE, Resource("conda", name, PATCH_PACKAGE, "0"))


def check_patch_package(
    session: Session, address: str, facts: FileFacts, content: StagedContent
) -> None:
    """Refuse a patch package of the channel whose instructions are not usable, or whose sender may
    not patch, before it is accepted; other packages are none of its business.
    """
    if not facts.release or not _is_of(address, facts.package):
        return
    file = PackageFile.parse(facts.release)
    requires_patching(session, address)
    with content.open() as stream:
        read_patch_package(stream, content.size, file, _settings(session))


def apply_patch_package(session: Session, address: str, file: File) -> list[File]:
    """Put the instructions of a patch package that was accepted; nothing for another package, or
    one that is not the newest.

    All of them in one transaction, and idempotent.  Requires WRITE of the patches.
    """
    if not file.release or f"{address.partition('/')[2]}{PATCHES}-" not in file.release:
        return []
    package = PackageFile.parse(file.release)
    if not _is_of(address, package.name) or not _is_newest(session, address, file, package.name):
        return []
    # From wherever the bytes lie: not every storage can go back in what it sends.
    with session.files.open(address, file.path) as sent, SpooledTemporaryFile(_MOST) as stream:
        shutil.copyfileobj(sent, stream)
        stream.seek(0)
        found = read_patch_package(cast("BinaryIO", stream), file.size, package, _settings(session))
    return apply_patches(session, address, found)


def apply_patches(session: Session, address: str, found: dict[str, bytes]) -> list[File]:
    """Put instructions by subdir, all in one transaction; raises what `Files.put` raises."""
    uploads = [
        Upload(path=FilePath((subdir, PATCH_FILE)), stream=io.BytesIO(content))
        for subdir, content in sorted(found.items())
    ]
    made: list[File] = []
    for _, result in session.files.put_all(address, uploads, batch=len(uploads) or 1):
        if isinstance(result, RepocoreError):
            raise result
        made.append(result)
    return made


def patch_changes(session: Session, address: str, subdir: str, body: Readable) -> list[Change]:
    """What documents of a subdir would say otherwise with these instructions; changes nothing.

    Requires what applying them does, before the first read.  Raises `InvalidPackageError`.
    """
    check_subdir(subdir)
    requires_patching(session, address)
    most = _settings(session).max_patches
    content = bytearray()
    while len(content) <= most and (chunk := body.read(_CHUNK)):
        content += chunk
    if len(content) > most:
        raise InvalidPackageError(_too_large(most))
    instructions = parse_instructions(bytes(content))
    with session.releases.query(address, subdir) as query:
        return list(changes(query, instructions))


def _is_newest(session: Session, address: str, file: File, package: str) -> bool:
    """Whether no listed release of the package has a later version, or build of that version."""
    with session.releases.query(address, str(file.partition)) as query:
        found = [release for chunk in query.listed([package]) for release in chunk]
    newest = max(found, key=_age, default=None)
    return newest is not None and newest.name == file.release


def _age(release: Listed) -> tuple[bytes, int, int, str]:
    record: dict[str, Any] = json.loads(release.record)
    build, time = record.get("build_number") or 0, record.get("timestamp") or 0
    return version_key(release.version), build, time, release.name


def _settings(session: Session) -> CondaSettings:
    return session.registry.plugin_settings("conda")
