"""``release``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import translate
from itertools import islice
from typing import Any, Final

import click

from repocore.cli.amounts import minute, size
from repocore.cli.output import State, command, command_group, plain, printable, show, table
from repocore.errors import RejectedError, ReleaseMissingError
from repocore.model import Release
from repocore.registry import AT_ONCE, Session

__all__ = [
    "COMMANDS",
    "copy",
    "delete",
    "list_",
    "promote",
    "release",
    "show_",
    "unyank",
    "yank",
]

_GLOB: Final = frozenset("*?[")
#: Names that are told before a change; the rest is counted.
_TOLD: Final = 20

Pair = tuple[str, str]


@command_group
def release() -> None:
    """List, show, yank, delete, copy and promote releases.

    A NAME is that of a partition and of a release in it: linux-64/zlib-1.3-0.conda, or
    zlib/1.3@_/_/REVISION.  With *, ? or [ in it, it means all that look like it; quote it then.
    """


def _pair(release: Release) -> Pair:
    return release.partition, release.name


def _name(pair: Pair) -> str:
    return "/".join(pair)


def _found(
    session: Session, address: str, names: Sequence[str], *, listed: bool = False
) -> Iterator[Release]:
    """The releases that are meant; raises `ReleaseMissingError` for a name that means none.

    With ``listed``, a pattern means none that is yanked.
    """
    for written in names:
        if _GLOB.isdisjoint(written):
            partition, _, name = written.rpartition("/")
            try:
                yield session.releases.get(address, partition, name)
            except ReleaseMissingError as error:
                message = f"There is no {written} in {address}."
                raise ReleaseMissingError(message) from error
    globs = [written for written in names if not _GLOB.isdisjoint(written)]
    if globs or not names:
        yield from _matching(session, address, globs, listed=listed)


def _matching(
    session: Session, address: str, globs: Sequence[str], *, listed: bool
) -> Iterator[Release]:
    """Those that look like one of the patterns; all where there are none."""
    patterns = [re.compile(translate(glob)) for glob in globs]
    used: set[int] = set()
    for one in session.releases.all(address):
        if listed and one.yanked_at:
            continue
        name = _name(_pair(one))
        fitting = {place for place, pattern in enumerate(patterns) if pattern.match(name)}
        used |= fitting
        if fitting or not patterns:
            yield one
    for place, glob in enumerate(globs):
        if place not in used:
            message = f"Nothing in {address} looks like {glob}."
            raise ReleaseMissingError(message)


@command("list")
@click.argument("address")
@click.argument("names", nargs=-1)
@click.option("--yanked", is_flag=True, help="Only those that are yanked.")
def list_(state: State, address: str, names: tuple[str, ...], *, yanked: bool) -> None:
    """List the releases of ADDRESS, all or those that NAMES mean; yanked ones are marked."""
    with state.session() as session:
        found = [one for one in _found(session, address, names) if one.yanked_at or not yanked]
    values = [_value(one) for one in found]
    rows = [
        (_name(_pair(one)), minute(one.released_at), "yanked" if one.yanked_at else "")
        for one in found
    ]
    show(state, values, table(("RELEASE", "PUBLISHED (UTC)", ""), rows))


def _value(release: Release) -> dict[str, Any]:
    value: dict[str, Any] = plain(release)
    return {name: value[name] for name in value if name not in {"record", "removed_at"}}


@command("show")
@click.argument("address")
@click.argument("name")
def show_(state: State, address: str, name: str) -> None:
    """Show a release of ADDRESS and its files."""
    with state.session() as session:
        one, *others = islice(_found(session, address, [name]), 2)
        if others:
            message = f"{name} means several; `repocore release list {address}` has their names."
            raise RejectedError(message)
        files = session.releases.files(address, *_pair(one))
    value = {**_value(one), "files": files}
    rows = [
        ("package", one.package),
        ("version", one.version),
        ("published", minute(one.released_at)),
        ("yanked", minute(one.yanked_at) if one.yanked_at else "no"),
        *((str(file.path), f"{size(file.size)}, sha256 {file.digest}") for file in files),
    ]
    show(state, value, table((_name(_pair(one)), ""), rows))


def _changing(function: Callable[..., Any]) -> Callable[..., Any]:
    """The words of everything that changes releases."""
    for option in (
        click.option("--yes", is_flag=True, help="Do not ask."),
        click.option("--dry-run", is_flag=True, help="Only tell what is meant."),
        click.argument("names", nargs=-1, required=True),
        click.argument("address"),
    ):
        function = option(function)
    return function


def _change(
    state: State,
    given: dict[str, Any],
    ask: str,
    done: str,
    work: Callable[[Session, Sequence[Pair]], object],
    *,
    listed: bool = False,
) -> None:
    """Tell what is meant, ask, and do it, `AT_ONCE` in a transaction.

    ``ask`` and ``done`` have a place for what it is done to; patterns mean none that is yanked
    where only what is ``listed`` is meant.
    """
    address = given["address"]
    with state.session() as session:
        found = _found(session, address, given["names"], listed=listed)
        pairs = list(dict.fromkeys(_pair(one) for one in found))
        counted = f"{len(pairs)} release{'' if len(pairs) == 1 else 's'} of {address}"
        if given["dry_run"]:
            names = [_name(pair) for pair in pairs]
            text = "\n".join([*map(printable, names), f"{counted}; nothing was changed."])
            show(state, {"dry_run": True, "releases": names}, text)
            return
        if not given["yes"]:
            _tell(pairs)
            click.confirm(f"{ask.format(counted)}?", abort=True, err=True)
        for some in _batches(pairs):
            work(session, some)
    names = [_name(pair) for pair in pairs]
    show(state, {"dry_run": False, "releases": names}, f"{done.format(counted)}.")


def _batches(pairs: Iterable[Pair]) -> Iterator[list[Pair]]:
    left = iter(pairs)
    while some := list(islice(left, AT_ONCE)):
        yield some


def _tell(pairs: Sequence[Pair]) -> None:
    for pair in pairs[:_TOLD]:
        click.echo(f"  {printable(_name(pair))}", err=True)
    if len(pairs) > _TOLD:
        click.echo(f"  and {len(pairs) - _TOLD} more; --dry-run tells all", err=True)


@command()
@_changing
def yank(state: State, **given: Any) -> None:
    """Take releases of ADDRESS out of every list and index; who knows a name still gets it."""
    address = given["address"]
    _change(
        state, given, "Yank {}", "Yanked {}", lambda s, some: s.releases.yank_all(address, some)
    )


@command()
@_changing
def unyank(state: State, **given: Any) -> None:
    """Put yanked releases of ADDRESS back into the lists."""
    address = given["address"]

    def work(session: Session, some: Sequence[Pair]) -> None:
        session.releases.yank_all(address, some, False)

    _change(state, given, "Put back {}", "Put back {}", work)


@command()
@_changing
def delete(state: State, **given: Any) -> None:
    """Delete releases of ADDRESS with their files."""
    address = given["address"]
    _change(
        state,
        given,
        "Delete {}",
        "Deleted {}",
        lambda s, some: s.releases.delete_named(address, some),
    )


def _copying(function: Callable[..., Any]) -> Callable[..., Any]:
    target = click.option(
        "--to", "target", required=True, metavar="ADDRESS", help="The repository to have them, too."
    )
    return _changing(target(function))


@command()
@_copying
def copy(state: State, target: str, **given: Any) -> None:
    """Have releases of ADDRESS in another repository of the format, too; no bytes are moved."""
    _copy(state, given, target, "Copy", "Copied", promote=False)


@command()
@_copying
def promote(state: State, target: str, **given: Any) -> None:
    """Copy releases of ADDRESS, where the right to promote is asked for and not that to write."""
    _copy(state, given, target, "Promote", "Promoted", promote=True)


def _copy(
    state: State, given: dict[str, Any], target: str, ask: str, done: str, *, promote: bool
) -> None:
    address = given["address"]
    place = target.replace("{", "{{").replace("}", "}}")

    def work(session: Session, some: Sequence[Pair]) -> None:
        session.releases.copy(address, some, target, promote=promote)

    asked, told = f"{ask} {{}} to {place}", f"{done} {{}} to {place}"
    _change(state, given, asked, told, work, listed=True)


for _command in (list_, show_, yank, unyank, delete, copy, promote):
    release.add_command(_command)

COMMANDS = {"release": release}
