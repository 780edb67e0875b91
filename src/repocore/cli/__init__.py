"""The command line: every command opens a registry, acts as its administrator, and prints.

``--data``, ``--config`` and ``--json`` stand before the command or behind it.
"""

from __future__ import annotations

from repocore.cli.group import main

__all__ = ["main"]
