"""`repocore serve` as a process of its own: every command that the tests type stands here."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import attrs
from postgres_cluster import databases
from s3_stores import store_at

ADMIN = "high-water"
REPOCORE = (sys.executable, "-m", "repocore")
REPOSITORY = "conan/main"


@attrs.frozen(kw_only=True)
class LiveServer:
    """A running server, and the commands that give it users and rules."""

    data: Path
    port: int
    password: str = ADMIN

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def remote(self) -> str:
        """What a Conan client calls the remote's URL."""
        return f"{self.address}/{REPOSITORY}"

    def add_user(self, name: str, password: str) -> None:
        self.run("user", "add", name, "--password-stdin", typed=f"{password}\n")

    def add_token(self, account: str, *allowed: str) -> str:
        """The secret of a new API token, narrowed to `ACTIONS:PATTERN`s where there are any."""
        words = [word for scope in allowed for word in ("--allow", scope)]
        return json.loads(self.run("token", "create", account, *words, "--json"))["secret"]

    def allow(self, subject: str, actions: str, pattern: str) -> None:
        """Add a rule before all others; the first that matches decides."""
        self.add_rule(subject, actions, pattern)

    def deny(self, subject: str, actions: str, pattern: str) -> None:
        """The same, to deny."""
        self.add_rule(subject, actions, pattern, "--deny")

    def add_rule(self, subject: str, actions: str, pattern: str, *more: str) -> None:
        words = ("--subject", subject, "--actions", actions, "--pattern", pattern, *more)
        self.run("rule", "add", "--position", "0", *words)

    def run(self, *words: str, typed: str = "") -> str:
        """Run `repocore` on the server's data; raises AssertionError with what it said."""
        command = [*REPOCORE, *words, "--data", str(self.data)]
        done = subprocess.run(
            command, input=typed, capture_output=True, text=True, check=False, env=environment()
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
        return done.stdout


def environment(**more: str) -> dict[str, str]:
    """This process's variables without those that would configure a server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("REPOCORE_")}
    return {**kept, **more}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def live_server(
    data: Path, *, port: int | None = None, token_seconds: int | None = None
) -> Generator[LiveServer]:
    """Serve a data folder until the block ends; the log stands beside it.

    Raises AssertionError with the log when the server does not come up.
    """
    with fleet_settings(data):
        yield from _serve(LiveServer(data=data, port=port or free_port()), token_seconds)


@contextmanager
def fleet_settings(data: Path) -> Generator[None]:
    """Where a real object store is named, a server keeps its blobs there, and its catalog in
    PostgreSQL; a test that has written settings of its own keeps to them.
    """
    url, file = os.environ.get("REPOCORE_TEST_S3"), data / "repocore.toml"
    if not url or file.exists():
        yield
        return
    corner = store_at(url, real=True).place()
    with databases(os.environ.get("REPOCORE_TEST_POSTGRES")) as server, server.fresh() as catalog:
        lines = [f"catalog = {json.dumps(catalog)}", f"storage = {json.dumps(corner.url)}"]
        lines += ["", "[plugins.s3]"]
        lines += [f"{name} = {json.dumps(value)}" for name, value in corner.table().items()]
        data.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        yield


def _serve(server: LiveServer, token_seconds: int | None) -> Generator[LiveServer]:
    data = server.data
    words = ["serve", "--host", "127.0.0.1", "--port", str(server.port), "--data", str(data)]
    settings = environment(REPOCORE_ADMIN_PASSWORD=ADMIN)
    if token_seconds is not None:
        settings["REPOCORE__LIMITS__LOGIN_LIFETIME"] = f"{token_seconds}s"
    log = data.with_name(f"{data.name}.log")
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [*REPOCORE, *words],
            env=settings,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        await_health(server, process, log)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def await_health(server: LiveServer, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when /healthz answers 200."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{server.address}/healthz", timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"the server did not come up:\n{log.read_text(errors='replace')}")
