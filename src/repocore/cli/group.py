"""The root of the commands: found by name, loaded when they run."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

import repocore
from repocore.cli.output import State, pass_state, report_error
from repocore.errors import RepocoreError

__all__ = ["main"]

#: Where each command lives: to show help must not cost loading a registry.
_COMMANDS: Final = {
    "serve": "serving",
    "init": "upkeep",
    "check": "upkeep",
    "gc": "upkeep",
    "export": "repositories",
    "repo": "repositories",
    "user": "accounts",
    "group": "accounts",
    "token": "accounts",
    "rule": "accounts",
    "config": "upkeep",
    "plugins": "upkeep",
}


class _Commands(click.Group):
    """A group whose commands are loaded at their first use; plugins may add more."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*_COMMANDS, *self.commands, *_plugin_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = _COMMANDS.get(cmd_name)
        if place is not None:
            return importlib.import_module(f"repocore.cli.{place}").COMMANDS[cmd_name]
        return self.commands.get(cmd_name) or _plugin_commands(ctx).get(cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except RepocoreError as error:
            report_error(ctx.find_object(State) or State(), error)
            ctx.exit(1)


def _plugin_commands(ctx: click.Context) -> dict[str, click.Command]:
    """What plugins add; none where the settings cannot be read, so that help always works."""
    state = ctx.find_object(State) or State()
    state.take(ctx.params)
    group = click.Group("plugins")
    try:
        manager = state.manager()
    except RepocoreError:
        return {}
    manager.hook.repocore_commands(group=group)
    return dict(group.commands)


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(repocore.__version__, prog_name="repocore")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="The data folder (REPOCORE_DATA; ./repocore-data otherwise).",
)
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The settings file (REPOCORE_CONFIG; repocore.toml in the data folder otherwise).",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@pass_state
def root(state: State, **options: Any) -> None:
    """Keep and serve packages."""
    state.take(options)


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point ``repocore``; exits 0, 1 for what went wrong, 2 for wrong usage."""
    root.main(args=None if arguments is None else list(arguments), prog_name="repocore")
    sys.exit(0)
