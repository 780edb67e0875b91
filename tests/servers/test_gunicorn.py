"""gunicorn with several workers, from the configuration and the service of its guide."""

from __future__ import annotations

import configparser
import contextlib
import os
import shlex
import signal
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest
from certificates import Certificates
from front_contract import FrontContract
from front_servers import Front, MakeClient, adapted, block, has_ipv6, make_data, running
from front_uploads import CONANS, MIB, REVISION, complete
from live_server import free_port

GUIDE = "gunicorn"
BINDS = 'bind = ["0.0.0.0:9300", "[::1]:9300"]'
EVERYWHERE = '"0.0.0.0:{port}", "[::1]:{port}"'

pytestmark = pytest.mark.servers


@contextmanager
def gunicorn(
    folder: Path, _certificates: Certificates, *, binds: str = '"127.0.0.1:{port}"'
) -> Generator[Front]:
    """What the service of the guide starts, with the configuration of the guide."""
    data = make_data(folder / "data")
    front = Front(port=free_port())
    text = block(GUIDE, "The configuration", "python")
    places = {
        BINDS: f"bind = [{binds.format(port=front.port)}]",
        "/srv/repocore": data,
    }
    (folder / "gunicorn.conf.py").write_text(adapted(text, places), encoding="utf-8")
    service = configparser.RawConfigParser()
    service.read_string(block(GUIDE, "As a service", "ini"))
    programs = str(Path(sys.executable).parent)
    started = adapted(
        service["Service"]["ExecStart"],
        {
            "/opt/repocore/bin": programs,
            "/opt/repocore/gunicorn.conf.py": folder / "gunicorn.conf.py",
        },
    )
    with running(shlex.split(started), front, folder / "gunicorn.log") as process:
        yield attrs.evolve(front, process=process.pid)


class TestGunicorn(FrontContract):
    """Four workers, and nobody in front."""

    fronted = gunicorn

    def test_worker_that_is_killed(
        self, front: Front, folder: Path, make_client: MakeClient
    ) -> None:
        """One dies in the middle of an upload: another answers, and nothing half is there."""
        path = f"{CONANS}/killed/1.0/_/_/revisions/{REVISION}/files"
        killed: list[int] = []

        def body() -> Iterator[bytes]:
            yield b"x" * MIB
            killed.append(serving_worker(front.process or 0, folder))
            os.kill(killed[0], signal.SIGKILL)
            assert front.get("/healthz").status == 200
            while True:  # until the connection breaks
                yield b"x" * MIB

        with pytest.raises(OSError, match=r"reset|Broken|aborted"):
            front.put(f"{path}/conan_export.tgz", body(), Content_Length=str(1 << 35))
        assert killed
        assert front.get(f"{path}/conan_export.tgz").status == 404
        assert front.put(f"{path}/conan_export.tgz", b"whole").status == 200
        complete(front, path, "conan_export.tgz")
        assert front.get(f"{path}/conan_export.tgz").content == b"whole"
        assert make_client(front).searched("killed/*") == {"killed/1.0"}


@pytest.mark.slow
@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("binds", [EVERYWHERE, '"[::]:{port}"'])
def test_both_families(
    tmp_path: Path, certificates: Certificates, make_client: MakeClient, binds: str
) -> None:
    """Clients come by IPv4 and by IPv6, and each is told URLs of its own kind."""
    with gunicorn(tmp_path, certificates, binds=binds) as front:
        for host in ("127.0.0.1", "::1"):
            reached = Front(port=front.port, host=host)
            assert f"  {reached.remote}" in reached.get("/").content.decode().splitlines()
            assert make_client(reached).searched("*") == set()


def serving_worker(server: int, folder: Path) -> int:
    """The worker of a gunicorn that writes an upload; waits until one does."""
    workers = Path(f"/proc/{server}/task/{server}/children")
    for _ in range(400):
        for worker in workers.read_text(encoding="ascii").split():
            with contextlib.suppress(OSError):  # a file that is closed while we look
                for number in Path("/proc", worker, "fd").iterdir():
                    if folder / "data" / "blobs" / "uploads" in number.readlink().parents:
                        return int(worker)
        time.sleep(0.05)
    pytest.fail("no worker writes an upload")
