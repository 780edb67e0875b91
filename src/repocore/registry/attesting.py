"""The room of attestations: ``session.attestations``.

They lie beside their file as a file of the same release, named by its digest, and come into the
catalog together with what the release's record says of them.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, cast

import attrs

from repocore.catalog import drafts, files, releases
from repocore.catalog.commit import FileChange
from repocore.catalog.rows import StoredRepository, canonical
from repocore.errors import ConflictError, FileMissingError, RejectedError
from repocore.model import (
    Attested,
    BlobKey,
    File,
    FileFacts,
    FilePath,
    Release,
    split_address,
)
from repocore.ports import AttestedFormat, Format
from repocore.registry.blobs import publish
from repocore.registry.context import Context
from repocore.registry.files import Files
from repocore.registry.staging import Bounds, Staged, stage
from repocore.registry.uploading import Stored, Upload, Uploading

__all__ = ["Attestations"]

_TRIES: Final = 5


class Attestations:
    """Put, add and read what was attested of files (CEP 27): Sigstore bundles, in JSON.

    Plugins look at them with every upload, and refuse what is not of the file.  Every method raises
    `RepositoryMissingError`, `NotAuthenticatedError`, `AccessDeniedError` and `InvalidPathError`.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    def put(
        self,
        address: str,
        upload: Upload,
        bundles: Callable[[], Sequence[bytes]],
        urls: Sequence[str],
    ) -> File:
        """Store a file with what was attested of it: both at once, or neither.

        ``bundles`` is asked when the file has arrived, and returns texts that are a bundle each, or
        an array of them; none is fine.  ``urls`` are those of the repository, of which a bundle may
        name one as its target.  Requires WRITE.  The same bytes again change nothing, and get what
        bundles they lack.  Raises what `Files.put` raises, and `RejectedError` for other texts.
        """
        new: list[Any] = []

        def arrived() -> Attested | None:
            new.extend(_array(*bundles()))
            return _attested(new, urls) if new else None

        upload = attrs.evolve(upload, attested=arrived)
        services = self._context.services
        with Uploading(self._context).staged(address, upload) as (staged, change):
            services.step("staged")
            if not new or self._is_there(change, staged):
                file = publish(self._context, [(staged, change)])[0]
            else:
                facts = attrs.evolve(change.facts, amends=change.facts.record)
                beside = self._staged(self._format(address), change, facts, canonical(new))
                with beside as also:
                    return publish(self._context, [(staged, change), also])[0]
        return self._added(address, file.path, new, urls) if new else file

    def add(
        self,
        address: str,
        path: str | FilePath,
        bundles: Callable[[], Sequence[bytes]],
        urls: Sequence[str],
    ) -> File:
        """Add to what was attested of a file that is published; returns that file.

        ``bundles`` and ``urls`` are as for `put`; it is asked when it is known that one may.
        Idempotent: what is there already stays as it is.  Requires WRITE of the package.  Raises
        `FileMissingError`, `RejectedError`, `UploadRejectedError` (a plugin's veto), and
        `ConflictError` where others add to it all the time.
        """
        path = FilePath.parse(path)
        Uploading(self._context).writable(address, path)
        new = _array(*bundles())
        if not new:
            raise RejectedError("There is no attestation in what was sent.")
        return self._added(address, path, new, urls)

    def _added(self, address: str, path: FilePath, new: list[Any], urls: Sequence[str]) -> File:
        for _ in range(_TRIES - 1):
            with suppress(ConflictError):
                return self._add(address, path, new, urls)
        return self._add(address, path, new, urls)

    def _add(self, address: str, path: FilePath, new: list[Any], urls: Sequence[str]) -> File:
        uploading = Uploading(self._context)
        stored, format_, _ = uploading.writable(address, path)
        there = self._look(stored, self._format(address), path)
        added = [one for one in new if one not in there.bundles]
        if not added:
            return there.file
        attested = _attested(added, urls, len(there.bundles))
        facts = attrs.evolve(there.facts, attested=attested)
        content = Stored(uploading.storage, there.file.key, there.file.size)
        uploading.validate(stored, path, content, facts)
        change = uploading.change(stored, path, there.file.key, there.file.size, facts, format_)
        facts = attrs.evolve(facts, amends=facts.record, replaces=there.places)
        whole = canonical([*there.bundles, *added])
        with self._staged(self._format(address), change, facts, whole) as beside:
            publish(self._context, [beside])
        return there.file

    def get(self, address: str, path: str | FilePath) -> list[Any]:
        """The bundles of a file as JSON has them, in the order in which they came.

        Requires READ.  Raises `FileMissingError`.
        """
        path = FilePath.parse(path)
        file = Files(self._context).stat(address, path)
        stored = self._context.services.book.known.repositories.get(address)
        format_ = self._context.services.formats.get(split_address(address)[0])
        if stored is None or file.release is None or not isinstance(format_, AttestedFormat):
            return []
        return self._look(stored, format_, path).bundles

    def _format(self, address: str) -> AttestedFormat:
        kind = split_address(address)[0]
        format_ = self._context.services.format(kind)
        if isinstance(format_, AttestedFormat):
            return format_
        message = f"The format {kind} keeps no attestations."
        raise RejectedError(message)

    def _is_there(self, change: FileChange, staged: Staged) -> bool:
        """Whether the release can be seen with these bytes."""
        with self._context.services.catalog.snapshot() as connection:
            rows = files.stored(connection, change.repository.id, [str(change.path)])
        row = rows.get(str(change.path))
        return row is not None and row.released and row.digest == staged.checksums.sha256

    def _look(self, stored: StoredRepository, format_: AttestedFormat, path: FilePath) -> _There:
        """A file that can be seen, with what it has now; raises `FileMissingError`."""
        value = stored.value
        located = cast("Format", format_).locate(path)
        partition, name = located.partition or "", located.release or ""
        with self._context.services.catalog.snapshot() as connection:
            release = releases.visible(connection, stored, partition, name)
            own = files.of_release(connection, stored.id, value.address, partition, name)
            by_path = {file.path: file for file in own}
            if release is None or path not in by_path or not located.sole:
                raise FileMissingError
            section, extra = drafts.beside(connection, stored.id, partition, name)
        facts = attrs.evolve(located, record=release.record, section=section, extra=extra)
        beside = format_.attestations(path, release.record)
        if beside is None or beside not in by_path:
            return _There(by_path[path], release, facts)
        with self._context.services.storage.open(by_path[beside].key) as stream:
            found = cast("list[Any]", json.loads(stream.read()))
        return _There(by_path[path], release, facts, found, (beside,))

    @contextmanager
    def _staged(
        self, format_: AttestedFormat, change: FileChange, facts: FileFacts, content: bytes
    ) -> Generator[tuple[Staged, FileChange]]:
        """The file of attestations that is to lie beside another, arrived."""
        services = self._context.services
        bounds = Bounds.exactly(len(content), services.settings.limits.chunk)
        with stage(services.storage, io.BytesIO(content), frozenset(), bounds) as staged:
            digest = staged.checksums.sha256
            told = format_.attest(facts, digest)
            path = told.path or change.path
            replaces = tuple(one for one in facts.replaces if one != path)
            yield (
                staged,
                attrs.evolve(
                    change,
                    path=path,
                    key=BlobKey(digest, ""),
                    size=staged.size,
                    facts=attrs.evolve(told, amends=facts.amends, replaces=replaces, attested=None),
                    may_overwrite=True,
                    released_at=None,
                ),
            )


@attrs.frozen
class _There:
    """A file that is published, its release, and what was attested of it so far."""

    file: File
    release: Release
    facts: FileFacts
    bundles: list[Any] = attrs.field(factory=list[Any])
    #: Where that is.
    places: tuple[FilePath, ...] = ()


def _attested(bundles: list[Any], urls: Sequence[str], others: int = 0) -> Attested:
    return Attested(bundles=canonical(bundles), urls=tuple(urls), others=others)


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _array(*texts: bytes) -> list[Any]:
    """The bundles of some texts, each once; raises `RejectedError`."""
    found: list[Any] = []
    for text in texts:
        try:
            value = json.loads(text, parse_constant=_refuse)
            canonical(value)
        except (ValueError, RecursionError) as error:
            message = "The attestation is no JSON: send a Sigstore bundle, or an array of them."
            raise RejectedError(message) from error
        found += cast("list[Any]", value) if isinstance(value, list) else [value]
    return [one for at, one in enumerate(found) if one not in found[:at]]
