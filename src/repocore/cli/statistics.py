"""``stats``."""

from __future__ import annotations

from typing import Any, Final

import click

from repocore.cli.amounts import day, size
from repocore.cli.output import State, command, show, table
from repocore.registry import Usage

__all__ = ["COMMANDS", "stats"]

_HEADINGS: Final = (
    "REPOSITORY",
    "RECIPES",
    "PACKAGES",
    "REVISIONS",
    "FILES",
    "SIZE",
    "STORED",
    "DOWNLOADS",
    "LAST USED",
)


def _line(usage: Usage) -> tuple[Any, ...]:
    return (
        usage.repository or "together",
        usage.recipes,
        usage.packages,
        usage.releases,
        usage.files,
        size(usage.bytes),
        size(usage.stored),
        usage.downloads,
        day(usage.last_used),
    )


@command()
@click.argument("address", required=False)
def stats(state: State, address: str | None) -> None:
    """Count what is in the repository ADDRESS, or in all, and how much it is used.

    STORED counts equal content once; DOWNLOADS include those of what was deleted.
    """
    with state.session() as session:
        report = session.statistics.usage(address)
    lines = [_line(one) for one in report.repositories]
    if len(lines) > 1:
        lines.append(_line(report.total))
    show(state, report, table(_HEADINGS, lines))


COMMANDS = {"stats": stats}
