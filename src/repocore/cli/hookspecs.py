"""The hook of the command line: the core knows nothing of click."""

from __future__ import annotations

import click

from repocore.markers import hookspec

__all__ = ["repocore_commands"]


@hookspec
def repocore_commands(group: click.Group) -> None:
    """Add commands to the group; a name of ours is not replaced.

    Asked for the help page, and where a command is wanted that is not ours.
    """
