"""Conda channels: ``import channel``, ``conda upload`` and ``conda patch``."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from repocore.cli.moving import import_, session_or_none
from repocore.cli.output import State, command, command_group, printable, show
from repocore.cli.repositories import unread
from repocore.cli.watching import watched
from repocore.errors import ConfigurationError, RejectedError
from repocore.model import split_address
from repocore.registry import Session

if TYPE_CHECKING:  # what needs an extra is loaded by the command that runs
    from repocore.plugins.conda.importing import ChannelReport
    from repocore.plugins.conda.patches import Change
    from repocore.plugins.conda.uploading import Outcome

__all__ = [
    "COMMANDS",
    "channel_address",
    "conda",
    "extra",
    "import_channel_",
    "patch",
    "upload",
]

_MISSING = "Conda channels need more packages: pip install 'repocore[conda]'."
#: The variable that a token is read from where no other is named.
_TOKEN = "REPOCORE_TOKEN"  # noqa: S105 - the name of a variable


@contextmanager
def extra() -> Generator[None]:
    """Loads what needs zstandard and msgpack, which other commands do without."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigurationError(_MISSING) from error


def channel_address(name: str) -> str:
    """``conda/NAME``, whichever of the two was written; raises `RejectedError`."""
    if "://" in name:
        message = (
            f"{name} is a channel over HTTP; name one of this installation, conda/NAME. "
            "Whoever may write to that one can PUT the file to its path in the channel."
        )
        raise RejectedError(message)
    address = name if "/" in name else f"conda/{name}"
    if split_address(address)[0] != "conda":
        message = f"{name} is no channel; write its name, or conda/NAME."
        raise RejectedError(message)
    return address


@command("channel")
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("channel", required=False)
@click.option("--reindex", is_flag=True, help="Open every package; believe no index.")
@click.option("--dry-run", is_flag=True, help="Change nothing; say what would be done.")
@click.option("--workers", type=click.IntRange(1), help="Packages that are read at a time.")
def import_channel_(
    state: State,
    folder: Path,
    channel: str | None,
    *,
    reindex: bool,
    dry_run: bool,
    workers: int | None,
) -> None:
    """Import the static channel in FOLDER, as conda-index or quetz leaves it, into CHANNEL.

    CHANNEL is called like the folder otherwise, and is made. Records come from the index, and a
    file that is not the one in the index is left out. Nothing in the folder is changed; what is
    there already is passed over, so run it again whenever it was cut off, or something has come.
    """
    with extra():
        from repocore.plugins.conda.channel_tree import ChannelTree  # noqa: PLC0415
        from repocore.plugins.conda.importing import import_channel  # noqa: PLC0415
    tree = ChannelTree.at(folder.expanduser().absolute())
    address = channel_address(channel or tree.folder.name)
    with session_or_none(state, dry_run=dry_run) as session:
        made = session is not None and not dry_run and _make(session, address)
        with watched(state) as bar:
            report = import_channel(
                session,
                tree,
                address,
                reindex=reindex,
                dry_run=dry_run,
                workers=workers,
                processes=workers or os.cpu_count() or 1,
                progress=bar,
            )
        if session is not None and made:
            _settle(session, address, empty=not report.packages)
    value = {"channel": address, **attrs.asdict(report), "dry_run": dry_run}
    show(state, value, "\n".join(_lines(report, address, dry_run=dry_run)))
    if report.skipped:
        click.get_current_context().exit(1)


def _make(session: Session, address: str) -> bool:
    """Make the channel, if it is not there; says whether it was not."""
    if any(repository.address == address for repository in session.repositories.list()):
        return False
    session.repositories.create(address)
    return True


def _settle(session: Session, address: str, *, empty: bool) -> None:
    """Nothing is left of a channel that nothing came into; of another, say if nobody reads it."""
    if empty:
        session.repositories.delete(address)
    elif hint := unread(session, address):
        click.echo(hint, err=True)


def _lines(report: ChannelReport, address: str, *, dry_run: bool) -> list[str]:
    verb = "Would import" if dry_run else "Imported"
    taken = (
        f"{verb} {report.packages} packages into {address}: {report.bytes} bytes, "
        f"{report.opened} of them opened."
    )
    rest = (
        f"{report.known} were there already, {report.skipped} are left out; "
        f"{report.patches} subdirs have patches."
    )
    lines = [taken, rest]
    lines += [f"  {printable(finding)}" for finding in report.findings]
    more = report.skipped - len(report.findings)
    return [*lines, f"  … and {more} more"] if more else lines


# ------------------------------------------------------------------------------------------ upload


@command_group
def conda() -> None:
    """Upload packages to a channel, and patch what it says of them."""


