"""The real Conan 2 client, each in a home of its own: it never asks, and never leaves loopback."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import attrs

ARCHITECTURES = {"aarch64": "armv8", "arm64": "armv8"}
SETTLED = """\
core:non_interactive=True
core.net.http:clean_system_proxy=True
core.upload:retry_wait=0
core.download:retry_wait=0
tools.build:jobs=2
"""


class ClientFailedError(AssertionError):
    """A command of the client that should have succeeded did not."""


@attrs.frozen(kw_only=True)
class Answer:
    """What a command of the client left behind."""

    command: tuple[str, ...]
    status: int
    output: str
    messages: str

    def __str__(self) -> str:
        return f"$ {' '.join(self.command)}\n{self.messages}{self.output}(status {self.status})"


@attrs.frozen(kw_only=True)
class Package:
    """A package revision, by the four names that the client has for it."""

    reference: str
    recipe_revision: str
    package_id: str
    package_revision: str

    @property
    def recipe(self) -> str:
        return f"{self.reference}#{self.recipe_revision}"

    @property
    def binary(self) -> str:
        return f"{self.recipe}:{self.package_id}"

    def __str__(self) -> str:
        return f"{self.binary}#{self.package_revision}"


@attrs.frozen
class Conan:
    """A client with a home of its own; `run` raises when the command fails, `refused` when not."""

    executable: Path
    home: Path

    def __attrs_post_init__(self) -> None:
        (self.home / "profiles").mkdir(parents=True)
        (self.home / "profiles" / "default").write_text(profile(), encoding="utf-8")
        self.configure(SETTLED)

    def configure(self, lines: str) -> None:
        """Add lines to global.conf."""
        with (self.home / "global.conf").open("a", encoding="utf-8") as stream:
            stream.write(lines.rstrip() + "\n")

    def start(
        self, *arguments: str | Path, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start a command and go on; `finish` waits for it."""
        kept = {name: value for name, value in os.environ.items() if not private(name)}
        return subprocess.Popen(
            [str(self.executable), *map(str, arguments)],
            env={**kept, "CONAN_HOME": str(self.home), **(environment or {})},
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def attempt(
        self, *arguments: str | Path, environment: Mapping[str, str] | None = None
    ) -> Answer:
        """Run a command that may fail."""
        return finish(self.start(*arguments, environment=environment))

    def run(self, *arguments: str | Path, environment: Mapping[str, str] | None = None) -> Answer:
        answer = self.attempt(*arguments, environment=environment)
        if answer.status:
            raise ClientFailedError(str(answer))
        return answer

    def refused(self, *arguments: str | Path, environment: Mapping[str, str] | None = None) -> str:
        """Run a command that must fail; what it said."""
        answer = self.attempt(*arguments, environment=environment)
        if not answer.status:
            raise ClientFailedError(f"{answer}\n... should have failed")
        return answer.messages + answer.output

    def json(self, *arguments: str | Path, environment: Mapping[str, str] | None = None) -> Any:
        return json.loads(self.run(*arguments, "--format=json", environment=environment).output)

    def saved(self, *arguments: str) -> Path:
        """The JSON that a command prints, in a file (older clients have no --out-file)."""
        file = self.home / "saved.json"
        file.write_text(self.run(*arguments, "--format=json").output, encoding="utf-8")
        return file

    def create(self, folder: Path, *arguments: str) -> Package:
        """Create a package in the cache from a recipe's folder."""
        nodes = self.json("create", folder, *arguments)["graph"]["nodes"]
        made = next(node for node in nodes.values() if node["binary"] == "Build")
        reference, _, revision = made["ref"].partition("#")
        return Package(
            reference=reference,
            recipe_revision=revision,
            package_id=made["package_id"],
            package_revision=made["prev"],
        )

    def listed(self, pattern: str, *arguments: str) -> dict[str, Any]:
        """What `conan list` finds in the remote: {reference: ...}; empty when nothing matches."""
        found = self.json("list", pattern, "-r=house", *arguments)["house"]
        return {} if "error" in found else found

    def searched(self, pattern: str) -> set[str]:
        """The references that `conan search` finds in the remote."""
        found = self.json("search", pattern, "-r=house")["house"]
        return set() if "error" in found else set(found)

    def recipe_revisions(self, reference: str) -> dict[str, float]:
        """The remote's recipe revisions with their times, oldest first."""
        found = self.listed(f"{reference}#*").get(reference, {"revisions": {}})["revisions"]
        times = {name: entry["timestamp"] for name, entry in found.items()}
        return dict(sorted(times.items(), key=lambda item: item[1]))

    def packages(self, recipe: str) -> dict[str, dict[str, Any]]:
        """The remote's packages of one `name/version#revision`, by package id, with revisions."""
        reference, _, revision = recipe.partition("#")
        found = self.listed(f"{recipe}:*#*")
        if not found:
            return {}
        return found[reference]["revisions"][revision].get("packages", {})

    @cached_property
    def version(self) -> tuple[int, ...]:
        said = self.run("--version").output
        return tuple(int(number) for number in re.findall(r"\d+", said)[:3])


def finish(process: subprocess.Popen[str], seconds: float = 180) -> Answer:
    """Wait for a started command."""
    try:
        output, messages = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        output, messages = process.communicate()
    return Answer(
        command=tuple(map(str, cast("list[str]", process.args))),
        status=process.returncode,
        output=output,
        messages=messages,
    )


def private(name: str) -> bool:
    """Whether a variable of this process would change what the client does."""
    return name.startswith("CONAN_") or name.lower().endswith("_proxy")


def profile() -> str:
    """The settings of this machine's g++, as a profile that does not vary."""
    said = subprocess.run(["g++", "-dumpversion"], check=True, capture_output=True, text=True)
    machine = platform.machine()
    return f"""\
[settings]
arch={ARCHITECTURES.get(machine, machine)}
build_type=Release
compiler=gcc
compiler.cppstd=17
compiler.libcxx=libstdc++11
compiler.version={said.stdout.split(".")[0].strip()}
os=Linux
"""


def through(address: str) -> str:
    """Lines of global.conf that send a client to a proxy for all but loopback."""
    return (
        f'core.net.http:proxies={{"http": "{address}"}}\n'
        'core.net.http:no_proxy_match=["http://127.0.0.1*"]\n'
    )


def clients() -> list[str]:
    """Which clients run: REPOCORE_CONAN_CLIENTS, `newest` and paths, separated by colons."""
    return os.environ.get("REPOCORE_CONAN_CLIENTS", "newest").split(os.pathsep)


def executable(name: str) -> Path | None:
    """The program of a client's name; None when this environment has none.

    Raises FileNotFoundError when a path was given and nothing is there.
    """
    if name != "newest":
        return Path(name).resolve(strict=True)
    beside = Path(sys.executable).with_name("conan")
    found = str(beside) if beside.exists() else shutil.which("conan")
    return Path(found) if found else None
