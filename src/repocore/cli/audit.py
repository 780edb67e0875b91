"""``audit``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import click

from repocore.cli.output import State, command, command_group, plain, show, table
from repocore.errors import RejectedError
from repocore.model import AuditQuery, AuditRecord

if TYPE_CHECKING:  # SQLAlchemy takes half a second, which --help must not
    from collections.abc import Callable

__all__ = ["COMMANDS", "audit", "export_records", "list_records", "verify"]

_FILTERS: Final = (
    click.option("--who", help="Whose changes."),
    click.option("--kind", help="release.added, account.changed, repository.changed, …"),
    click.option("--what", help="What was changed, or the beginning of it: conda/main."),
    click.option("--since", help="From this time on, as 2026-01-31T12:00:00Z."),
    click.option("--until", help="Before this time."),
)


def _filtered(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_FILTERS):
        function = option(function)
    return function


@command_group
def audit() -> None:
    """Look at who changed what, and whether the records are whole."""


def _query(given: dict[str, Any]) -> AuditQuery:
    since, until = _time(given.pop("since")), _time(given.pop("until"))
    return AuditQuery(since=since, until=until, **given)


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        message = f"{text!r} is no time; write 2026-01-31T12:00:00Z."
        raise RejectedError(message) from error


@command("list")
@_filtered
@click.option("--before", type=int, help="Older than the record of this number.")
@click.option("--limit", type=int, default=50, show_default=True, help="How many at most.")
def list_records(state: State, before: int | None, limit: int, **given: Any) -> None:
    """List changes, the newest first."""
    query = _query(given)
    with state.session() as session:
        found = session.audit.list(query, before=before, limit=limit)
    rows = [
        (one.id, f"{one.at:%Y-%m-%d %H:%M:%S}", _whose(one), one.kind, one.what, _change(one))
        for one in found
    ]
    show(state, found, table(("ID", "AT (UTC)", "WHO", "KIND", "WHAT", ""), rows))


def _whose(one: AuditRecord) -> str:
    return " ".join(part for part in (one.origin.who, one.origin.source) if part)


def _change(one: AuditRecord) -> str:
    return str(one.details.get("change", ""))


@command("export")
@_filtered
def export_records(state: State, **given: Any) -> None:
    """Write every change as a line of JSON, the oldest first."""
    query = _query(given)
    with state.session() as session:
        for one in session.audit.export(query):
            click.echo(json.dumps(plain(attrs.asdict(one)), ensure_ascii=False))


@command("verify")
@click.option(
    "--root", "roots", multiple=True, help="A seal that was noted, as NUMBER:HEX; may repeat."
)
@click.option("--roots", "file", type=click.Path(path_type=Path), help="A file of such lines.")
def verify(state: State, roots: Sequence[str], file: Path | None) -> None:
    """Compare the records with their seals; exits with 1 where they do not fit.

    The last line is the newest seal.  Keep it elsewhere: with it, this finds out who has written
    records and seals anew.
    """
    lines = [*roots, *(file.read_text().split() if file else ())]
    noted = [_noted(line) for line in lines]
    with state.session() as session:
        session.audit.seal()
        report = session.audit.verify(noted)
    head = f"{report.records} records in {report.seals} seals, {report.open} not sealed yet."
    last = [] if report.last is None else [f"{report.last.last}:{report.last.root}"]
    show(state, report, "\n".join([*report.problems, head, *last]))
    if not report.ok:
        raise click.exceptions.Exit(1)


def _noted(line: str) -> tuple[int, str]:
    number, colon, root = line.partition(":")
    if not (colon and number.isascii() and number.isdecimal()):
        message = f"{line!r} is no seal; write what `repocore audit verify` printed last."
        raise RejectedError(message)
    return int(number), root


for _command in (list_records, export_records, verify):
    audit.add_command(_command)

COMMANDS = {"audit": audit}
