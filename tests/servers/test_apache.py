"""Apache around us, with mod_wsgi, and in front, from the configuration of its guide."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from certificates import Certificates
from front_contract import FrontContract
from front_servers import (
    MODULES,
    Front,
    adapted,
    apache,
    block,
    make_data,
    program,
    running,
    serving,
)
from front_uploads import publish
from live_server import free_port

GUIDE = "behind-apache"
AROUND = "With mod_wsgi"
BEFORE = "As a proxy"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
TLS = (
    "    SSLEngine on\n"
    "    SSLCertificateFile /etc/ssl/packages.example.pem\n"
    "    SSLCertificateKeyFile /etc/ssl/packages.example.key\n"
)

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(
        program("apache2") is None or not MODULES.exists(), reason="apache2 is not installed"
    ),
]
needs_mod_wsgi = pytest.mark.skipif(
    not (MODULES / f"mod_wsgi.so-{VERSION}").exists(),
    reason=f"libapache2-mod-wsgi-py3 for Python {VERSION} is not installed",
)


def secured(site: str, port: int, certificates: Certificates) -> str:
    """A site of the guide, on a port and with a certificate of ours."""
    places = {
        "*:443": f"127.0.0.1:{port}",
        "/etc/ssl/packages.example.pem": certificates.certificate,
        "/etc/ssl/packages.example.key": certificates.key,
    }
    return adapted(site, places)


# --------------------------------------------------------------------------------------- mod_wsgi


@contextmanager
def environment() -> Generator[Path]:
    """A virtual environment of the Python that mod_wsgi was built for, with what we have here."""
    # Not in a folder of the test: mod_wsgi looks whether its user may go there.
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        command = [f"/usr/bin/python{VERSION}", "-m", "venv", "--without-pip", made]
        subprocess.run(command, check=True)
        packages = sysconfig.get_path("purelib")
        found = Path(made, "lib", f"python{VERSION}", "site-packages", "ours.pth")
        found.write_text(f"import site; site.addsitedir({packages!r})\n", encoding="utf-8")
        yield Path(made)


@contextmanager
def around(
    folder: Path, certificates: Certificates, *, secure: bool = True, prefix: str = ""
) -> Generator[Front]:
    """The guide's site with mod_wsgi; without TLS as the guide says, and below a path."""
    data = make_data(folder / "data")
    site, port = block(GUIDE, AROUND, "apache"), free_port()
    if secure:
        site = secured(site, port, certificates)
    else:
        site = adapted(site, {TLS: "", "*:443": f"127.0.0.1:{port}"})
    if prefix:
        site = adapted(site, {"WSGIScriptAlias / ": f"WSGIScriptAlias {prefix} "})
    authority = certificates.authority if secure else None
    front = Front(port=port, authority=authority, prefix=prefix)
    with environment() as made:
        script = adapted(block(GUIDE, AROUND, "python"), {"/srv/repocore": data})
        (made / "repocore.wsgi").write_text(script, encoding="utf-8")
        # The user of the guide is none of this machine.
        site = adapted(site, {"user=repocore group=repocore ": "", "/opt/repocore": made})
        sockets = f"WSGISocketPrefix {folder}/wsgi\n"
        command = apache(folder, port, sockets + site, "ssl", "wsgi")
        with running(command, front, folder / "apache.log"):
            yield front


@needs_mod_wsgi
class TestAround(FrontContract):
    """Several processes of mod_wsgi, with TLS."""

    fronted = around


@needs_mod_wsgi
@pytest.mark.slow
class TestAroundWithoutTls(FrontContract):
    """The same without TLS."""

    @staticmethod
    @contextmanager
    def fronted(folder: Path, certificates: Certificates) -> Generator[Front]:
        with around(folder, certificates, secure=False) as front:
            yield front


@needs_mod_wsgi
@pytest.mark.slow
class TestAroundBelowAPath(FrontContract):
    """mod_wsgi tells us below which path we are."""

    @staticmethod
    @contextmanager
    def fronted(folder: Path, certificates: Certificates) -> Generator[Front]:
        with around(folder, certificates, prefix="/packages") as front:
            yield front


# ------------------------------------------------------------------------------------------ proxy


@contextmanager
def before(
    folder: Path,
    certificates: Certificates,
    *,
    settings: str | None = None,
    change: dict[str, str] | None = None,
    modules: tuple[str, ...] = (),
    prefix: str = "",
) -> Generator[Front]:
    """The guide's site before `repocore serve`, with what another section of it changes."""
    data = make_data(folder / "data", settings or block(GUIDE, BEFORE, "toml"))
    port = free_port()
    site = adapted(block(GUIDE, BEFORE, "apache"), change or {})
    with serving(data) as behind:
        site = adapted(secured(site, port, certificates), {"http://127.0.0.1:9300": behind.url})
        front = Front(port=port, authority=certificates.authority, prefix=prefix)
        command = apache(folder, port, site, "ssl", "proxy", "proxy_http", "headers", *modules)
        with running(command, front, folder / "apache.log"):
            yield front


@pytest.mark.slow
class TestBefore(FrontContract):
    """Apache passes requests on to `repocore serve`."""

    fronted = before


@pytest.mark.slow
class TestBelowAPath(FrontContract):
    """repocore is one of several things below a server's name."""

    @staticmethod
    @contextmanager
    def fronted(folder: Path, certificates: Certificates) -> Generator[Front]:
        lines = block(GUIDE, BEFORE, "apache").splitlines(keepends=True)
        last = "".join(lines[-3:-1])
        change = {last: block(GUIDE, "Below a path", "apache")}
        with before(folder, certificates, change=change, prefix="/packages") as front:
            yield front


@pytest.mark.slow
@pytest.mark.skipif(
    not (MODULES / "mod_xsendfile.so").exists(),
    reason="libapache2-mod-xsendfile is not installed",
)
class TestSending(FrontContract):
    """Apache sends the files."""

    @staticmethod
    @contextmanager
    def fronted(folder: Path, certificates: Certificates) -> Generator[Front]:
        heading = "Let Apache send the files"
        place = {"/srv/repocore": str(folder / "data")}
        end = "</VirtualHost>"
        change = {end: adapted(block(GUIDE, heading, "apache"), place) + end}
        settings = adapted(block(GUIDE, heading, "toml"), place)
        with before(
            folder, certificates, settings=settings, change=change, modules=("xsendfile",)
        ) as front:
            yield front

    def test_place_of_an_object_is_not_told(self, front: Front) -> None:
        """The field that names the object ends at Apache."""
        assert "x-sendfile" not in front.get(publish(front, "sent").path).fields