@command()
@click.argument("files", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--channel",
    required=True,
    help="The URL of a channel on a server, or the name of one in the data folder.",
)
@click.option("--token", help="An API token; --token-env keeps it out of the list of processes.")
@click.option("--token-env", metavar="NAME", help=f"The variable that has it [{_TOKEN}].")
@click.option("--force", is_flag=True, help="Replace what is published, where that is allowed.")
@click.option("--parallel", type=click.IntRange(1, 64), default=4, show_default=True)
def upload(  # noqa: PLR0913 - its options
    state: State,
    files: Sequence[Path],
    *,
    channel: str,
    token: str | None,
    token_env: str | None,
    force: bool,
    parallel: int,
) -> None:
    """Upload the packages FILES to a channel; what is there already is not sent again.

    Interrupted, it goes on when it is repeated. The exit status is 1 if one of them failed.
    """
    with extra():
        from repocore.plugins.conda.remote_channel import RemoteChannel  # noqa: PLC0415
        from repocore.plugins.conda.uploading import store_files, upload_files  # noqa: PLC0415
    if "://" in channel:
        remote = RemoteChannel(channel, token or _token(token_env))
        _report(
            state,
            files,
            lambda say: upload_files(remote, files, force=force, parallel=parallel, say=say),
        )
        return
    with state.session() as session:
        address = channel_address(channel)
        session.repositories.get(address)
        outcomes = store_files(session, address, files, force=force, workers=parallel)
        _report(state, files, lambda _: outcomes)


def _token(variable: str | None) -> str | None:
    found = os.environ.get(variable or _TOKEN)
    if variable is not None and not found:
        message = f"There is no variable {variable} with a token in it."
        raise click.UsageError(message)
    return found


def _report(
    state: State,
    files: Sequence[Path],
    run: Callable[[Callable[[str], object]], Iterator[Outcome]],
) -> None:
    """Show what becomes of files; ``run`` sends them, and tells how far large ones are."""
    counts = {"uploaded": 0, "known": 0, "failed": 0, "bytes": 0}
    failed: list[dict[str, str]] = []
    with watched(state) as bar:
        bar.start(len(files), "Uploading packages")
        for outcome in run(lambda text: bar.log(printable(text))):
            bar.advance()
            counts[outcome.sent.value] += 1
            counts["bytes"] += outcome.size if outcome.sent.value == "uploaded" else 0
            if outcome.reason:
                failed.append({"file": outcome.name, "reason": outcome.reason})
                bar.log(f"{printable(outcome.name)}: {printable(outcome.reason)}")
    text = (
        f"{counts['uploaded']} uploaded ({counts['bytes']} bytes), "
        f"{counts['known']} were there already, {counts['failed']} failed."
    )
    show(state, {**counts, "failures": failed}, text)
    if failed:
        click.get_current_context().exit(1)


# ------------------------------------------------------------------------------------------- patch


@command()
@click.argument("channel")
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option("--subdir", help="The subdir of a single file of instructions [its folder's name].")
@click.option("--dry-run", is_flag=True, help="Change nothing; print what would change.")
def patch(state: State, channel: str, source: Path, *, subdir: str | None, dry_run: bool) -> None:
    """Apply repodata patches to CHANNEL.

    SOURCE is a patch_instructions.json, a folder with one in each subdir, or a package that holds
    the same. Records stay as they are; indexes show them with the patches.
    """
    with extra():
        from repocore.plugins.conda import patch_packages  # noqa: PLC0415
    address = channel_address(channel)
    with state.session() as session:
        session.repositories.get(address)
        settings = session.registry.plugin_settings("conda")
        found = patch_packages.read_patches(source, settings, subdir)
        changes = {
            name: patch_packages.patch_changes(session, address, name, io.BytesIO(content))
            for name, content in found.items()
        }
        if not dry_run:
            patch_packages.apply_patches(session, address, found)
    value = [
        {"subdir": name, **change._asdict()} for name, some in changes.items() for change in some
    ]
    show(state, {"changes": value, "dry_run": dry_run}, lambda: _print(changes, dry_run=dry_run))


def _print(changes: dict[str, list[Change]], *, dry_run: bool) -> None:
    for name, some in changes.items():
        for change in some:
            before, after = (_json(one) for one in (change.before, change.after))
            click.echo(printable(f"{name}/{change.name}  {change.field}: {before} -> {after}"))
    count = sum(map(len, changes.values()))
    click.echo(f"{count} fields {'would change' if dry_run else 'changed'}.")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


import_.add_command(import_channel_)
for _command in (upload, patch):
    conda.add_command(_command)

COMMANDS = {"conda": conda, "import": import_}
