"""Find the plugins and open a registry with them."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pluggy

from repocore import hookspecs as core_hookspecs
from repocore.config import Settings, load_settings, structure_table
from repocore.errors import ConfigurationError, PluginError
from repocore.markers import PROJECT
from repocore.registry import Registry

__all__ = ["make_manager", "open_registry"]

#: Asked last; the modules that ship with us, by name so that nothing here imports them.
DEFAULTS: Final = "repocore.plugins"
#: Hooks that only the command line specifies; its plugins are loaded by servers, too.
_ELSEWHERE: Final = frozenset({"repocore_commands"})


def open_registry(
    data: str | os.PathLike[str] | None = None,
    *,
    settings: Settings | None = None,
    plugins: Iterable[object] = (),
    hookspecs: Iterable[ModuleType] = (),
) -> Registry:
    """Open an installation: its data folder, or settings that name one.

    With ``data`` alone, ``repocore.toml`` in that folder and the environment are read.  Makes the
    folder, the tables and the repositories that the settings name, where they are not there.
    ``plugins`` are registered last, and therefore asked first; ``hookspecs`` are modules with
    further specifications (the command line brings its own).

    Raises `ConfigurationError`, `PluginError`, `StorageError`.
    """
    if settings is None:
        folder = None if data is None else Path(data)
        settings = load_settings(data=folder, config=None, environ=os.environ)
    manager = make_manager(settings, plugins, hookspecs)
    tables = _plugin_settings(manager, settings)
    return Registry(settings, manager, tables)


def make_manager(
    settings: Settings, plugins: Iterable[object] = (), hookspecs: Iterable[ModuleType] = ()
) -> pluggy.PluginManager:
    """A manager with every plugin: ours, the installed, the settings', the application's.

    Raises `ConfigurationError` or `PluginError` where one cannot be loaded.
    """
    manager = _Manager(PROJECT)
    for specifications in (core_hookspecs, *hookspecs):
        manager.add_hookspecs(specifications)
    for name in settings.plugins.disabled:
        manager.set_blocked(name)
    for name in importlib.import_module(DEFAULTS).DEFAULT_PLUGINS:
        _register(manager, name)
    try:
        manager.load_setuptools_entrypoints(PROJECT)
    except Exception as error:
        message = f"An installed plugin does not load: {error}"
        raise PluginError(message) from error
    for name in settings.plugins.load:
        _register(manager, name)
    for path in settings.plugins.files:
        manager.register(_load_file(path), name=path.stem)
    for plugin in plugins:
        manager.register(plugin)
    manager.hook.repocore_addhooks.call_historic(kwargs={"manager": manager})
    _check(manager)
    return manager


class _Manager(pluggy.PluginManager):
    """Looks for hooks among the functions of a module only: the rest of it is what it imports, and
    to look at each of those with care takes half of the time of opening a registry.
    """

    def parse_hookimpl_opts(self, plugin: object, name: str) -> pluggy.HookimplOpts | None:
        if isinstance(plugin, ModuleType) and not inspect.isroutine(vars(plugin).get(name)):
            return None
        return super().parse_hookimpl_opts(plugin, name)


def _register(manager: pluggy.PluginManager, name: str) -> None:
    if manager.is_blocked(name):
        return
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        message = f"The plugin {name} does not load: {error}"
        raise PluginError(message) from error
    manager.register(module, name=name)


def _load_file(path: Path) -> ModuleType:
    name = f"repocore_file_{path.stem}_{abs(hash(path.absolute()))}"
    specification = importlib.util.spec_from_file_location(name, path)
    if specification is None or specification.loader is None or not path.is_file():
        message = f"`plugins.files` names {path.name}, which is no Python file there."
        raise ConfigurationError(message)
    module = importlib.util.module_from_spec(specification)
    # Found by its name, so that what its annotations say as texts is found in it.
    sys.modules[name] = module
    try:
        specification.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        message = f"The plugin file {path.name} does not load: {type(error).__name__}: {error}"
        raise PluginError(message) from error
    return module


def _check(manager: pluggy.PluginManager) -> None:
    for name, caller in vars(manager.hook).items():
        if not isinstance(caller, pluggy.HookCaller) or caller.has_spec() or name in _ELSEWHERE:
            continue
        for call in caller.get_hookimpls():
            if not call.optionalhook:
                message = f"The plugin {call.plugin_name} implements {name}, which is no hook."
                raise PluginError(message)


def _plugin_settings(manager: pluggy.PluginManager, settings: Settings) -> dict[str, Any]:
    """Each ``[plugins.NAME]`` as its plugin's class; every problem at once."""
    classes: dict[str, type] = {}
    for brought in manager.hook.repocore_settings():
        classes.update(brought)
    problems = [
        f"plugins.{name}: no plugin of that name has settings"
        for name in settings.plugins.tables
        if name not in classes
    ]
    made: dict[str, Any] = {}
    for name, kind in classes.items():
        try:
            made[name] = structure_table(name, kind, settings.plugins.tables.get(name, {}))
        except ConfigurationError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigurationError(problems=tuple(problems))
    return made
