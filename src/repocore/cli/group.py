"""The root of the commands: found by name, loaded when they run."""

from __future__ import annotations

import difflib
import importlib
import json
import os
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

import click

import repocore
from repocore.cli.output import State, pass_state, report_error
from repocore.errors import RepocoreError
from repocore.markers import PROJECT

__all__ = [
    "main",
    "root",
]

_ADDED: Final = "repocore.cli.added"
_ARGUMENTS: Final = "repocore.cli.arguments"

#: Where each command lives, and its line: to show help must not cost loading a registry.
_COMMANDS: Final = {
    "serve": ("serving", "Serve the data folder over HTTP; makes what is missing."),
    "init": ("upkeep", "Make an installation without serving it."),
    "repo": ("repositories", "Create, configure, list and delete repositories."),
    "user": ("accounts", "Add, list, change and remove accounts."),
    "group": ("accounts", "Put accounts into groups, and take them out."),
    "token": ("accounts", "Create, list and revoke API tokens."),
    "identity": ("identities", "Say which accounts elsewhere are which accounts here."),
    "rule": ("accounts", "Say who may do what, where."),
    "role": ("access", "Give roles to people and machines."),
    "access": ("access", "Say why somebody may do something, and who may."),
    "audit": ("audit", "Look at who changed what, and whether the records are whole."),
    "doctor": ("doctor", "Look for what would go wrong, and say what to do about it."),
    "migrate": ("catalog", "Bring the catalog's tables to this version."),
    "catalog": ("catalog", "Copy the catalog to another database."),
    "check": ("upkeep", "Compare the catalog with what is stored."),
    "repair": ("backups", "Bring back what is lost or damaged, from backups and other servers."),
    "backup": ("backups", "Make a backup of catalog and contents, while the server runs."),
    "restore": ("backups", "Bring back a backup into an empty installation."),
    "replica": ("replica", "Follow another installation: how far, now, and no more."),
    "gc": ("upkeep", "Delete what nothing names any more."),
    "search": ("browsing", "Find Conan recipes by a pattern."),
    "show": ("browsing", "Show a Conan recipe, its packages, and the commands for them."),
    "release": ("releases", "List, yank, delete, copy and promote releases."),
    "stats": ("statistics", "Count what there is, and how much it is used."),
    "retention": ("retention", "Delete old releases that no policy keeps."),
    "job": ("jobs", "Show, start, cancel and repeat background work."),
    "worker": ("jobs", "Run background work in this process."),
    "import": ("quetz", "Take over what another server has kept."),
    "conda": ("channels", "Upload packages to a channel, and patch what it says of them."),
    "export": ("repositories", "Write a repository as a plain tree of files."),
    "config": ("upkeep", "Show the settings, and the file that they are read from."),
    "plugins": ("upkeep", "List the plugins and the hooks they answer."),
}


class _Commands(click.Group):
    """A group whose commands are loaded at their first use; plugins may add more."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, ours first."""
        return [*_COMMANDS, *sorted({*self.commands, *_plugin_commands(ctx)} - _COMMANDS.keys())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by its name; imports its module."""
        if cmd_name in _COMMANDS:
            module = importlib.import_module(f"repocore.cli.{_COMMANDS[cmd_name][0]}")
            return module.COMMANDS[cmd_name]
        return self.commands.get(cmd_name) or _plugin_commands(ctx).get(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that a line begins with; an unknown one is told what it looks like."""
        close = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1)
        if close and self.get_command(ctx, args[0]) is None:
            ctx.fail(f"No such command '{args[0]}'. Did you mean '{close[0]}'?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in the help; ours are described without their modules."""
        rows = [(name, line) for name, (_, line) in _COMMANDS.items()]
        added = sorted(_plugin_commands(ctx).items())
        rows += [(n, c.get_short_help_str(70)) for n, c in added if n not in _COMMANDS]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Remember the line, before it is taken apart."""
        ctx.meta[_ARGUMENTS] = list(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run; what went wrong becomes one line, or JSON, and a status."""
        try:
            return super().invoke(ctx)
        except (RepocoreError, OSError) as error:
            if isinstance(error, BrokenPipeError):
                raise  # click knows what to do
            report_error(ctx.find_object(State) or State(), error)
            ctx.exit(1)
        except click.UsageError as error:
            # The options of a line that is wrong may not have been taken yet.
            if "--json" not in _line(ctx):
                raise
            report_error(State(as_json=True), error)
            ctx.exit(error.exit_code)


def _line(ctx: click.Context) -> list[str]:
    return ctx.meta[_ARGUMENTS]


def _plugin_commands(ctx: click.Context) -> dict[str, click.Command]:
    """What plugins add; none where the settings cannot be read, so that help always works."""
    state = ctx.find_object(State) or State()
    state.take(ctx.params)
    if _ADDED not in ctx.meta:
        ctx.meta[_ADDED] = _ask_plugins(state) if _any_plugins(state) else {}
    return ctx.meta[_ADDED]


def _ask_plugins(state: State) -> dict[str, click.Command]:
    group = click.Group("plugins")
    try:
        state.manager().hook.repocore_commands(group=group)
    except RepocoreError:
        return {}
    return dict(group.commands)


def _any_plugins(state: State) -> bool:
    """Whether somebody could have brought one: a cheap look, as loading them takes a second."""
    if state.config or os.environ.get("REPOCORE_CONFIG") or entry_points(group=PROJECT):
        return True
    if any(name.startswith("REPOCORE__PLUGINS__") for name in os.environ):
        return True
    # Knows where the settings would be; a tenth of a second.
    from repocore.config import locate_settings  # noqa: PLC0415

    return locate_settings(data=state.data, environ=os.environ) is not None


def _version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        version = repocore.__version__
        as_json = "--json" in _line(ctx)
        click.echo(json.dumps({"version": version}) if as_json else f"repocore, version {version}")
        ctx.exit()


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version and exit.",
)
@click.option(
    "--data",
    is_eager=True,  # so that --help knows whose plugins are meant
    type=click.Path(file_okay=False, path_type=Path),
    help="The data folder (REPOCORE_DATA; ./repocore-data otherwise).",
)
@click.option(
    "--config",
    is_eager=True,
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
