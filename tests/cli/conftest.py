"""The program, run in this process on a data folder of its own, and as a server."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import attrs
import pytest
from cli_support import finished, launch, read_document
from click.testing import CliRunner, Result

from repocore.cli.group import root


@attrs.frozen
class Program:
    """`repocore --data FOLDER …`, as often as one likes."""

    data: Path

    def __call__(self, *words: str, typed: str | None = None, status: int = 0) -> Result:
        """Run it; the exit status must be this one."""
        done = CliRunner().invoke(root, [*words, "--data", str(self.data)], input=typed)
        assert done.exit_code == status, (done.output, done.exception)
        return done

    def json(self, *words: str, typed: str | None = None) -> Any:
        """Run it with --json; all of stdout is one document."""
        return json.loads(self(*words, "--json", typed=typed).stdout)

    def refused(self, *words: str, status: int = 1) -> dict[str, str]:
        """Run it with --json where it must fail; the error as it is told to programs."""
        return json.loads(self(*words, "--json", status=status).stderr)


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("REPOCORE_"):
            monkeypatch.delenv(name)


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path / "data")


@pytest.fixture
def house(program: Program) -> Program:
    """The same, where `init` has been."""
    program("init")
    return program


@attrs.frozen
class Served:
    """A server that listens, and what it said."""

    process: subprocess.Popen[str]
    said: dict[str, Any]

    @property
    def port(self) -> int:
        return int(self.said["addresses"][0].rpartition(":")[2])

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(60)


Serve = Callable[..., Served]


@pytest.fixture
def serve(program: Program) -> Generator[Serve]:
    """Start servers on free ports; all are ended when the test is over."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str, **environ: str) -> Served:
        process = launch(program.data, *words, **environ)
        started.append(process)
        return Served(process, read_document(process))

    yield start
    for process in started:
        with finished(process):
            process.terminate()
