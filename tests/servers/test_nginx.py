"""nginx in front, with TLS, from the configuration of its guide."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest
from certificates import Certificates
from front_contract import FrontContract
from front_servers import (
    Front,
    adapted,
    block,
    has_ipv6,
    listening,
    make_data,
    nginx,
    program,
    running,
    serving,
)
from front_uploads import CONANS, MIB, REVISION, publish
from live_server import free_port

GUIDE = "behind-nginx"
TOP = "nginx in front"
LOCATION = "    location / {"

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(program("nginx") is None, reason="nginx is not installed"),
]


@contextmanager
def site(
    folder: Path,
    certificates: Certificates,
    *,
    settings: str = "",
    inside: str = "",
    outside: str = "",
    instead: str | None = None,
    prefix: str = "",
) -> Generator[Front]:
    """The guide's site before `repocore serve`: with lines in its second server, or in place of
    that one's location.
    """
    data = make_data(folder / "data", settings)
    plain, secure = free_port(), free_port()
    text = block(GUIDE, "The site", "nginx").rstrip().removesuffix("}")
    if instead is not None:
        text = text.partition(LOCATION)[0] + instead
    text = listening(f"{text}{inside}}}\n", plain=plain, secure=secure)
    with serving(data) as behind:
        places = {
            "/etc/ssl/packages.example.pem": certificates.certificate,
            "/etc/ssl/packages.example.key": certificates.key,
            "http://127.0.0.1:9300": behind.url,
        }
        front = Front(port=secure, authority=certificates.authority, prefix=prefix, plain=plain)
        command = nginx(folder, outside + adapted(text, places))
        with running(command, front, folder / "nginx.log"):
            yield front


class TestProxied(FrontContract):
    """nginx passes requests and answers on."""

    @staticmethod
    @contextmanager
    def fronted(folder: Path, certificates: Certificates) -> Generator[Front]:
        with site(folder, certificates, settings=block(GUIDE, TOP, "toml")) as front:
            yield front

    def test_upload_is_passed_on_while_it_comes_in(self, front: Front, folder: Path) -> None:
        """Half of an upload is with us, and on no disk of nginx, before the other half is sent."""
        arrived: list[int] = []
        before = sizes(folder / "data" / "blobs")

        def body() -> Iterator[bytes]:
            yield b"x" * MIB
            for _ in range(400):
                arrived[:] = [sizes(folder / "data" / "blobs"), sizes(folder / "client_body")]
                if arrived[0] >= before + MIB:
                    break
                time.sleep(0.05)
            yield b"x" * MIB

        path = f"{CONANS}/passed/1.0/_/_/revisions/{REVISION}/files/conan_export.tgz"
        assert front.put(path, body(), Content_Length=str(2 * MIB)).status == 200
        assert arrived[0] >= before + MIB
        assert arrived[1] == 0

    def test_plain_requests_are_sent_on(self, front: Front) -> None:
        """Without TLS a client is told where to come, with the whole address."""
        plain = Front(port=front.plain or 0)
        answer = plain.ask("GET", "/conan/main?a=b", headers={"Host": "packages.example"})
        assert answer.status == 301
        assert answer.fields["location"] == "https://packages.example/conan/main?a=b"

    @pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
    def test_both_families(self, front: Front) -> None:
        """By IPv6 it is the same server, and its URLs are those by which one came."""
        other = attrs.evolve(front, host="::1")
        assert f"  {other.remote}" in other.get("/").content.decode().splitlines()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ("", "http://{place}/conan/main"),
        ('trusted_proxies = ["192.0.2.1", "unix"]', "http://{place}/conan/main"),
        ('public_url = "https://packages.example/pkg"', "https://packages.example/pkg/conan/main"),
    ],
)
def test_who_is_believed(
    tmp_path: Path, certificates: Certificates, settings: str, url: str
) -> None:
    """A proxy that is not in the settings is not believed; the settings' URL goes before all."""
    with site(tmp_path, certificates, settings=f"[web]\n{settings}\n") as front:
        lines = front.get("/").content.decode().splitlines()
        assert f"  {url.format(place=front.place)}" in lines


def sizes(folder: Path) -> int:
    """How many bytes are in the files of a folder; those that come and go are as they were."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size if path.is_file() else 0
    return total


@pytest.mark.slow
class TestSending(FrontContract):
    """nginx sends the files."""

    @staticmethod
    @contextmanager
    def fronted(folder: Path, certificates: Certificates) -> Generator[Front]:
        heading = "Let nginx send the files"
        settings = block(GUIDE, heading, "toml")
        inside = adapted(block(GUIDE, heading, "nginx"), {"/srv/repocore": folder / "data"})
        with site(folder, certificates, settings=settings, inside=inside) as front:
            yield front

    def test_bytes_come_from_nginx(self, front: Front) -> None:
        """Our number of a request is not on a file, as it is on what we send ourselves."""
        file = publish(front, "sent")
        assert not front.get(file.path).ours
        assert front.get("/").ours

    def test_content_that_is_stored_already_has_the_files_own_time(self, front: Front) -> None:
        """Two files of one content share an object, and a copy of neither passes for the other."""
        older = publish(front, "first")
        time.sleep(1.1)  # dates are in seconds
        newer = publish(front, "second")
        dates = [front.get(file.path).fields["last-modified"] for file in (older, newer)]
        assert dates[0] != dates[1]
        assert front.get(newer.path, If_Modified_Since=dates[0]).status == 200
        assert front.get(newer.path, If_Modified_Since=dates[1]).status == 304

    def test_objects_have_no_address(self, front: Front) -> None:
        """What nginx may read for us, nobody may ask it for."""
        for path in ("/_blobs/", "/_blobs/sha256/", "/_blobs/../catalog.db", "/_blobs../x"):
            assert front.get(path).status in {400, 404}


@pytest.mark.slow
class TestBelowAPath(FrontContract):
    """repocore is one of several things below a server's name."""

    @staticmethod
    @contextmanager
    def fronted(folder: Path, certificates: Certificates) -> Generator[Front]:
        heading = "Below a path"
        with site(
            folder,
            certificates,
            settings=block(GUIDE, TOP, "toml"),
            outside=block(GUIDE, heading, "nginx", 0),
            instead=block(GUIDE, heading, "nginx", 1),
            prefix="/packages",
        ) as front:
            yield front

    def test_nothing_else_is_ours(self, front: Front) -> None:
        """What is not below the path does not reach us."""
        root = Front(port=front.port, authority=front.authority)
        assert not root.get("/").ours
        assert not root.get("/healthz").ours
