"""Settings on trial: whether a registry opens with them, without touching the one that there is."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import attrs

from repocore.config import Settings
from repocore.plugin_manager import open_registry
from repocore.registry import Registry

__all__ = ["try_settings"]


def try_settings(
    settings: Settings, use: Callable[[Registry], object] | None = None
) -> tuple[str, ...]:
    """The formats of a registry that opens with these settings, and of which ``use`` makes
    something: an application, say.

    Its folder and its catalog are new and gone afterwards, and so is a storage that is a folder;
    others are opened.  Raises `RepocoreError` where it does not open.
    """
    with (
        tempfile.TemporaryDirectory(prefix="repocore-") as folder,
        open_registry(settings=_elsewhere(settings, Path(folder))) as registry,
    ):
        if use is not None:
            use(registry)
        return tuple(registry.formats)


def _elsewhere(settings: Settings, folder: Path) -> Settings:
    fresh = attrs.fields(Settings)
    storage = settings.storage
    if "://" not in storage or storage.startswith("file:"):
        storage = fresh.storage.default
    return attrs.evolve(settings, data=folder, catalog=fresh.catalog.default, storage=storage)
