"""Which storage the settings name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pluggy

from repocore.config import Settings
from repocore.errors import NoPluginForUrlError
from repocore.ports import Storage

__all__ = ["open_storage"]


def open_storage(
    settings: Settings, hooks: pluggy.HookRelay, plugin_settings: Mapping[str, Any]
) -> Storage:
    """The storage of the setting, by whichever plugin opens it.

    ``plugin_settings`` are those of all plugins, by name.  Raises `NoPluginForUrlError` where no
    plugin does.
    """
    url = settings.storage
    if "://" not in url:
        url = (settings.data / url).absolute().as_uri()
    storage = hooks.repocore_storage(
        url=url,
        options=settings.storage_options,
        plugin_settings=plugin_settings,
        read_only=settings.read_only,
    )
    if storage is None:
        scheme = url.partition("://")[0]
        message = f"No plugin opens storages of the scheme {scheme}; see `repocore plugins`."
        raise NoPluginForUrlError(message)
    return storage
