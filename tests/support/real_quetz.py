"""The real quetz: an environment with the libraries of its time, a deployment, and its server."""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
from live_server import free_port
from old_conan import environments, kept
from old_servers import Reply

QUETZ = (
    "quetz-server==0.10.4", "fastapi==0.104.1", "starlette==0.27.0", "pydantic==2.5.2",
    "sqlalchemy==2.0.23", "alembic==1.12.1", "typer==0.9.0", "click==8.1.7", "uvicorn==0.24.0",
    "httpx==0.25.2", "python-multipart==0.0.6", "fsspec==2023.10.0", "anyio<4", "authlib<1",
)  # fmt: skip
CLI = ("-c", "from quetz.cli import app; app()")
#: Makes people by its own models: a name, a server role, and a key.
PEOPLE = """\
import json, sys, uuid
from pathlib import Path
from quetz.config import Config
from quetz.database import get_session
from quetz.db_models import ApiKey, Identity, Profile, User
db = get_session(Config(str(Path("config.toml").resolve())).sqlalchemy_database_url)
for name, role, key in json.load(sys.stdin):
    user = User(id=uuid.uuid4().bytes, username=name, role=role)
    user.profile = Profile(name=name.title(), avatar_url="")
    user.identities.append(Identity(provider="github", identity_id="id-" + name, username=name))
    db.add(user)
    db.add(ApiKey(key=key, description="first", user=user, owner=user))
db.commit()
"""


def quetz_python() -> Path:
    """Its interpreter; skips the test where it cannot be installed, and fails in CI."""
    folder = environments() / f"quetz-server-0.10.4-{sys.implementation.cache_tag}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    python = folder / "bin" / "python"
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / "complete").exists():
            return python
        shutil.rmtree(folder, ignore_errors=True)
        for command in (
            [sys.executable, "-m", "venv", str(folder)],
            [str(python), "-m", "pip", "install", "-q", *QUETZ],
        ):
            done = subprocess.run(
                command, env=kept(), capture_output=True, text=True, check=False, timeout=900
            )
            if done.returncode:
                message = f"cannot install quetz:\n{done.stderr[-1500:]}"
                if os.environ.get("CI") or os.environ.get("REPOCORE_TEST_VENVS"):
                    raise AssertionError(message)
                pytest.skip(message)
        (folder / "complete").touch()
    return python


@attrs.frozen(kw_only=True)
class RealQuetz:
    """A deployment, and the port that it is served at."""

    python: Path
    folder: Path
    port: int

    @classmethod
    def create(cls, folder: Path) -> RealQuetz:
        """An empty one, with SQLite and local files."""
        python = quetz_python()
        conf = folder.with_name(f"{folder.name}.toml")
        conf.write_text(
            '[sqlalchemy]\ndatabase_url = "sqlite:///./quetz.sqlite"\n'
            f'[session]\nsecret = "{secrets.token_hex(32)}"\nhttps_only = false\n'
            '[logging]\nlevel = "ERROR"\n'
        )
        made = cls(python=python, folder=folder, port=free_port())
        command = [python, *CLI, "create", str(folder), "--copy-conf", str(conf)]
        made.run(command, cwd=folder.parent, config=conf)
        return made

    def run(
        self, command: list[Any], *, cwd: Path, config: Path | None = None, typed: str = ""
    ) -> None:
        """Run one of its programs; raises AssertionError with what it said."""
        done = subprocess.run(
            command,
            cwd=cwd, env=self.environ(config), input=typed, capture_output=True, text=True,
            check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    def environ(self, config: Path | None = None) -> dict[str, str]:
        # It looks for this one while it is imported.
        return {**kept(), "QUETZ_CONFIG_FILE": str(config or self.folder / "config.toml")}

    def add_people(self, *people: tuple[str, str | None, str]) -> None:
        """Accounts: a name, a server role, an API key."""
        self.run([self.python, "-c", PEOPLE], cwd=self.folder, typed=json.dumps(people))

    @contextmanager
    def served(self) -> Generator[None]:
        """Serve it until the block ends."""
        command = [self.python, *CLI, "start", str(self.folder), "--port", str(self.port)]
        log = self.folder.with_name("quetz.log")
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [*command, "--log-level", "error", "--no-supervisor"],
                cwd=self.folder, env=self.environ(), stdout=stream, stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            self._await(process, log)
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _await(self, process: subprocess.Popen[bytes], log: Path) -> None:
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if ask(self.port, "GET", "/health/live").status == 200:
                    return
            except OSError:
                time.sleep(0.1)
        raise AssertionError(f"quetz did not come up:\n{log.read_text()[-2000:]}")


def ask(port: int, method: str, path: str, key: str = "", body: object = None) -> Reply:
    """One request, to either server."""
    fields = {"X-API-Key": key} if key else {}
    if body is not None and not isinstance(body, bytes):
        body, fields["Content-Type"] = json.dumps(body).encode(), "application/json"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, fields)
        answer = connection.getresponse()
        return Reply(answer.status, answer.read(), dict(answer.getheaders()))
    finally:
        connection.close()
