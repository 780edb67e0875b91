"""What we promise whoever runs a server: many at once, slow ones among them, and no restarts."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
from tests_manifest import manifest
from wsgi_calls import basic

pytest.importorskip("gunicorn")

from cli_support import finished, launch, read_document

import repocore
from repocore import Rule

FORMAT = "/conan/"
BASE = f"{FORMAT}main"
PASSWORD = "high-water"
SIGNED = basic("admin", PASSWORD)


@attrs.frozen
class Served:
    """Two workers of `repocore serve`."""

    data: Path
    port: int
    process: int
    addresses: list[str]

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def ask(
        self, path: str, method: str = "GET", body: bytes | None = None, signed: str | None = None
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            headers = {"Authorization": signed} if signed else {}
            connection.request(
                method, path if path.startswith(FORMAT) else f"{BASE}{path}", body, headers
            )
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def sign_in(self) -> str:
        """What the client sends once it has asked for a token."""
        status, token = self.ask("/v2/users/authenticate", signed=SIGNED)
        assert status == 200
        return f"Bearer {token.decode()}"

    def publish(self, name: str, rrev: str, token: str) -> None:
        """Upload a whole recipe revision of ``name/1.0``."""
        files = {
            "conanfile.py": f"recipe {rrev}".encode(),
            "conanmanifest.txt": manifest("conanfile.py"),
        }
        for file, body in files.items():
            path = f"/v2/conans/{name}/1.0/_/_/revisions/{rrev}/files/{file}"
            assert self.ask(path, "PUT", body, token) == (200, b"")

    def revisions(self, name: str) -> list[dict[str, Any]]:
        status, body = self.ask(f"/v2/conans/{name}/1.0/_/_/revisions")
        assert status == 200
        return json.loads(body)["revisions"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server on this machine's own address; everybody reads, the administrator writes."""
    data = tmp_path_factory.mktemp("served") / "data"
    process = launch(data, "--workers", "2", REPOCORE_ADMIN_PASSWORD=PASSWORD)
    with finished(process):
        try:
            addresses = read_document(process)["addresses"]
            port = int(addresses[0].rpartition(":")[2])
            yield Served(data, port, process.pid, addresses)
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def token(served: Served) -> str:
    return served.sign_in()


def head(method: str, path: str, **fields: str) -> bytes:
    lines = [f"{method} {BASE}{path} HTTP/1.1", "Host: server.example"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def answer_of(connection: socket.socket, method: str = "GET") -> tuple[int, bytes]:
    response = http.client.HTTPResponse(connection, method=method)
    response.begin()
    return response.status, response.read()


def test_every_upload_at_once_is_listed(served, token: str) -> None:
    """Sixty revisions that a dozen clients send at the same time are there, each with its time."""
    names = [f"r{number}" for number in range(60)]
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda name: served.publish("crowd", name, token), names))
    found = served.revisions("crowd")
    assert sorted(one["revision"] for one in found) == sorted(names)
    times = [datetime.fromisoformat(one["time"]) for one in found]
    assert times == sorted(set(times), reverse=True)


def test_a_lost_client_leaves_what_was_there(served, token: str) -> None:
    """A connection that ends in the middle of a file changes nothing of it."""
    served.publish("lost", "r1", token)
    path = "/v2/conans/lost/1.0/_/_/revisions/r1/files/conanfile.py"
    with served.connect() as connection:
        connection.sendall(head("PUT", path, Authorization=token, Content_Length="1000000"))
        connection.sendall(b"x" * 300_000)
        connection.shutdown(socket.SHUT_WR)
        assert answer_of(connection, "PUT")[0] == 400
    assert served.ask(path) == (200, b"recipe r1")


