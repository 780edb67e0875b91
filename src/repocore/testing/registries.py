"""A registry for the length of a test."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from repocore.config import Settings
from repocore.plugin_manager import open_registry
from repocore.registry import Registry

__all__ = ["temporary_registry"]


@contextmanager
def temporary_registry(
    *,
    settings: Settings | None = None,
    catalog: str = "sqlite:///catalog.db",
    plugins: Iterable[object] = (),
    repositories: Iterable[str] = ("conan/main",),
) -> Generator[Registry]:
    """A registry in a folder of its own, with empty repositories; all of it is gone afterwards.

    ``settings`` replace the folder and the catalog; a database of yours keeps what was written.
    """
    with tempfile.TemporaryDirectory(prefix="repocore-") as folder:
        chosen = settings or Settings(data=Path(folder), catalog=catalog)
        with open_registry(settings=chosen, plugins=plugins) as registry:
            room = registry.session(registry.admin()).repositories
            for address in repositories:
                room.create(address)
            yield registry
