"""A large body does not become a large server: up and down, it goes through in pieces."""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import signal
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from live_server import ADMIN, REPOCORE, LiveServer, await_health, environment, free_port

MIB = 1 << 20
ALLOWED = 32 * MIB
BLOCK = bytes(range(256)) * (MIB // 256)
FILES = "/conan/main/v2/conans/tide/1.0/_/_/revisions/r1/files"
BIG = f"{FILES}/metadata/harbour/big.bin"

pytestmark = [
    pytest.mark.memory,
    pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="reads Linux's /proc"),
]


@attrs.frozen
class Watched:
    """A running server whose memory is read from outside."""

    server: LiveServer
    pid: int
    # A password would be hashed now and then, which takes 64 MiB by design; a login does not.
    word: str = f"Basic {base64.b64encode(f'admin:{ADMIN}'.encode()).decode()}"

    def processes(self) -> list[int]:
        """The server's first process and its workers."""
        task = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [self.pid, *map(int, task.read_text().split())]

    def resident(self, field: str) -> int:
        """Bytes of the largest of the processes."""
        return max(read_status(pid, field) for pid in self.processes())

    def forget_peak(self) -> None:
        for pid in self.processes():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def request(self, method: str, path: str, body=None, *, chunked=False) -> tuple[int, str, int]:
        """Status, sha256 and length of the answer, which is read in pieces."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=600)
        fields = {"Authorization": self.word}
        if body is not None and not isinstance(body, bytes):
            body, length = body
            fields |= {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": length}
        connection.request(method, path, body, fields, encode_chunked=chunked)
        with connection.getresponse() as answer:
            digest, count = hashlib.sha256(), 0
            while piece := answer.read(MIB):
                digest.update(piece)
                count += len(piece)
        connection.close()
        return answer.status, digest.hexdigest(), count


def read_status(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {pid} has no {field}")


def blocks(size: int, digest) -> Iterator[bytes]:
    """So many bytes, made while they are sent; no two blocks are the same."""
    for number in range(size // MIB):
        block = number.to_bytes(8) + BLOCK[8:]
        digest.update(block)
        yield block


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    with tempfile.TemporaryDirectory() as folder:
        server = LiveServer(data=Path(folder, "data"), port=free_port())
        log = Path(folder, "server.log")
        words = ["serve", "--port", str(server.port), "--data", str(server.data)]
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [*REPOCORE, *words],
                env=environment(REPOCORE_ADMIN_PASSWORD=ADMIN),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            await_health(server, process, log)
            found = Watched(server, process.pid)
            found = attrs.evolve(found, word=f"Bearer {log_in(found)}")
            warm_up(found)
            yield found
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def log_in(watched: Watched) -> str:
    url = f"{watched.server.remote}/v2/users/authenticate"
    request = urllib.request.Request(url, headers={"Authorization": watched.word})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode()


def warm_up(watched: Watched) -> None:
    """What a server loads once, for its first requests, is not the body's."""
    manifest = f"1700000000\nconanfile.py: {hashlib.md5(b'').hexdigest()}\n".encode()
    for name, body in {"conanfile.py": b"", "conanmanifest.txt": manifest}.items():
        for _ in range(8):  # so that each worker has its turn
            assert watched.request("PUT", f"{FILES}/{name}", body)[0] in {200, 201}
    for _ in range(8):
        assert (
            watched.request("PUT", BIG, (blocks(4 * MIB, hashlib.sha256()), str(4 * MIB)))[0] < 300
        )
        assert watched.request("GET", BIG)[0] == 200


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize(
    "size",
    [
        pytest.param(64 * MIB, id="64MiB"),
        pytest.param(1024 * MIB, id="1GiB", marks=pytest.mark.slow),
        pytest.param(4096 * MIB, id="4GiB", marks=pytest.mark.slow),
    ],
)
def test_body_goes_through_in_pieces(watched, size, chunked):
    """A body up and down adds less than 32 MiB to the peak of every process of the server."""
    before = watched.resident("VmRSS")
    watched.forget_peak()
    sent = hashlib.sha256()
    status, _, _ = watched.request("PUT", BIG, (blocks(size, sent), str(size)), chunked=chunked)
    assert status in {200, 201}
    up = watched.resident("VmHWM") - before
    watched.forget_peak()
    assert watched.request("GET", BIG) == (200, sent.hexdigest(), size)
    down = watched.resident("VmHWM") - before
    assert max(up, down) < ALLOWED, f"up {up / MIB:.1f} MiB, down {down / MIB:.1f} MiB"