def test_a_stalled_client_blocks_nobody(served, token: str) -> None:
    """Others are served while some say nothing, or stop in a head or in a body."""
    path = "/v2/conans/stalled/1.0/_/_/revisions/r1/files/conanfile.py"
    whole = head("PUT", path, Authorization=token, Content_Length="1000")
    stalled = [served.connect() for _ in range(12)]
    try:
        for connection, words in zip(stalled, [b"", whole[:40], whole + b"x"] * 4, strict=True):
            connection.sendall(words)
        served.publish("flowing", "r1", token)
        assert [one["revision"] for one in served.revisions("flowing")] == ["r1"]
    finally:
        for connection in stalled:
            connection.close()


def test_forty_clients_at_once_are_answered(served) -> None:
    """Nobody is turned away because others came in the same moment."""
    connections = [served.connect() for _ in range(40)]
    try:
        for connection in connections:
            connection.sendall(head("GET", "/v2/conans/search?q=*"))
        assert [answer_of(connection)[0] for connection in connections] == [200] * 40
    finally:
        for connection in connections:
            connection.close()


def written(process: int) -> int:
    """Bytes that the workers of a server have written so far."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    counts = [Path(f"/proc/{child}/io").read_text() for child in children]
    return sum(int(re.search(r"wchar: (\d+)", count)[1]) for count in counts)


def test_uploads_are_written_once(served, token: str) -> None:
    """A body goes where it stays, and nowhere before."""
    try:
        before = written(served.process)
    except OSError:
        pytest.skip("this system does not say what a process has written")
    body = os.urandom(8 << 20)
    path = "/v2/conans/large/1.0/_/_/revisions/r1/files/conan_sources.tgz"
    assert served.ask(path, "PUT", body, token)[0] == 200
    assert len(body) <= written(served.process) - before < 1.5 * len(body)


def test_a_refused_upload_is_answered_first(served) -> None:
    """Whoever may not write learns it from the head of a request, without sending the rest."""
    path = "/v2/conans/refused/1.0/_/_/revisions/r1/files/conanfile.py"
    with served.connect() as connection:
        connection.sendall(head("PUT", path, Content_Length=str(1 << 40)))
        assert answer_of(connection, "PUT")[0] == 401


def test_it_listens_where_it_is_told(served) -> None:
    """Of this machine alone it is, unless more is asked for."""
    assert served.addresses == [f"http://127.0.0.1:{served.port}"]
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.2", served.port), timeout=60)


def test_changes_need_no_restart(served, token: str) -> None:
    """Repositories, people and rules of another process hold with the next request."""
    with repocore.open_registry(data=served.data) as registry:
        admin = registry.session(registry.admin())
        new = f"{FORMAT}second/v2/conans/search"
        assert served.ask(new, signed=token)[0] == 404
        admin.repositories.create("conan/second")
        assert served.ask(new, signed=token) == (200, b'{"results": []}')
        admin.accounts.add("newcomer", PASSWORD)
        check = "/v2/users/check_credentials"
        _, secret = admin.accounts.create_token("newcomer", "ci")
        bearer = f"Bearer {secret}"
        assert served.ask(check, signed=bearer) == (200, b"newcomer")
        path = "/v2/conans/new/1.0/_/_/revisions/r1/files/conanfile.py"
        assert served.ask(path, "PUT", b"recipe", bearer)[0] == 403
        granted = repocore.actions_of(["write"])
        rule = Rule(subject="user:newcomer", actions=granted, pattern="conan/main/**")
        admin.accounts.add_rule(rule, position=0)
        assert served.ask(path, "PUT", b"recipe", bearer)[0] == 200


@pytest.mark.parametrize(
    ("page", "said"), [("/healthz", b"ok\n"), ("/readyz", b"catalog ok\nstorage ok\nqueue ")]
)
def test_health_can_be_asked(served, page: str, said: bytes) -> None:
    """Without credentials, by whatever watches over servers."""
    with served.connect() as connection:
        connection.sendall(f"GET {page} HTTP/1.1\r\nHost: server.example\r\n\r\n".encode())
        status, text = answer_of(connection)
        assert status == 200
        assert text.startswith(said)
