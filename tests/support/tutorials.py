"""Tutorials, typed as they stand: the files and commands of a page, and a terminal to take them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import attrs
from live_server import environment, free_port

TUTORIALS = Path(__file__).parents[2] / "docs" / "tutorials"
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


def steps(page: Path, port: int) -> list[Step]:
    """What a tutorial has one do, one after the other, on a port of its own."""
    text = page.read_text(encoding="utf-8").replace("9300", str(port))
    return [Step(one["kind"], one["text"], one["file"]) for one in BLOCK.finditer(text)]


@attrs.define
class Terminal:
    """A folder, variables, one running server, and what the last commands said."""

    folder: Path
    port: int
    variables: dict[str, str]
    server: subprocess.Popen[bytes] | None = None
    said: str = ""

    @classmethod
    @contextmanager
    def opened(cls, folder: Path, **variables: str) -> Generator[Self]:
        """In an empty folder, with the programs of this environment; ends its server."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        terminal = cls(folder, free_port(), environment(PATH=path, **variables))
        try:
            yield terminal
        finally:
            terminal.stop()

    def take(self, step: Step) -> None:
        """Do as the tutorial says; raises AssertionError where it goes another way."""
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
