"""``backup``, ``restore`` and ``repair``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import attrs
import click

from repocore.cli.amounts import minute, size
from repocore.cli.first import first_start
from repocore.cli.output import State, command, plain, printable, progress, show, table
from repocore.cli.watching import watched
from repocore.errors import RejectedError

if TYPE_CHECKING:  # SQLAlchemy takes half a second, which --help must not
    from repocore.registry import Backup, Replica

__all__ = ["COMMANDS", "backup", "repair", "restore"]

#: The variable that a token is read from where no other is named.
_TOKEN: Final = "REPOCORE_TOKEN"  # noqa: S105 - the name of a variable
#: Seconds in which a server must say something.
_PATIENCE: Final = 60.0

_FOLDER = click.Path(file_okay=False, path_type=Path)


@command()
@click.argument("folder", type=_FOLDER)
@click.option("--keep", type=click.IntRange(1), help="Then delete all but the newest so many.")
@click.option("--list", "listing", is_flag=True, help="Show the backups of FOLDER; make none.")
@click.option("--verify", is_flag=True, help="Read the backups of FOLDER whole; make none.")
def backup(state: State, folder: Path, keep: int | None, *, listing: bool, verify: bool) -> None:
    """Add a backup of catalog and contents to FOLDER, while the server runs.

    What is in FOLDER already is not copied again. It holds hashes of tokens and keys that sign:
    keep it to yourself. Exits 1 where something was lost already, or a backup is broken.
    """
    if (listing and verify) or (keep and (listing or verify)):
        raise click.UsageError("Give one of --list, --verify and --keep.")
    if listing:
        _list(state, folder)
    elif verify:
        _verify(state, folder)
    else:
        _back_up(state, folder, keep)


def _back_up(state: State, folder: Path, keep: int | None) -> None:
    with state.session() as session, watched(state) as bar:
        report = session.upkeep.backup(folder, keep=keep, progress=bar)
    made = report.backup
    copied = f"{report.copied} objects copied, {size(report.copied_bytes)}"
    held = f"{made.files} files, {made.objects} objects, {size(made.bytes)}"
    lines = [f"Backup {made.name}: {held}; {copied}."]
    if report.deleted:
        lines.append(f"Deleted {len(report.deleted)} older backups.")
    if made.absent:
        lines.append(
            f"{len(made.absent)} objects are lost or damaged here and not in the backup; see "
            "`repocore check`. No older backup was deleted."
        )
    value = {
        **_described(made),
        "copied": report.copied,
        "copied_bytes": report.copied_bytes,
        "deleted": report.deleted,
        "ok": report.ok,
    }
    show(state, value, "\n".join(lines))
    if not report.ok:
        click.get_current_context().exit(1)


def _described(one: Backup) -> dict[str, Any]:
    """A backup as JSON has it."""
    fields = plain(one)
    at = None if not one.whole else one.at.isoformat()
    kept = ("name", "whole", "schema", "files", "objects", "bytes", "absent")
    return {**{name: fields[name] for name in kept}, "taken_at": at}


def _list(state: State, folder: Path) -> None:
    # The registry's imports: a second, which --help must not take.
    from repocore.registry import BackupFolder  # noqa: PLC0415

    found = BackupFolder.at(folder).list()
    rows = [_row(one) for one in found]
    headings = ("BACKUP", "OF (UTC)", "FILES", "OBJECTS", "SIZE", "STATE")
    show(state, [_described(one) for one in found], table(headings, rows))


def _row(one: Backup) -> tuple[Any, ...]:
    if not one.whole:
        return (one.name, "-", "-", "-", "-", "broken")
    lacks = f"lacks {len(one.absent)} objects" if one.absent else "whole"
    return (one.name, minute(one.at), one.files, one.objects, size(one.bytes), lacks)


def _verify(state: State, folder: Path) -> None:
    # As above.
    from repocore.registry import BackupFolder, verify_backup  # noqa: PLC0415

    opened = BackupFolder.at(folder)
    problems: list[str] = []
    found = opened.list()
    with watched(state) as bar:
        for one in found:
            if one.whole:
                problems += verify_backup(opened, one, bar)
            else:
                problems.append(f"The backup {one.name} is broken, and nothing is restored of it.")
    problems = list(dict.fromkeys(problems))
    if not found:
        problems.append("There is no backup in that folder.")
    last = f"{len(found)} backups: {'NOT OK' if problems else 'ok'}"
    value = {"backups": len(found), "problems": problems, "ok": not problems}
    show(state, value, "\n".join([*map(printable, problems), last]))
    if problems:
        click.get_current_context().exit(1)


@command()
@click.argument("folder", type=_FOLDER)
@click.option("--backup", "name", help="Which one, of `backup --list`; the newest otherwise.")
def restore(state: State, folder: Path, name: str | None) -> None:
    """Bring back a backup of FOLDER into an installation that is empty, and check it.

    The database may be another one than that of the backup. Every object is read and hashed
    twice: on its way, and where it lies. Exits 1 where something is missing.
    """
    # As above.
    from repocore.plugin_manager import open_registry  # noqa: PLC0415

    # So that nothing is made of the settings before the backup is there.
    settings = attrs.evolve(state.settings(), read_only=True)
    with first_start(settings, os.environ) as start:
        with open_registry(settings=settings) as registry, watched(state) as bar:
            upkeep = registry.session(registry.admin()).upkeep
            report = upkeep.restore(folder, name=name, progress=bar)
            checked = upkeep.check(read_data=True, progress=bar)
        start.shown()  # a server that starts now makes nothing
    brought = f"{checked.files} files, {report.objects} objects, {size(report.bytes)}"
    lines = [
        f"Restored {report.backup.name}: {brought}.",
        *map(printable, checked.problems),
        "The check found nothing wrong." if checked.ok else "NOT OK",
    ]
    value = {
        "backup": _described(report.backup),
        "objects": report.objects,
        "bytes": report.bytes,
        "problems": checked.problems,
        "ok": checked.ok,
    }
    show(state, value, "\n".join(lines))
    if not checked.ok:
        click.get_current_context().exit(1)


@command()
@click.option("--from", "urls", multiple=True, metavar="URL", help="Another server; may repeat.")
@click.option(
    "--from-backup", "folders", multiple=True, type=_FOLDER, help="A folder of backups; may repeat."
)
@click.option("--token-env", help=f"The variable with a token for it; {_TOKEN} otherwise.")
@click.option("--proxy", help="http://[user:password@]host:port on the way to the servers.")
@click.option(
    "--ca-bundle",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Certificates in the place of the system's.",
)
def repair(
    state: State,
    urls: Sequence[str],
    folders: Sequence[Path],
    **connecting: Any,
) -> None:
    """Bring back what is lost or damaged, from backups and from servers that have the same files.

    A server is another repocore, or any that serves an export: a file is looked for below URL, at
    its repository and path. What comes is believed for its digest alone. Exits 1 where something
    remains.
    """
    with state.session() as session, progress(state) as bar:
        replicas = [_replica(url, **connecting) for url in urls]
        report = session.upkeep.repair(backups=folders, replicas=replicas, progress=bar)
    remade = f", {report.remade} documents are made anew" if report.remade else ""
    lines = [
        *(printable(f"repaired {one}") for one in report.repaired),
        *map(printable, (*report.remaining, *report.notes)),
        f"{len(report.repaired)} objects repaired{remade}, {len(report.remaining)} remain.",
    ]
    if report.remaining and not (urls or folders):
        lines.append("Name where they may still be: --from-backup FOLDER, --from URL.")
    show(state, plain(report) | {"ok": report.ok}, "\n".join(lines))
    if not report.ok:
        click.get_current_context().exit(1)


def _replica(
    url: str, *, token_env: str | None, proxy: str | None, ca_bundle: Path | None
) -> Replica:
    # As above.
    from repocore.registry import Replica, UpstreamClient  # noqa: PLC0415

    token = os.environ.get(token_env or _TOKEN)
    if token_env and not token:
        message = f"The variable {token_env} has no token."
        raise RejectedError(message)
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    if host is None:
        message = f"{url} is no URL; write https://packages.example."
        raise RejectedError(message)
    # Whoever names a server here may reach it, wherever it is.
    client = UpstreamClient(proxy=proxy, ca_bundle=ca_bundle, timeout=_PATIENCE, allow=(host,))
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return Replica(url=url, client=client, headers=headers)


COMMANDS = {"backup": backup, "restore": restore, "repair": repair}
