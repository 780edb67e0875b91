"""The two names that a plugin module needs: what it implements, and what it specifies.

They stand alone so that ``from repocore import hookimpl`` loads nothing heavy.
"""

from __future__ import annotations

import pluggy

__all__ = ["PROJECT", "hookimpl", "hookspec"]

#: The name of the plugin project, and of the entry-point group.
PROJECT = "repocore"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
