"""What every command shares: its options, an opened registry, tables, JSON, progress, errors."""

from __future__ import annotations

import enum
import errno
import functools
import getpass
import json
import os
import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import attrs
import click

from repocore.cli import hookspecs
from repocore.errors import ConfigurationError

if TYPE_CHECKING:  # what is heavy is loaded by the command that runs, not by --help
    import pluggy

    from repocore.config import Settings
    from repocore.registry import Registry, Session

__all__ = [
    "State",
    "command",
    "command_group",
    "pass_state",
    "plain",
    "printable",
    "progress",
    "report_error",
    "show",
    "table",
]


_OWNER: Final = ". Run this as the account that owns it, or let this account write there."
#: What to do next where the system refuses; the other messages of the system say it themselves.
_ADVICE: Final[Mapping[int | None, str]] = {
    errno.EACCES: _OWNER,
    errno.EPERM: _OWNER,
    errno.EROFS: ". Choose a folder on a disk that can be written.",
    errno.ENOSPC: ". Make room on the disk, and run it again.",
}


@attrs.define
class State:
    """The options that every command takes."""

    data: Path | None = None
    config: Path | None = None
    as_json: bool = False
    #: Settings of another program, of which ours override keys.
    beneath: Callable[[], Mapping[str, Any]] | None = None

    def take(self, options: Mapping[str, Any]) -> None:
        """Take what was given; what was not keeps its value."""
        self.data = options.get("data") or self.data
        self.config = options.get("config") or self.config
        self.as_json = bool(options.get("as_json")) or self.as_json

    def settings(self) -> Settings:
        """The settings; raises `ConfigurationError`."""
        # cattrs and the model take a third of the time that a help page may take.
        from repocore.config import load_settings  # noqa: PLC0415

        beneath = None if self.beneath is None else self.beneath()
        return load_settings(
            data=self.data, config=self.config, environ=os.environ, beneath=beneath
        )

    def made(self) -> bool:
        """Whether there is an installation, as far as one can tell without opening it."""
        return _is_made(self.settings())

    def manager(self) -> pluggy.PluginManager:
        """The plugins, with the command line's own hook."""
        # The registry's imports, SQLAlchemy among them: a second.
        from repocore.plugin_manager import make_manager  # noqa: PLC0415

        return make_manager(self.settings(), hookspecs=(hookspecs,))

    @contextmanager
    def registry(self, *, make: bool = False) -> Generator[Registry]:
        """The opened registry.

        Raises `ConfigurationError` where there is none, unless it is to be made: nobody's typing
        error may look like an empty installation.
        """
        # As above.
        from repocore.plugin_manager import open_registry  # noqa: PLC0415

        settings = self.settings()
        if not _is_made(settings):
            if not make:
                message = f"There is no installation in {settings.data}; `repocore init` makes one."
                raise ConfigurationError(message)
            click.echo(f"A new installation is made in {settings.data}.", err=True)
        with open_registry(settings=settings, hookspecs=(hookspecs,)) as registry:
            yield registry

    @contextmanager
    def session(self, *, make: bool = False) -> Generator[Session]:
        """A session of whoever may read the data folder: its administrator."""
        with self.registry(make=make) as registry:
            yield registry.session(registry.admin(), source=f"cli:{_user()}")


