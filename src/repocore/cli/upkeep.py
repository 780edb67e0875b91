"""``init``, ``check``, ``gc``, ``config`` and ``plugins``."""

from __future__ import annotations

import os
import tomllib
from datetime import timedelta

import click

from repocore.cli.doubts import tell
from repocore.cli.first import first_start
from repocore.cli.moving import convert
from repocore.cli.output import (
    State,
    command,
    command_group,
    plain,
    printable,
    progress,
    show,
    table,
)
from repocore.cli.trial import try_with_application
from repocore.config import dump_settings, locate_data, locate_settings
from repocore.plugin_manager import open_registry
from repocore.registry import plan_migration, settings_doubts, stored_doubts

__all__ = [
    "COMMANDS",
    "check",
    "check_config",
    "config",
    "config_path",
    "gc",
    "init",
    "plugins",
    "show_config",
]

_FOLLOWS = "It is a replica; a server takes over what its primary has, or `repocore replica sync`."
#: The word of an option that was given without one.
_EVERYTHING = "everything"


@command()
def init(state: State) -> None:
    """Make the data folder, the starting repository and the administrator; idempotent."""
    settings = state.settings()
    with first_start(settings, os.environ) as start:
        with open_registry(settings=settings) as registry:
            start.prepare(registry, everyone_reads=None)
            there = _FOLLOWS if registry.following else "It is there already."
        lines = start.lines() or [there]
        show(state, {"data": settings.data, **start.described()}, "\n".join(lines))
        start.shown()


@command()
@click.option(
    "--read-data",
    is_flag=False,
    flag_value=_EVERYTHING,
    metavar="[SHARE]",
    help="Also read and hash every stored object; a share, as in 5%, goes on where the last ended.",
)
def check(state: State, *, read_data: str | None) -> None:
    """Compare rows, objects and sizes; exits 1 when something is wrong.

    What is damaged is served no more, until it is uploaded again or `repocore repair` finds it.
    """
    share = read_data == _EVERYTHING or read_data or False
    with state.session() as session, progress(state) as bar:
        report = session.upkeep.check(read_data=share, progress=bar)
    lines = [printable(problem) for problem in report.problems]
    lines.append(
        f"{report.files} files, {report.blobs} objects, {report.bytes} bytes, "
        f"{report.unreferenced} to collect, {report.read} read: {'ok' if report.ok else 'NOT OK'}"
    )
    value = plain(report) | {"ok": report.ok}
    show(state, value, "\n".join(lines))
    if not report.ok:
        click.get_current_context().exit(1)


@command()
@click.option("--now", is_flag=True, help="Without the grace period: nobody uploads at the moment.")
def gc(state: State, *, now: bool) -> None:
    """Delete what nothing names, and uploads that were never finished."""
    with state.session() as session, progress(state) as bar:
        report = session.upkeep.collect(grace=timedelta(0) if now else None, progress=bar)
    text = (
        f"Deleted {report.blobs} objects ({report.bytes} bytes), {report.drafts} unfinished "
        f"releases, {report.leftovers} leftovers."
    )
    if report.held:
        text += " Somebody makes a backup; the rest is for the next time."
    show(state, report, text)


@command_group
def config() -> None:
    """Show the settings, and the file that they are read from."""


@command("show")
def show_config(state: State) -> None:
    """Show every setting as it is in force, as TOML without its secrets."""
    text = dump_settings(state.settings())
    show(state, tomllib.loads(text), text.rstrip())


@command("path")
def config_path(state: State) -> None:
    """Show the data folder, and the settings file that is read."""
    data = locate_data(state.data, os.environ)
    file = locate_settings(data=state.data, config=state.config, environ=os.environ)
    shown = file or f"(none; {data / 'repocore.toml'} would be read)"
    show(state, {"data": data, "config": file}, f"data    {data}\nconfig  {shown}")


@command("check")
def check_config(state: State) -> None:
    """Try the settings on an empty installation, which is gone afterwards; yours stays as it is.

    Names that are not there are warnings: they may come, or another authenticator knows them.
    """
    settings = state.settings()
    formats = try_with_application(settings)
    ask = stored_doubts if state.made() else settings_doubts
    if state.made():
        plan_migration(settings)  # raises where the catalog does not answer, or is too new
    doubts = ask(settings, formats)
    tell(doubts)
    show(state, {"ok": True, "warnings": doubts}, "The settings are good.")


config.add_command(show_config)
config.add_command(check_config)
config.add_command(config_path)
config.add_command(convert)


@command()
def plugins(state: State) -> None:
    """List the plugins, the hooks that each answers, and those that are disabled."""
    manager = state.manager()
    found = [
        {
            "name": name,
            "hooks": sorted(call.name for call in manager.get_hookcallers(plugin) or ()),
        }
        for name, plugin in manager.list_name_plugin()
        if plugin is not None
    ]
    disabled = list(state.settings().plugins.disabled)
    rows = [(one["name"], " ".join(one["hooks"])) for one in found]
    rows += [(name, "(disabled)") for name in disabled]
    show(state, {"plugins": found, "disabled": disabled}, table(("PLUGIN", "HOOKS"), rows))


COMMANDS = {"init": init, "check": check, "gc": gc, "config": config, "plugins": plugins}
