"""``replica``: how far it is behind, taking over now, and promotion."""

from __future__ import annotations

from collections.abc import Iterator

import click

from repocore.cli.amounts import size
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
from repocore.registry import ReplicaStatus

__all__ = ["COMMANDS", "promote", "replica", "status", "sync"]


@command_group
def replica() -> None:
    """Follow another installation: how far, now, and no more."""


@command()
def status(state: State) -> None:
    """Show how far this replica is behind its primary; exits 1 where it is.

    Asks the primary; where that does not answer, the numbers are those of the last look.
    """
    with state.session() as session:
        found = session.replica.status()
    value = plain(found) | {"ok": found.ok}
    if found.of is None:
        text = "This registry follows nobody."
        if found.promoted_at is not None:
            text = f"This registry was promoted at {found.promoted_at:%Y-%m-%d %H:%M:%S} UTC."
        show(state, value, text)
        return

    def draw() -> None:
        for line in _lines(found):
            click.echo(printable(line))
        if found.lags:
            rows = [
                (one.repository, one.partition, one.serial, one.primary_serial)
                for one in found.lags
            ]
            table(("REPOSITORY", "PARTITION", "HERE", "THERE"), rows)()

    show(state, value, draw)
    if not found.ok:
        click.get_current_context().exit(1)


def _lines(found: ReplicaStatus) -> list[str]:
    even = "never" if found.synced_at is None else f"{found.synced_at:%Y-%m-%d %H:%M:%S} UTC"
    lines = [
        f"follows     {found.of}",
        *_behind(found),
        f"changes     {found.records}",
        f"partitions  {found.partitions}, {found.serials} serials",
        f"even at     {even}",
    ]
    if found.missing:
        lines.append(f"missing     {found.missing} contents that the primary has lost, too")
    if not found.whole:
        lines.append("not whole   the first copy is not through yet")
    if found.error:
        lines.append(f"error       {found.error}")
    return lines


def _behind(found: ReplicaStatus) -> Iterator[str]:
    """The same moment, from here or as the primary has told; "even at" says that there is none."""
    behind = f"{found.behind.total_seconds():.0f} s"
    if found.synced_at is not None:
        yield f"behind      {behind}" if found.reached else f"last even   {behind} ago"


@command()
@click.option(
    "--full", is_flag=True, help="Compare everything, and drop what only the replica has."
)
def sync(state: State, *, full: bool) -> None:
    """Take over now what has changed at the primary, as the server does by itself."""
    with state.session() as session, progress(state) as bar:
        report = session.replica.sync(full=full, progress=bar)
    text = (
        f"Took over {report.releases} releases in {report.partitions} partitions; fetched "
        f"{report.fetched} contents, {size(report.fetched_bytes)}."
    )
    if report.missing:
        text += f" {report.missing} contents are missing, at the primary as well."
    show(state, report, text)


@command()
@click.option(
    "--force", is_flag=True, help="Also while it is behind: what is not here yet is lost."
)
def promote(state: State, *, force: bool) -> None:
    """Follow the primary no more, and take changes.

    Refused while the replica is behind, or while the primary does not answer; see that nobody
    changes anything there any more.
    """
    with state.session() as session:
        found = session.replica.promote(force=force)
    lost = ""
    if not found.reached:
        lost = (
            "\nThe primary did not answer: what it took within the last "
            f"{found.behind.total_seconds():.0f} s may be lost."
        )
    elif not found.ok:
        lost = (
            f"\nLost are {found.records} changes in {found.partitions} partitions, the first of "
            f"them {found.behind.total_seconds():.0f} s old."
        )
    text = f"Promoted: it follows {found.of} no more. Take `replica` out of the settings.{lost}"
    show(state, plain(found), text)


for _command in (status, sync, promote):
    replica.add_command(_command)

COMMANDS = {"replica": replica}
