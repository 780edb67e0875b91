"""A disk of a few megabytes that is really full: nothing is lost, and the server goes on."""

from __future__ import annotations

import base64
import http.client
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from live_server import ADMIN, LiveServer, live_server
from tests_manifest import manifest

pytestmark = pytest.mark.slow

SIGNED = {"Authorization": "Basic " + base64.b64encode(f"admin:{ADMIN}".encode()).decode()}
LISTS = ("v2/conans/search?q=*", "v2/conans/tide/1.0/_/_/revisions")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MiB; only an administrator of the machine can make one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def ask(server: LiveServer, method: str, target: str, body: bytes | None = None, **fields: str):
    """One request on a connection of its own; status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request(method, f"/conan/main/{target}", body, {**SIGNED, **fields})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def seen(server: LiveServer) -> list[tuple[int, bytes]]:
    return [ask(server, "GET", target) for target in LISTS]


def publish(server: LiveServer, name: str, size: int, chance: random.Random) -> list[int]:
    """Upload a revision, its manifest last; stops at the first refusal, as a client does."""
    statuses = []
    files = {
        "conanfile.py": f"# {name}".encode(),
        "conan_export.tgz": chance.randbytes(size),
        "conanmanifest.txt": manifest("conanfile.py", "conandata.yml"),
    }
    for file, content in files.items():
        target = f"v2/conans/tide/1.0/_/_/revisions/{name}/files/{file}"
        # Chunked bodies are refused on their way, the others before they come.
        chunked = iter([content]) if chance.random() < 0.5 else content
        status, said = ask(server, "PUT", target, chunked)
        statuses.append(status)
        if status != 200:
            assert status == 507, said
            assert str(server.data).encode() not in said
            break
    return statuses


def test_full_disk_refuses_and_recovers(small_disk: Path) -> None:
    """Uploads until the disk is full: 2xx or 507, the lists as before, and room helps at once."""
    chance = random.Random(16)
    with live_server(small_disk / "data") as server:
        kept: list[str] = []
        refusals = 0
        for number in range(60):
            before = seen(server)
            statuses = publish(server, f"r{number}", chance.choice([200_000, 900_000]), chance)
            if set(statuses) == {200}:
                kept.append(f"r{number}")
                continue
            refusals += 1
            assert seen(server) == before
        assert kept
        assert refusals > 5
        assert "ok" in server.run("check", "--read-data")
        for name in kept[:5]:
            status, said = ask(server, "DELETE", f"v2/conans/tide/1.0/_/_/revisions/{name}")
            assert status == 200, said
        server.run("gc", "--now")
        assert publish(server, "again", 200_000, chance) == [200, 200, 200]
        listed = ask(server, "GET", LISTS[1])[1].decode()
        assert all(f'"{name}"' in listed for name in (*kept[5:], "again"))
        assert not any(f'"{name}"' in listed for name in kept[:5])
        assert "ok" in server.run("check", "--read-data")
