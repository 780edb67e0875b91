"""Settings on trial: whether a registry opens with them, without touching the one that there is."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import attrs

from repocore.config import Settings
from repocore.plugin_manager import open_registry
from repocore.registry import Registry

__all__ = ["try_settings", "try_with_application"]


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
        # Of tables beside the catalog's, only that they can be: those that there are stay as well.
        registry.plugins.hook.repocore_tables(settings=settings)
        if use is not None:
            use(registry)
        return tuple(registry.formats)


def try_with_application(settings: Settings) -> tuple[str, ...]:
    """As `try_settings`, and an application is made where its packages are installed."""
    try:
        # An extra, which most commands do without.
        from repocore_web import create_app  # noqa: PLC0415
    except ImportError:
        return try_settings(settings)
    return try_settings(settings, create_app)


def _elsewhere(settings: Settings, folder: Path) -> Settings:
    fresh = attrs.fields(Settings)
    storage = settings.storage
    if "://" not in storage or storage.startswith("file:"):
        storage = fresh.storage.default
    return attrs.evolve(
        settings,
        data=folder,
        catalog=fresh.catalog.default,
        # Another may want the database that this is not.
        runner=settings.runner if _is_ours(settings) else fresh.runner.default,
        storage=storage,
        migrate_at_start=True,
    )


def _is_ours(settings: Settings) -> bool:
    return settings.catalog.startswith("sqlite") or settings.runner.startswith("threads")
