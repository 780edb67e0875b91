"""The servers that people move over from: each a process on a loopback port, ended by its id."""

from __future__ import annotations

import base64
import http.client
import json
import subprocess
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
from live_server import free_port
from old_conan import kept

USERS = {"admin": "high-water", "writer": "low-water", "reader": "slack-water"}
#: Permission lines as a file has them: everyone reads but what is hidden, two may write.
READ = (("hidden/*@*/*", "admin"), ("hidden/*", "admin"), ("*/*@*/*", "*"), ("*/*", "*"))
WRITE = (("*/*@*/*", "writer, admin"), ("*/*", "writer, admin"))

#: The server's own launcher, kept from listening to anybody but this machine.
LAUNCH = """\
import sys
from conans.server.launcher import ServerLauncher
home, port = sys.argv[1:]
ServerLauncher(server_dir=home).server.run(host="127.0.0.1", port=int(port))
"""


@attrs.frozen
class Reply:
    """What a server answered."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


@attrs.frozen(kw_only=True)
class Asker:
    """Somebody who sends plain requests to a server, with a token or without."""

    address: str
    token: str | None = None

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
        """Send one request below the address; keywords are header fields, _ for -."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token and "signature=" not in path:
            fields.setdefault("Authorization", f"Bearer {self.token}")
        connection = self.connect()
        try:
            connection.request(method, urlsplit(self.address).path + path, body, fields)
            answer = connection.getresponse()
            return Reply(answer.status, answer.read(), dict(answer.getheaders()))
        finally:
            connection.close()

    def get(self, path: str) -> Reply:
        return self.ask("GET", path)

    def put(self, path: str, body: bytes) -> None:
        """Upload a file; raises AssertionError when the server refuses."""
        answer = self.ask("PUT", path, body)
        assert answer.status == 200, (path, answer)

    def delete(self, path: str) -> None:
        """Delete something; raises AssertionError when the server refuses."""
        answer = self.ask("DELETE", path)
        assert answer.status == 200, (path, answer)

    def break_off(self, path: str, body: bytes, length: int) -> None:
        """Begin an upload of `length` bytes, send fewer, and go away."""
        connection = self.connect()
        connection.putrequest("PUT", urlsplit(self.address).path + path)
        connection.putheader("Content-Length", str(length))
        connection.putheader("Authorization", f"Bearer {self.token}")
        connection.endheaders(body)
        connection.close()

    def login(self, user: str, password: str, api: str = "v2") -> Asker:
        """The same server, asked by somebody signed in; raises AssertionError when refused."""
        answer = self.authenticate(user, password, api)
        assert answer.status == 200, answer
        return Asker(address=self.address, token=answer.text)

    def authenticate(self, user: str, password: str, api: str = "v2") -> Reply:
        """What the server says to a user name and a password."""
        secret = base64.b64encode(f"{user}:{password}".encode()).decode()
        return self.ask("GET", f"/{api}/users/authenticate", Authorization=f"Basic {secret}")

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(urlsplit(self.address).netloc, timeout=60)


def write_conf(home: Path, **options: str) -> None:
    """Write a server.conf with the users and rules above; keywords are [server] options."""
    settings = {
        "jwt_secret": "tide-table-of-the-old-harbour-wall",
        "jwt_expire_minutes": "120",
        "disk_storage_path": "./data",
        "authorize_timeout": "1800",
        "updown_secret": "ebb-table-of-the-old-harbour-wall",
        "port": "9300",
        **options,
    }
    sections = {
        "server": settings.items(),
        "write_permissions": WRITE,
        "read_permissions": READ,
        "users": USERS.items(),
    }
    lines: list[str] = []
    for name, entries in sections.items():
        lines += [f"[{name}]", *(f"{key}: {value}" for key, value in entries), ""]
    home.mkdir(parents=True, exist_ok=True)
    (home / "server.conf").write_text("\n".join(lines), encoding="utf-8")


@contextmanager
def old_server(python: Path, home: Path) -> Generator[Asker]:
    """Run the server of an environment on a home until the block ends; asked by nobody yet.

    Raises AssertionError with the log, which stands beside the home, when it does not come up.
    """
    port = free_port()
    log = home.with_name(f"{home.name}.log")
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [str(python), "-c", LAUNCH, str(home), str(port)],
            env={**kept(), "HOME": str(home), "CONAN_USER_HOME": str(home)},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        asker = Asker(address=f"http://127.0.0.1:{port}")
        await_ping(asker, process, log)
        yield asker
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def await_ping(asker: Asker, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when the server answers."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if asker.get("/v1/ping").status == 200:
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"the old server did not come up:\n{log.read_text(errors='replace')}")
