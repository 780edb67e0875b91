"""Moving in from a quetz: ``import quetz``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import click

from repocore.cli.channels import COMMANDS as _CHANNELS, extra
from repocore.cli.moving import import_, session_or_none
from repocore.cli.output import State, command, printable, show
from repocore.cli.watching import watched
from repocore.errors import RejectedError
from repocore.ports import Progress
from repocore.registry import Session

if TYPE_CHECKING:  # what needs an extra, or SQL, is loaded by the command that runs
    from repocore.plugins.quetz.moving import MoveReport
    from repocore.plugins.quetz.old_config import OldQuetz
    from repocore.plugins.quetz.old_database import OldDatabase

__all__ = ["COMMANDS", "import_quetz"]


@command("quetz")
@click.argument("deployment", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Change nothing; say what would be done.")
@click.option("--access-only", is_flag=True, help="Take people, channels and keys, no packages.")
def import_quetz(state: State, deployment: Path, *, dry_run: bool, access_only: bool) -> None:
    """Import the quetz in the folder DEPLOYMENT, or of the config.toml that DEPLOYMENT is.

    People, channels, roles, API keys and packages are taken over; keys go on working as they are.
    Nothing of the old deployment is changed, and what is there already is passed over: run it
    again whenever it was cut off, or something has come.
    """
    from repocore.plugins.quetz.moving import MoveReport, move_access  # noqa: PLC0415
    from repocore.plugins.quetz.old_config import read_old_quetz  # noqa: PLC0415
    from repocore.plugins.quetz.old_database import open_old_database  # noqa: PLC0415

    old = read_old_quetz(deployment.expanduser(), os.environ)
    report = MoveReport()
    with (
        open_old_database(old.database_url) as database,
        session_or_none(state, dry_run=dry_run) as opened,
    ):
        session = None if dry_run else opened
        channels = move_access(session, database, report)
        if not access_only:
            with watched(state) as bar:
                for channel in channels:
                    _take_packages(session, database, old, channel.name, report, bar)
    value = {**attrs.asdict(report), "dry_run": dry_run}
    show(state, value, "\n".join(_lines(report, dry_run=dry_run)))
    if report.skipped:
        click.get_current_context().exit(1)


def _take_packages(
    session: Session | None,
    database: OldDatabase,
    old: OldQuetz,
    channel: str,
    report: MoveReport,
    bar: Progress,
) -> None:
    """The packages of a channel: those of its index as they are, then those it does not name."""
    from repocore.plugins.quetz.moving_packages import (  # noqa: PLC0415
        move_downloads,
        move_packages,
    )
    from repocore.plugins.quetz.old_files import open_old_files  # noqa: PLC0415

    known = report.known
    came = 0
    if session is not None and old.objects is None:
        came = _take_index(session, old.channels / channel, channel, report, bar)
    bar.start(None, f"Importing {channel}")
    move_packages(session, database, open_old_files(old), channel, report, bar)
    # What came by the index just now was not there before.
    report.known = max(known, report.known - came)
    if session is not None:
        move_downloads(session, database, channel, report)


def _take_index(
    session: Session, folder: Path, channel: str, report: MoveReport, bar: Progress
) -> int:
    """What the index of a local channel has, if there is one; how many packages came."""
    with extra():
        from repocore.plugins.conda.channel_tree import ChannelTree  # noqa: PLC0415
        from repocore.plugins.conda.importing import import_channel  # noqa: PLC0415
    try:
        tree = ChannelTree.at(folder)
    except RejectedError:
        return 0
    found = import_channel(session, tree, f"conda/{channel}", progress=bar)
    report.packages += found.packages
    report.bytes += found.bytes
    return found.packages


def _lines(report: MoveReport, *, dry_run: bool) -> list[str]:
    verb = "Would import" if dry_run else "Imported"
    lines = [
        f"{verb} {report.users} users with {report.identities} identities.",
        f"{verb} {report.channels} channels, {report.roles} roles, {report.keys} API keys.",
        f"{verb} {report.packages} packages: {report.bytes} bytes.",
        f"{report.known} things were there already, {report.skipped} are left out.",
    ]
    lines += [f"  {printable(finding)}" for finding in report.findings]
    more = report.skipped - len(report.findings)
    return [*lines, f"  … and {more} more"] if more > 0 else lines


import_.add_command(import_quetz)

COMMANDS = {"import": _CHANNELS["import"]}
