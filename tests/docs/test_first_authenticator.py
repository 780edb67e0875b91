"""The tutorial that builds an authenticator: each file and each command as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from live_server import environment, free_port

pytest.importorskip("hatchling", reason="the tutorial builds a package, and the network is shut")
pytest.importorskip("conan", reason="the tutorial signs in with a Conan client")

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorials" / "first-authenticator.md"
BLOCK = re.compile(
    r"(?:`(?P<file>[\w./-]+)`[^\n`]*:\n\n)?```(?P<kind>\w+)\n(?P<text>.*?)```", re.DOTALL
)
#: What the environment of this test is already.
SET_UP = "python3 -m venv .venv\n. .venv/bin/activate\npip install"


@attrs.frozen
class Step:
    """A file to write, commands to type, or words to expect of the commands before them."""

    kind: str
    text: str
    file: str | None


def steps(port: int) -> list[Step]:
    text = TUTORIAL.read_text(encoding="utf-8").replace("9300", str(port))
    return [Step(one["kind"], one["text"], one["file"]) for one in BLOCK.finditer(text)]


@attrs.define
class Terminal:
    """A folder, variables, one running server, and what the last commands said."""

    folder: Path
    port: int
    variables: dict[str, str]
    server: subprocess.Popen[bytes] | None = None
    said: str = ""

    def take(self, step: Step) -> None:
        if step.file is not None:
            (self.folder / step.file).write_text(step.text, encoding="utf-8")
        elif step.kind == "text":
            for line in step.text.splitlines():
                assert line in self.said
        elif step.text.startswith("repocore serve"):
            self.serve(step.text)
        elif not step.text.startswith(SET_UP):
            self.said = self.run(step.text)

    def run(self, commands: str) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=self.folder,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}"
        return done.stdout

    def serve(self, command: str) -> None:
        self.stop()
        with (self.folder / "log").open("wb") as log:
            self.server = subprocess.Popen(
                command.split(), cwd=self.folder, env=self.variables, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 60
        while not self.healthy():
            assert self.server.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=5) as said:
                return said.status == 200
        except OSError:
            return False

    def stop(self) -> None:
        if self.server is not None:
            self.server.terminate()
            try:
                self.server.wait(20)
            except subprocess.TimeoutExpired:
                self.server.kill()
                self.server.wait()
            self.server = None


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    installed = tmp_path / "installed"
    variables = environment(
        PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        # Packages go where nothing else finds them, and are built with what is here.
        PIP_TARGET=str(installed),
        PIP_NO_INDEX="1",
        PIP_NO_DEPS="1",
        PIP_NO_BUILD_ISOLATION="0",
        PIP_DISABLE_PIP_VERSION_CHECK="1",
        PYTHONPATH=str(installed),
        CONAN_HOME=str(tmp_path / "conan"),
    )
    opened = Terminal(tmp_path, free_port(), variables)
    try:
        yield opened
    finally:
        opened.stop()


def test_the_tutorial_works_as_it_stands(terminal: Terminal) -> None:
    """Whoever types it sees what it says, from the empty folder to the installed package."""
    taken = steps(terminal.port)
    assert [step.kind for step in taken].count("sh") > 8
    assert {step.file for step in taken} >= {"house/badges.py", "repocore-badges/pyproject.toml"}
    for step in taken:
        terminal.take(step)
