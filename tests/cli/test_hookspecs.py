"""The hook of the command line is specified for plugins like any other."""

from __future__ import annotations

import pluggy

from repocore.cli import hookspecs
from repocore.markers import PROJECT


def test_hook_is_specified():
    """A manager that is told of the command line knows repocore_commands."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    assert manager.hook.repocore_commands.spec is not None
