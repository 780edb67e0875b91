"""What long work shows: a bar on a terminal, and a line now and then where there is none."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import click

from repocore.cli.output import State, progress
from repocore.ports import Progress

__all__ = ["watched"]

#: Seconds between two lines.
_EVERY: Final = 10.0


class _Told:
    """A progress in lines: in a server's log, for example."""

    def __init__(self) -> None:
        self._count = 0
        self._next = time.monotonic() + _EVERY

    def start(self, total: int | None, message: str) -> None:
        click.echo(f"{message} …", err=True)

    def advance(self, steps: int = 1) -> None:
        self._count += steps
        if time.monotonic() >= self._next:
            click.echo(f"  {self._count} so far", err=True)
            self._next = time.monotonic() + _EVERY

    def log(self, text: str) -> None:
        click.echo(text, err=True)

    def check(self) -> None:
        """Ctrl-C ends the command by itself."""


@contextmanager
def watched(state: State) -> Generator[Progress]:
    """Where work that takes minutes reports."""
    with progress(state) as bar:
        yield bar or _Told()
