"""Stored bytes as the body of a response."""

from __future__ import annotations

from collections.abc import Callable

from repocore.http import FileContent
from repocore.model import File
from repocore.ports import Storage

__all__ = ["body_of"]


def body_of(
    storage: Storage,
    file: File,
    served: Callable[[], None] = lambda: None,
    *,
    serial: int | None = None,
    late: bool = False,
) -> FileContent:
    """The file's bytes, wherever the storage has them; ``served`` is told once they are sent.

    Nobody else is sent for bytes that are known to be damaged: to open them raises
    `BlobMissingError`.
    """
    lost = file.key.damaged
    return FileContent(
        file=file,
        open=lambda start, stop: storage.open(file.key, start, stop),
        url=lambda lifetime: (
            None
            if lost
            else storage.url(
                file.key, filename=file.path.name, media_type=file.media_type, expires=lifetime
            )
        ),
        location=None if lost else storage.location(file.key),
        served=served,
        serial=serial,
        late=late,
    )
