"""Moving in from a conan_server: ``import``, ``config convert``, the first ``serve`` over one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import attrs
import click

from repocore.cli.first import ADMIN
from repocore.cli.output import State, command, command_group, plain, printable, show
from repocore.cli.watching import watched
from repocore.config import Settings, write_toml
from repocore.errors import ConfigurationError, RejectedError
from repocore.model import split_address
from repocore.plugins.conan.conversion import settings_table
from repocore.plugins.conan.importing import ImportReport, import_access, import_tree
from repocore.plugins.conan.server_conf import FILE_NAME, ServerConf, read_server_conf
from repocore.registry import Registry, Session

__all__ = [
    "OldServer",
    "convert",
    "import_",
    "import_conan_server",
    "session_or_none",
    "unfinished",
]

HOME: Final = "~/.conan_server"
#: Where a first start notes that it has taken everything over.
_MARK: Final = ".conan-server-imported"
_UNFINISHED: Final = "unfinished\n"


@command_group
def import_() -> None:
    """Take over what another server has kept."""


@command("conan-server")
@click.argument("folder", default=HOME, type=click.Path(path_type=Path))
@click.option("--repository", default="conan/main", show_default=True, help="Where to; made.")
@click.option("--dry-run", is_flag=True, help="Change nothing; say what would be done.")
def import_conan_server(state: State, folder: Path, repository: str, *, dry_run: bool) -> None:
    """Import packages, users and permissions of the conan_server at home in FOLDER.

    A folder without a server.conf is taken for its data. Nothing in it is changed, and what is
    there already is passed over: run it again whenever it was cut off, or something has come.
    """
    if split_address(repository)[0] != "conan":
        message = f"{repository} is no Conan repository; write conan/NAME."
        raise RejectedError(message)
    conf, data = _source(folder)
    with session_or_none(state, dry_run=dry_run) as session:
        if session is not None and not dry_run:
            _make(session, repository)
        with watched(state) as bar:
            report = import_tree(session, repository, data, dry_run=dry_run, progress=bar)
        if conf is not None:
            import_access(None if dry_run else session, conf, repository, report)
    notes = [] if conf is None else [*conf.notes, *_plugins_of(conf)]
    if not dry_run:
        notes.append("`repocore serve` makes an administrator at its first start, and serves it.")
    value = {**_counts(report), "findings": report.findings, "notes": notes, "dry_run": dry_run}
    lines = [*_lines(report, dry_run=dry_run), f"{report.users} users, {report.rules} rules."]
    show(state, value, "\n".join([*lines, *map(printable, notes)]))
    if report.unreadable:
        click.get_current_context().exit(1)


def _source(folder: Path) -> tuple[ServerConf | None, Path]:
    folder = folder.expanduser().absolute()
    if not folder.is_dir():
        message = f"There is no folder {folder}; name the home of a conan_server, or its data."
        raise RejectedError(message)
    if (folder / FILE_NAME).exists():
        conf = read_server_conf(folder, os.environ)
        return conf, conf.storage
    if (folder / "data").is_dir() or (folder / "plugins").is_dir():
        message = (
            f"There is no {FILE_NAME} in {folder}; restore it, or name the folder of the data "
            f"alone, for example {folder / 'data'}."
        )
        raise RejectedError(message)
    return None, folder


def session_or_none(state: State, *, dry_run: bool) -> AbstractContextManager[Session | None]:
    """A session; None where nothing is to be changed and there is no installation."""
    if dry_run and not state.made():
        return nullcontext()
    return state.session(make=not dry_run)


def _make(session: Session, address: str) -> None:
    if all(repository.address != address for repository in session.repositories.list()):
        session.repositories.create(address)


def _plugins_of(conf: ServerConf) -> Iterator[str]:
    for kind, path in (("authenticator", conf.authenticator), ("authorizer", conf.authorizer)):
        if path is not None:
            yield f'To go on using {path.name}, write {kind} = "{path}" below [plugins.conan].'


def _counts(report: ImportReport) -> dict[str, Any]:
    names = [field.name for field in attrs.fields(ImportReport) if field.type == "int"]
    return {name: getattr(report, name) for name in names}


def _lines(report: ImportReport, *, dry_run: bool) -> list[str]:
    verb = "Would import" if dry_run else "Imported"
    taken = (
        f"{verb} {report.revisions} recipe revisions of {report.references} references, "
        f"{report.package_revisions} package revisions: {report.files} files, "
        f"{report.bytes} bytes."
    )
    rest = (
        f"{report.known} revisions were there already, {report.repaired} things were repaired, "
        f"{report.skipped} left out."
    )
    lines = [taken, rest]
    lines += [f"  {printable(finding)}" for finding in report.findings]
    more = report.repaired + report.skipped - len(report.findings)
    return [*lines, f"  … and {more} more"] if more else lines


# --------------------------------------------------------------------------------- config convert


@command("convert")
@click.argument("folder", default=HOME, type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file, made for its owner alone; it must not be there yet.",
)
def convert(state: State, folder: Path, output: Path | None) -> None:
    """Write the server.conf in FOLDER as settings of repocore.

    Passwords become hashes; secrets that sign are written as they are, so keep the file to
    yourself.
    """
    conf = read_server_conf(folder, os.environ)
    table = settings_table(conf, hashed=True)
    where = f"--host 0.0.0.0 --port {conf.port}"
    text = f"# What server.conf said. The old server listened at: {where}\n\n{write_toml(table)}"
    if output is not None:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        text = f"Wrote {output}. To listen where the old server did:\n  repocore serve {where}"
    for note in conf.notes:
        click.echo(printable(note), err=True)
    show(state, plain(table), text.rstrip())


# ---------------------------------------------------------------------------------- serve over one


@attrs.frozen
class OldServer:
    """The home of a conan_server that ``serve`` takes over: its server.conf stays in force."""

    home: Path
    #: Its server.conf, as it was when we started.
    conf: ServerConf

    @classmethod
    def at(cls, folder: str) -> OldServer:
        """The one in a folder; raises `ConfigurationError`."""
        home = Path(folder).expanduser().absolute()
        return cls(home, read_server_conf(home, os.environ))

    @property
    def data(self) -> Path:
        """Where ours is kept."""
        return self.home / "repocore"

    @property
    def administrator(self) -> str:
        """A name for ours that nobody of the old server has."""
        taken = self.conf.authenticator is not None or ADMIN in self.conf.users
        return f"repocore-{ADMIN}" if taken else ADMIN

    def beneath(self) -> Mapping[str, Any]:
        """Its settings as the file has them now, of which ours override keys."""
        return settings_table(read_server_conf(self.home, os.environ), hashed=False)

    def take_over(self, state: State, registry: Registry, settings: Settings) -> list[str]:
        """Import its data, the first time; returns what is to be said of that.

        Cut off, it goes on at the next start; once done, the old tree is not looked at again.
        """
        mark = settings.data / _MARK
        if mark.exists() and not unfinished(settings.data):
            return []
        mark.write_text(_UNFINISHED, encoding="utf-8")
        session = registry.session(registry.admin())
        with watched(state) as bar:
            report = import_tree(session, "conan/main", self.conf.storage, progress=bar)
        if report.unreadable:
            for line in _lines(report, dry_run=False):
                click.echo(line, err=True)
            message = "Some of the old data cannot be read: let this account read it, start again."
            raise ConfigurationError(message)
        counts = {"at": datetime.now(UTC).isoformat(), **_counts(report)}
        mark.write_text(json.dumps(counts) + "\n", encoding="utf-8")
        stays = f"Users and permissions stay in {FILE_NAME}."
        return [*_lines(report, dry_run=False), stays, *map(printable, self.conf.notes)]


def unfinished(data: Path) -> bool:
    """Whether a first start over a conan_server has not taken everything yet."""
    try:
        return (data / _MARK).read_text("utf-8") == _UNFINISHED
    except FileNotFoundError:
        return False


import_.add_command(import_conan_server)
