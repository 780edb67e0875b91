"""The guide to a private CA: each of its commands, typed by a client of a server with TLS."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from certificates import GUIDE, Certificates, shell
from front_servers import Front, adapted, block, environment, make_data, program, running
from front_uploads import publish
from live_server import free_port
from old_conan import CONAN_1, wanted

SERVER = "https://packages.example"
PUBLIC = Path("/etc/ssl/certs/ca-certificates.crt")
SEARCH = 'conan search "*" --remote packages'

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Front]:
    """A server with one recipe and the certificate of the guide."""
    folder = tmp_path_factory.mktemp("secure")
    data = make_data(folder / "data")
    front = Front(port=free_port(), authority=certificates.authority)
    files = [f"--certfile={certificates.certificate}", f"--keyfile={certificates.key}"]
    words = ["-k", "gthread", "--no-control-socket", "-b", front.place, *files]
    command = [sys.executable, "-m", "gunicorn", *words, "repocore_web.wsgi:application"]
    with running(command, front, folder / "log", REPOCORE_DATA=str(data)):
        publish(front, "hello")
        yield front


@attrs.frozen
class Desk:
    """A folder with the authority's file, where somebody types commands of the guide."""

    folder: Path
    variables: dict[str, str]
    front: Front

    @classmethod
    def of(cls, folder: Path, programs: Path, front: Front) -> Desk:
        assert front.authority is not None
        shutil.copy(front.authority, folder / "authority.pem")
        homes = {"CONAN_HOME": str(folder / "home"), "CONAN_USER_HOME": str(folder)}
        path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        quiet = {"no_proxy": "*", "CONAN_NON_INTERACTIVE": "1", "PATH": path}
        return cls(folder, {**homes, **quiet}, front)

    def type(self, heading: str, number: int = 0, places: dict[str, str] | None = None) -> str:
        """Run a block of the guide; what it printed."""
        script = block(GUIDE, heading, "sh", number)
        return self.run(adapted(script, places or {}))

    def run(self, script: str) -> str:
        return shell(self.folder, script.replace(SERVER, self.front.url), **self.variables)

    def said(self, script: str) -> str:
        """What a script printed that may fail."""
        return subprocess.run(
            ["sh", "-c", script],
            cwd=self.folder,
            env=environment(**self.variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        ).stdout


@pytest.fixture
def desk(tmp_path: Path, conan_program: Path, secure: Front) -> Desk:
    return Desk.of(tmp_path, conan_program.parent, secure)


def test_conan_2(desk: Desk) -> None:
    """A client that was told of the authority finds packages; one that was not sees no server."""
    desk.run(f"conan remote add packages {SERVER}/conan/main")
    assert "hello/1.0" not in desk.said(SEARCH)
    desk.run("conan remote remove packages")
    assert "hello/1.0" in desk.type("Conan 2", 0)


@pytest.mark.slow
def test_conan_2_with_public_authorities(desk: Desk) -> None:
    """With the public ones in the same file, ours is trusted still."""
    desk.type("Conan 2", 0)
    public = desk.folder / "public.crt"
    if PUBLIC.exists():
        shutil.copy(PUBLIC, public)
    else:
        public.write_text("", encoding="utf-8")
    desk.type("Conan 2", 1, {str(PUBLIC): str(public)})
    trusted = (desk.folder / "home" / "authority.pem").read_text(encoding="utf-8")
    assert trusted.startswith(public.read_text(encoding="utf-8"))
    assert "hello/1.0" in desk.run(SEARCH)


@pytest.mark.slow
def test_settings_for_a_team(desk: Desk) -> None:
    """A folder with two files makes a new client trust the authority."""
    desk.type("Conan 2", 2)
    desk.run(f"conan remote add packages {SERVER}/conan/main")
    assert "hello/1.0" in desk.run(SEARCH)


@pytest.mark.slow
@pytest.mark.parametrize("way", [0, 1])
def test_conan_1(tmp_path: Path, secure: Front, way: int) -> None:
    """A client of the first generation is told by the file of its home, or by a setting."""
    desk = Desk.of(tmp_path, wanted(CONAN_1).parent, secure)
    desk.run(f"conan remote add packages {SERVER}/conan/main")
    search = 'conan search "*" -r packages'
    assert "CERTIFICATE_VERIFY_FAILED" in desk.said(search)
    desk.type("Conan 1", way)
    assert "hello/1.0" in desk.run(search)


@pytest.mark.skipif(program("curl") is None, reason="curl is not installed")
def test_curl(desk: Desk) -> None:
    """curl prints what the guide says, and nothing without the authority."""
    assert desk.type("curl, and a look at the server") == "ok\n"
    assert "ok" not in desk.said(f"curl -sS {desk.front.url}/healthz").split()
