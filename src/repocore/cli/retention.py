"""``retention``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any, Final

import attrs
import click

from repocore.cli.amounts import day, size
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
from repocore.config import RetentionSettings, parse_duration, parse_size
from repocore.config.values import write_duration, write_size
from repocore.errors import ConfigurationError
from repocore.model import release_key
from repocore.registry import Outdated, Session

__all__ = ["COMMANDS", "Bytes", "Duration", "list_", "retention", "run"]

_COLUMNS: Final = "{:>10}  {:>6}  {:<10}  {:<10}  {}"


@command_group
def retention() -> None:
    """Delete what no policy keeps: old revisions and versions that nobody uses."""


class Duration(click.ParamType):  # pyright: ignore[reportMissingTypeArgument] - older ones take none
    """A length of time as people write it."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """Read it; a wrong one is a wrong use of the command."""
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Bytes(click.ParamType):  # pyright: ignore[reportMissingTypeArgument] - older ones take none
    """A size as people write it."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read it; a wrong one is a wrong use of the command."""
        try:
            return parse_size(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@command("list")
def list_(state: State) -> None:
    """List the policies of the settings, in the order in which they are asked."""
    found = state.settings().retention
    rows = [
        (
            one.pattern,
            1 if one.keep_last is None else one.keep_last,
            _days(one.keep_downloaded),
            _days(one.keep_younger),
            _or_dash(one.keep_count_each),
            _or_dash(one.keep_count),
            "-" if one.keep_size is None else write_size(one.keep_size),
        )
        for one in found
    ]
    headings = ("LAST", "DOWNLOADED", "YOUNGER", "COUNT EACH", "COUNT", "SIZE")
    names = ("PATTERN", *(f"KEEP {name}" for name in headings))
    show(state, found, table(names, rows))


def _or_dash(count: int | None) -> int | str:
    return "-" if count is None else count


def _days(span: timedelta | None) -> str:
    return "-" if span is None else write_duration(span)


@command()
@click.option("--pattern", help="Which packages: format/name/package/version, as in a rule.")
@click.option(
    "--keep-last", type=click.IntRange(min=0), help="So many newest revisions of each, or versions."
)
@click.option("--keep-downloaded", type=Duration(), help='Downloaded in that time: "90d".')
@click.option("--keep-younger", type=Duration(), help='Uploaded in that time: "2w".')
@click.option(
    "--keep-count-each", type=click.IntRange(min=1), help="So many newest releases of a package."
)
@click.option("--keep-count", type=click.IntRange(min=1), help="So many newest releases of all.")
@click.option("--keep-size", type=Bytes(), help='The newest of all with so many bytes: "1 TiB".')
@click.option("--dry-run", is_flag=True, help="Only tell what would go.")
def run(state: State, *, dry_run: bool, **given: Any) -> None:
    """Delete what no policy keeps; those of the settings, or the one that is given.

    The newest revision always stays, or in a channel the newest version, unless --keep-last is 0.
    With a recipe revision go its packages.
    """
    given = {name: value for name, value in given.items() if value is not None}
    policies = [_policy(given)] if given else list(_configured(state))
    with state.session() as session:
        if dry_run:
            _tell(state, session.retention.plan(policies))
        else:
            _apply(state, session, policies)


def _policy(given: dict[str, Any]) -> RetentionSettings:
    if "pattern" not in given:
        message = "Say which packages are meant: --pattern, for example conan/main/**."
        raise click.UsageError(message)
    try:
        return RetentionSettings(**given)
    except ValueError as error:
        raise click.UsageError(_capital(str(error))) from error


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _configured(state: State) -> Iterable[RetentionSettings]:
    found = state.settings().retention
    if not found:
        message = (
            "The settings have no [[retention]]; write one, or give --pattern and what is kept."
        )
        raise ConfigurationError(message)
    return found


def _apply(state: State, session: Session, policies: list[RetentionSettings]) -> None:
    with progress(state) as bar:
        report = session.retention.apply(policies, progress=bar)
    counted = _counted(report.releases, report.files, report.bytes)
    spared = f"; {report.spared} were used meanwhile and stay" if report.spared else ""
    show(state, {"dry_run": False, **plain(report)}, f"Deleted {counted}{spared}.")


def _counted(releases: int, files: int, count: int) -> str:
    return f"{releases} release{'' if releases == 1 else 's'} ({files} files, {size(count)})"


@attrs.define
class _Plan:
    """Lines for a plan, one at a time: there may be more than fit into memory."""

    found: Iterable[Outdated]
    releases: int = 0
    files: int = 0
    bytes: int = 0

    def _one_by_one(self) -> Iterator[Outdated]:
        for one in self.found:
            self.releases += one.releases
            self.files += one.files
            self.bytes += one.bytes
            yield one

    def text(self) -> Iterator[str]:
        """For people."""
        for place, one in enumerate(self._one_by_one()):
            if place == 0:
                yield _COLUMNS.format("SIZE", "FILES", "UPLOADED", "LAST USED", "RELEASE")
            name = release_key(one.partition, one.release)
            yield _COLUMNS.format(
                size(one.bytes),
                one.files,
                day(one.released_at),
                day(one.last_used),
                printable(f"{one.repository} {name}: {one.why}"),
            )
        counted = _counted(self.releases, self.files, self.bytes)
        yield f"{counted} would be deleted; nothing was."

    def document(self) -> Iterator[str]:
        """One JSON document."""
        yield '{\n  "dry_run": true,\n  "outdated": ['
        last = ""
        for one in self._one_by_one():
            if last:
                yield f"    {last},"
            last = json.dumps(plain(one), ensure_ascii=False)
        if last:
            yield f"    {last}"
        numbers = {"releases": self.releases, "files": self.files, "bytes": self.bytes}
        yield f"  ],\n  {json.dumps(numbers)[1:-1]}\n}}"


def _tell(state: State, found: Iterable[Outdated]) -> None:
    plan = _Plan(found)
    for line in plan.document() if state.as_json else plan.text():
        click.echo(line)


for _command in (list_, run):
    retention.add_command(_command)

COMMANDS = {"retention": retention}