def _user() -> str:
    """Who runs the command, for the records of what they change."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user of a container that has no name
        return str(os.getuid())


def _is_made(settings: Settings) -> bool:
    prefix = "sqlite:///"
    if not settings.catalog.startswith(prefix):
        return True  # a server that tells by itself
    return (settings.data / settings.catalog.removeprefix(prefix)).exists()


pass_state = click.make_pass_decorator(State, ensure=True)


def command(
    name: str | None = None, **options: Any
) -> Callable[[Callable[..., Any]], click.Command]:
    """A click command that also takes ``--data``, ``--config`` and ``--json`` behind its name."""

    def decorate(function: Callable[..., Any]) -> click.Command:
        @functools.wraps(function)
        def run(*args: Any, **given: Any) -> Any:
            state = click.get_current_context().ensure_object(State)
            state.take({key: given.pop(key) for key in ("data", "config", "as_json")})
            return function(state, *args, **given)

        made = click.command(name, **options)(run)
        made.params += _shared_options()
        return made

    return decorate


def command_group(function: Callable[[], None]) -> click.Group:
    """A click group that takes the options of `command` behind its name too."""

    @functools.wraps(function)
    def take(**given: Any) -> None:
        click.get_current_context().ensure_object(State).take(given)

    made = click.group()(take)
    made.params += _shared_options()
    return made


def _shared_options() -> list[click.Option]:
    return [
        click.Option(["--data"], type=click.Path(file_okay=False, path_type=Path), hidden=True),
        click.Option(["--config"], type=click.Path(dir_okay=False, path_type=Path), hidden=True),
        click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON document."),
    ]


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    kind = cast("Any", type(value))
    if attrs.has(kind):
        names = [field.name for field in attrs.fields(kind) if field.name != "key"]
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, date):
        return value.isoformat()
    return _plain_many(value)


def _plain_many(value: Any) -> Any:
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return {str(key): plain(item) for key, item in items}
    if isinstance(value, frozenset | set):
        return sorted(plain(item) for item in cast("Iterable[Any]", value))
    if isinstance(value, list | tuple):
        return [plain(item) for item in cast("Iterable[Any]", value)]
    return value if isinstance(value, str | int | float | None) else str(value)


def show(state: State, value: Any, text: str | Callable[[], None]) -> None:
    """Print the value as JSON, or the text for people."""
    if state.as_json:
        click.echo(json.dumps(plain(value), indent=2, ensure_ascii=False))
    elif callable(text):
        text()
    else:
        click.echo(text)


def table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> Callable[[], None]:
    """A table for people, printed when called."""

    def draw() -> None:
        # rich costs a tenth of a second, which only a table is worth.
        from rich.console import Console  # noqa: PLC0415
        from rich.table import Column, Table  # noqa: PLC0415

        # What is too wide for a terminal goes on below: people copy ids from here.
        columns = [Column(heading, overflow="fold") for heading in headings]
        made = Table(*columns, box=None, pad_edge=False)
        for row in rows:
            made.add_row(*("" if cell is None else printable(cell) for cell in row))
        # A pipe gets whole lines: its reader can cut them better than we.
        console = Console(width=None if Console().is_terminal else 1000, markup=False)
        console.print(made)

    return draw


def printable(value: object) -> str:
    """The value in one line, without what moves a terminal: others have named these things."""
    text = str(value)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def report_error(state: State, error: Exception) -> None:
    """What happened and what to do next, on stderr; with ``--json`` also its kind."""
    if state.as_json:
        value = {"error": _sentence(error), "kind": type(error).__name__}
        click.echo(json.dumps(value, ensure_ascii=False), err=True)
    else:
        click.echo(f"repocore: {_sentence(error)}", err=True)


def _sentence(error: Exception) -> str:
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, OSError):
        place = f": {error.filename}" if error.filename else ""
        return f"{error.strerror or error}{place}{_ADVICE.get(error.errno, '')}"
    return str(error)


class _Shown:
    """A progress as a bar on a terminal."""

    def __init__(self, bar: Any) -> None:
        self._bar = bar
        self._task = bar.add_task("")

    def start(self, total: int | None, message: str) -> None:
        self._bar.update(self._task, description=message, total=total, completed=0)

    def advance(self, steps: int = 1) -> None:
        self._bar.advance(self._task, steps)

    def log(self, text: str) -> None:
        self._bar.console.print(text, markup=False)

    def check(self) -> None:
        """Ctrl-C ends the command by itself."""


@contextmanager
def progress(state: State) -> Generator[_Shown | None]:
    """A bar on stderr where that is a terminal, and nothing elsewhere."""
    if state.as_json or not sys.stderr.isatty():
        yield None
        return
    # For a person who watches.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import (  # noqa: PLC0415
        Progress as Bar,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.completed}"))
    with Bar(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
        yield _Shown(bar)
