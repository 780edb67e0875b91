"""Programs that are older than this house: environments of their own, and the Conan 1 client."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
from conan_client import Answer, ClientFailedError, finish, private, profile

#: What stands in each environment; the last Conan 1 brings its server with it.
CONAN_1 = "conan==1.66.*"
SERVER_2 = "conan-server==2.33.*"

#: The newest compiler that the last Conan 1 has a number for.
NEWEST_GCC = 14

SETTLED = {
    "CONAN_NON_INTERACTIVE": "1",
    "CONAN_COLOR_DISPLAY": "0",
    "CONAN_RETRY": "0",
    "CONAN_RETRY_WAIT": "0",
    "CONAN_CPU_COUNT": "2",
}


RECIPES = Path(__file__).parents[1] / "clients" / "conan1_recipes"


class NoOldConanError(Exception):
    """An environment could not be made; the message says why."""


def old_python(requirement: str) -> Path:
    """The Python of an environment that holds a requirement; made by the first who asks.

    Environments stay in REPOCORE_TEST_VENVS (a folder of the user's cache otherwise), so that
    the next session finds them.  Raises NoOldConanError when pip cannot make one.
    """
    name = "-".join([*requirement.removesuffix(".*").split("=="), sys.implementation.cache_tag])
    folder = environments() / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            make(folder, requirement)
            (folder / "complete").touch()
    return folder / "bin" / "python"


def wanted(requirement: str) -> Path:
    """The same for a test: skips it where nothing can be installed.

    In CI, and with REPOCORE_TEST_VENVS, not having one is an error.
    """
    try:
        return old_python(requirement)
    except NoOldConanError as problem:
        if os.environ.get("CI") or os.environ.get("REPOCORE_TEST_VENVS"):
            raise
        pytest.skip(str(problem))


def environments() -> Path:
    """Where environments are kept; never in the checkout."""
    if chosen := os.environ.get("REPOCORE_TEST_VENVS"):
        return Path(chosen).resolve()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache, "repocore-tests", "venvs")


def make(folder: Path, requirement: str) -> None:
    """Make an environment anew; raises NoOldConanError with the end of what pip said."""
    shutil.rmtree(folder, ignore_errors=True)
    for command in (
        [sys.executable, "-m", "venv", str(folder)],
        [f"{folder}/bin/python", "-m", "pip", "install", "-q", requirement],
    ):
        done = subprocess.run(
            command, env=kept(), capture_output=True, text=True, check=False, timeout=600
        )
        if done.returncode:
            message = f"cannot install {requirement}:\n{(done.stdout + done.stderr)[-1500:]}"
            raise NoOldConanError(message)


def kept() -> dict[str, str]:
    """This process's variables without those that lead another Python, or a client, astray."""
    astray = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    return {n: v for n, v in os.environ.items() if n not in astray and not n.startswith("CONAN_")}


@attrs.frozen
class Conan1:
    """A Conan 1 client with a home of its own, its remotes by name, and revisions on or off.

    `run` raises when the command fails, `refused` when it does not.
    """

    python: Path
    home: Path
    remotes: Mapping[str, str]
    revisions: bool = False

    def __attrs_post_init__(self) -> None:
        cache = self.home / ".conan"
        (cache / "profiles").mkdir(parents=True)
        (cache / "profiles" / "default").write_text(old_profile(), encoding="utf-8")
        known = [
            {"name": name, "url": url, "verify_ssl": True} for name, url in self.remotes.items()
        ]
        (cache / "remotes.json").write_text(json.dumps({"remotes": known}), encoding="utf-8")

    def start(self, *arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
        """Start a command and go on; `conan_client.finish` waits for it."""
        variables = {name: value for name, value in kept().items() if not private(name)}
        own = {
            "CONAN_USER_HOME": str(self.home),
            "CONAN_REVISIONS_ENABLED": str(int(self.revisions)),
        }
        return subprocess.Popen(
            [str(self.python.with_name("conan")), *map(str, arguments)],
            env={**variables, **SETTLED, **own, **environment},
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def attempt(self, *arguments: str | Path, **environment: str) -> Answer:
        """Run a command that may fail; keywords are variables."""
        return finish(self.start(*arguments, **environment))

    def run(self, *arguments: str | Path, **environment: str) -> str:
        """Run a command; what it said."""
        answer = self.attempt(*arguments, **environment)
        if answer.status:
            raise ClientFailedError(str(answer))
        return answer.messages + answer.output

    def refused(self, *arguments: str | Path, **environment: str) -> str:
        """Run a command that must fail; what it said."""
        answer = self.attempt(*arguments, **environment)
        if not answer.status:
            raise ClientFailedError(f"{answer}\n... should have failed")
        return answer.messages + answer.output

    def json(self, *arguments: str | Path, **environment: str) -> Any:
        """Run a command; the document that it wrote."""
        file = self.home / "answer.json"
        file.unlink(missing_ok=True)
        self.run(*arguments, f"--json={file}", **environment)
        return json.loads(file.read_text(encoding="utf-8"))

    def login(self, user: str, password: str, remote: str = "house") -> str:
        return self.run("user", user, "-p", password, "-r", remote)

    def searched(self, pattern: str = "*", remote: str = "house") -> set[str]:
        """The references that `conan search` finds in a remote."""
        return set(self.run("search", pattern, "-r", remote, "--raw").split())

    def packages(self, reference: str, *arguments: str) -> dict[str, dict[str, Any]]:
        """What a remote lists of the packages of a reference, by package id."""
        found = self.json("search", reference, "-r=house", *arguments)["results"]
        return {
            package["id"]: package for item in found for package in item["items"][0]["packages"]
        }

    def listed_revisions(self, reference: str) -> list[str]:
        """The revisions that a remote lists of a recipe or a package, in the remote's order."""
        return [
            entry["revision"] for entry in self.json("search", reference, "-r=house", "--revisions")
        ]

    def note(self, reference: str, text: str, *arguments: str) -> None:
        """Create a package that holds one text, without a compiler."""
        self.run("create", self.chart(text), reference, *arguments)

    def chart(self, text: str) -> Path:
        """The folder of a recipe with one text in it."""
        folder = self.home / "chart"
        if not folder.exists():
            shutil.copytree(RECIPES / "chart", folder)
        (folder / "text.txt").write_text(text, encoding="utf-8")
        return folder

    def forget(self) -> None:
        """Empty the cache; remotes and logins stay."""
        shutil.rmtree(self.home / ".conan" / "data", ignore_errors=True)

    def cached(self, reference: str) -> Path:
        """Where the cache keeps a reference; it has a user and a channel, or neither."""
        package, _, place = reference.partition("@")
        return self.home / ".conan" / "data" / package / (place or "_/_")

    def texts(self, reference: str) -> dict[str, str]:
        """What the packages of a note in the cache hold, by flavour."""
        folders = self.cached(reference).glob("package/*/text.txt")
        return {
            (file.parent / "flavour.txt").read_text().strip(): file.read_text() for file in folders
        }


def old_profile() -> str:
    """The settings of this machine's g++, as far as the last Conan 1 knows its number."""
    found = re.search(r"^compiler.version=(\d+)$", profile(), re.MULTILINE)
    assert found is not None
    number = min(int(found[1]), NEWEST_GCC)
    return profile().replace(found[0], f"compiler.version={number}")
