"""What every command shares: its options, an opened registry, tables, JSON, progress, errors."""

from __future__ import annotations

import datetime
import enum
import functools
import json
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import click
import pluggy
from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from repocore.cli import hookspecs
from repocore.config import Settings, load_settings
from repocore.errors import RepocoreError
from repocore.plugin_manager import make_manager, open_registry
from repocore.registry import Registry, Session

__all__ = ["State", "command", "pass_state", "plain", "progress", "report_error", "show"]


@attrs.define
class State:
    """The options that every command takes."""

    data: Path | None = None
    config: Path | None = None
    as_json: bool = False

    def take(self, options: Mapping[str, Any]) -> None:
        """Take what was given; what was not keeps its value."""
        self.data = options.get("data") or self.data
        self.config = options.get("config") or self.config
        self.as_json = bool(options.get("as_json")) or self.as_json

    def settings(self) -> Settings:
        """The settings; raises `ConfigurationError`."""
        return load_settings(data=self.data, config=self.config, environ=os.environ)

    def manager(self) -> pluggy.PluginManager:
        """The plugins, with the command line's own hook."""
        manager = make_manager(self.settings(), hookspecs=(hookspecs,))
        return manager

    @contextmanager
    def registry(self) -> Generator[Registry]:
        """The opened registry."""
        with open_registry(settings=self.settings(), hookspecs=(hookspecs,)) as registry:
            yield registry

    @contextmanager
    def session(self) -> Generator[Session]:
        """A session of whoever may read the data folder: its administrator."""
        with self.registry() as registry:
            yield registry.session(registry.admin())


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
        made.params += [
            click.Option(["--data"], type=click.Path(file_okay=False, path_type=Path), hidden=True),
            click.Option(
                ["--config"], type=click.Path(dir_okay=False, path_type=Path), hidden=True
            ),
            click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON document."),
        ]
        return made

    return decorate


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    match value:
        case _ if attrs.has(type(value)):
            fields = attrs.asdict(value, recurse=False)
            return {name: plain(item) for name, item in fields.items() if name != "key"}
        case enum.Enum():
            return value.value
        case datetime.timedelta():
            return value.total_seconds()
        case datetime.datetime() | datetime.date():
            return value.isoformat()
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        case frozenset() | set():
            return sorted(map(plain, value))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        case list() | tuple():
            return [plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
        case str() | int() | float() | bool() | None:
            return value
        case _:
            return str(value)


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
        made = Table(*headings, box=None, pad_edge=False)
        for row in rows:
            made.add_row(*("" if cell is None else str(cell) for cell in row))
        # A pipe gets whole lines: its reader can cut them better than we.
        console = Console(width=None if Console().is_terminal else 1000, markup=False)
        console.print(made)

    return draw


def report_error(state: State, error: RepocoreError) -> None:
    """One sentence on stderr, and with ``--json`` its kind."""
    if state.as_json:
        kind = type(error).__name__
        click.echo(json.dumps({"error": str(error), "kind": kind}), err=True)
    else:
        click.echo(f"repocore: {error}", err=True)


class _Shown:
    """A progress as a bar on a terminal."""

    def __init__(self, bar: Bar) -> None:
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
    console = Console(stderr=True)
    if not console.is_terminal or state.as_json:
        yield None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.completed}"))
    with Bar(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
        yield _Shown(bar)
