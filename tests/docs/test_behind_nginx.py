"""The guide to nginx, with its settings and its configuration as they stand there."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from cli_support import finished, launch, read_document
from live_server import free_port
from tests_manifest import manifest

GUIDE = (Path(__file__).parents[2] / "docs" / "how-to" / "behind-nginx.md").read_text("utf-8")
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")
REVISION = "/conan/main/v2/conans/hello/1.0/_/_/revisions/84a1eb2b87e2981655358046c76b9d48"
PASSWORD = "high-water"
SIGNED_IN = {"Authorization": "Basic YWRtaW46aGlnaC13YXRlcg=="}

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)
    assert found is not None
    return found[1]


@attrs.frozen
class Front:
    """The port where nginx listens."""

    port: int

    def ask(
        self, method: str, path: str, body: bytes | None = None, **fields: str
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, content


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("front")
    data = folder / "data"
    data.mkdir()
    (data / "repocore.toml").write_text(block("toml"), encoding="utf-8")
    served = launch(data, REPOCORE_ADMIN_PASSWORD=PASSWORD)
    with finished(served):
        url = read_document(served)["url"]
        port = free_port()
        nginx = subprocess.Popen(command(folder, url, data, port))
        try:
            wait_for(Front(port))
            yield Front(port)
        finally:
            nginx.terminate()
            nginx.wait(30)
            served.terminate()


def command(folder: Path, url: str, data: Path, port: int) -> list[str]:
    locations = block("nginx").replace("http://127.0.0.1:9300", url)
    locations = locations.replace("/srv/repocore", str(data))
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    spools = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"daemon off; {user} pid {folder}/pid; error_log {folder}/error; events {{}}\n"
        f"http {{ access_log off; {spools}\nserver {{ listen 127.0.0.1:{port};\n{locations}}} }}\n",
        encoding="utf-8",
    )
    return [str(NGINX), "-c", f"{folder}/nginx.conf", "-e", f"{folder}/error"]


def wait_for(front: Front) -> None:
    for _ in range(200):
        try:
            assert front.ask("GET", "/")[0] == 200
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("nginx does not listen")


@pytest.fixture(scope="module")
def published(front: Front) -> dict[str, bytes]:
    files = {"conanfile.py": b"<script>recipe</script>"}
    files["conanmanifest.txt"] = manifest(*files)
    for name, content in files.items():
        status, _, _ = front.ask("PUT", f"{REVISION}/files/{name}", content, **SIGNED_IN)
        assert status == 200
    return files


def test_nginx_sends_the_file(front: Front, published: dict[str, bytes]) -> None:
    """A whole file and a part of it come from nginx, and no browser runs what is in them."""
    path = f"{REVISION}/files/conanfile.py"
    status, fields, content = front.ask("GET", path)
    assert (status, content) == (200, published["conanfile.py"])
    assert "x-request-id" not in fields  # ours is on what we send ourselves
    assert fields["x-content-type-options"] == "nosniff"
    assert fields["content-security-policy"].startswith("sandbox")
    assert fields["content-disposition"] == "attachment; filename=conanfile.py"
    assert front.ask("GET", path, Range="bytes=1-6")[::2] == (206, b"script")


def test_objects_have_no_address(front: Front, published: dict[str, bytes]) -> None:
    """What nginx may read for us, nobody may ask it for."""
    for path in ("/_blobs/", "/_blobs/sha256/", "/_blobs/../catalog.db", "/_blobs../catalog.db"):
        assert front.ask("GET", path)[0] in {400, 404}


def test_urls_are_those_of_the_front(front: Front) -> None:
    """What we print is how the client came, with the port."""
    _, fields, content = front.ask("GET", "/")
    assert f"http://127.0.0.1:{front.port}/conan/main".encode() in content
    assert "x-request-id" in fields


def test_refusals_pass_through(front: Front) -> None:
    """Whoever may not upload is told so by us, with our words."""
    status, fields, _ = front.ask("PUT", f"{REVISION}/files/conanfile.py", b"x" * 100_000)
    assert status == 401
    assert "x-request-id" in fields
