"""``repo`` and ``export``."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import click

from repocore.cli.output import State, command, command_group, progress, show, table
from repocore.config import parse_size
from repocore.model import Action, Policy, Repository, Resource, split_address

if TYPE_CHECKING:  # SQLAlchemy takes half a second, which --help must not
    from repocore.registry import Session

__all__ = [
    "COMMANDS",
    "Count",
    "Option",
    "Size",
    "configure",
    "create",
    "delete",
    "export",
    "list_",
    "repo",
    "show_",
    "unread",
]

_NONE: Final = "none"


def _line(repository: Repository) -> tuple[Any, ...]:
    return (
        repository.address,
        repository.mode.value,
        "private" if repository.private else "",
        repository.description,
    )


@command_group
def repo() -> None:
    """Create, list, show, configure and delete repositories."""


class Size(click.ParamType):  # pyright: ignore[reportMissingTypeArgument] - older ones take none
    """Bytes, or a size that people write; ``none`` takes a limit away."""

    name = "size"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        """Read it; a wrong one is a wrong use of the command."""
        if value == _NONE:
            return _NONE
        try:
            return parse_size(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Count(click.ParamType):  # pyright: ignore[reportMissingTypeArgument] - older ones take none
    """A number; ``none`` takes a limit away."""

    name = "number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        """Read it; a wrong one is a wrong use of the command."""
        return _NONE if value == _NONE else click.IntRange(min=0).convert(value, param, ctx)


class Option(click.ParamType):  # pyright: ignore[reportMissingTypeArgument] - older ones take none
    """``NAME=VALUE``, the value as TOML has it, or ``none``."""

    name = "option"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Any]:
        """Read it; a wrong one is a wrong use of the command."""
        name, equals, text = value.partition("=")
        if equals and text.strip() == _NONE:
            return name.strip(), _NONE
        try:
            [read] = tomllib.loads(value).items()
        except ValueError:
            self.fail(f"{value!r} is not NAME=VALUE with a TOML value: text goes in quotes.")
        return read


def _policy(old: Policy, given: dict[str, Any]) -> Policy:
    wanted = {name: value for name, value in given.items() if value is not None}
    return attrs.evolve(
        old, **{n: None if value == _NONE else value for n, value in wanted.items()}
    )


_OPTIONS = (
    click.option("--description", help="A line about it."),
    click.option("--private/--public", default=None, help="Out of the reach of the site's rules."),
    click.option(
        "--overwrite/--no-overwrite", default=None, help="Whether published files can change."
    ),
    click.option("--max-size", type=Size(), help='The largest file: "2 GiB", or none.'),
    click.option("--quota", type=Size(), help='The size of all its files: "1 TiB", or none.'),
    click.option("--max-files", type=Count(), help="How many files it may have, or none."),
    click.option(
        "--option",
        "options",
        type=Option(),
        multiple=True,
        metavar="NAME=VALUE",
        help="What the format makes of it, as TOML: 'base_url=\"https://cdn.example/forge\"'; "
        "NAME=none takes it away.",
    ),
)


def _options(old: Mapping[str, Any], given: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    wanted = {**old, **dict(given)}
    return {name: value for name, value in wanted.items() if value != _NONE}


def _configurable(function: Any) -> Any:
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@command()
@click.argument("address")
@_configurable
def create(state: State, address: str, **given: Any) -> None:
    """Create the repository ADDRESS, for example conan/main."""
    description, private = given.pop("description"), given.pop("private")
    with state.session(make=True) as session:
        made = session.repositories.create(
            address,
            description=description or "",
            private=bool(private),
            options=_options({}, given.pop("options")),
            policy=_policy(Policy(), given),
        )
        hint = unread(session, made.address)
    show(state, made, f"Created {made.address}.")
    if hint:
        click.echo(hint, err=True)


def unread(session: Session, address: str) -> str:
    """What to do where only those who may do everything may read a repository; else nothing."""
    everything = frozenset({Action.READ, Action.ADMIN})
    for holder in session.permissions.who(Resource(*split_address(address))):
        if Action.READ in holder.actions and not everything <= {*holder.actions}:
            return ""
    return (
        f"Only administrators may read {address}. This lets everyone:\n"
        f"  repocore role bind viewer '*' {address}"
    )


@command("list")
def list_(state: State) -> None:
    """List the repositories."""
    with state.session() as session:
        found = session.repositories.list()
    rows = [_line(repository) for repository in found]
    show(state, found, table(("ADDRESS", "MODE", "", "DESCRIPTION"), rows))


@command("show")
@click.argument("address")
def show_(state: State, address: str) -> None:
    """Show the repository ADDRESS."""
    with state.session() as session:
        found = session.repositories.get(address)
    policy = attrs.asdict(found.policy)
    rows = [
        *zip(
            ("address", "mode", "private", "description"),
            (found.address, found.mode.value, found.private, found.description),
            strict=True,
        ),
        *policy.items(),
        *found.options.items(),
    ]
    show(state, found, table(("", ""), rows))


@command()
@click.argument("address")
@_configurable
def configure(state: State, address: str, **given: Any) -> None:
    """Change what is given of the repository ADDRESS."""
    description, private = given.pop("description"), given.pop("private")
    with state.session() as session:
        old = session.repositories.get(address)
        made = session.repositories.configure(
            address,
            description=description,
            private=private,
            options=_options(old.options, given.pop("options")),
            policy=_policy(old.policy, given),
        )
    show(state, made, f"Configured {made.address}.")


@command()
@click.argument("address")
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(state: State, address: str, *, yes: bool) -> None:
    """Delete the repository ADDRESS with all it holds."""
    with state.session() as session:
        session.repositories.get(address)
        if not yes:
            click.confirm(f"Delete {address} with all it holds?", abort=True, err=True)
        session.repositories.delete(address)
    show(state, {"deleted": address}, f"Deleted {address}.")


@command()
@click.argument("address")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def export(state: State, address: str, folder: Path) -> None:
    """Write the files of ADDRESS as a plain tree into FOLDER, which must be empty."""
    with state.session() as session, progress(state) as bar:
        count = session.upkeep.export(address, folder, progress=bar)
    show(state, {"files": count}, f"Exported {count} files.")


for _command in (create, list_, show_, configure, delete):
    repo.add_command(_command)

COMMANDS = {"repo": repo, "export": export}
