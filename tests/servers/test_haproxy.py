"""HAProxy in front, with TLS, and connections to us that it uses for everybody."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from certificates import Certificates
from front_contract import FrontContract
from front_servers import Front, make_data, program, running, serving
from live_server import free_port

SETTINGS = '[web]\ntrusted_proxies = ["127.0.0.1"]\n'
CONFIGURATION = """\
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 300s

frontend packages
    bind 127.0.0.1:{port} ssl crt {certificate}
    http-request set-header X-Forwarded-Proto https
    http-request set-header X-Forwarded-Host %[req.hdr(Host)]
    http-request del-header X-Forwarded-Port
    http-request del-header X-Forwarded-Prefix
    default_backend repocore

backend repocore
    http-reuse always
    retry-on conn-failure empty-response
    server one {behind}
"""

pytestmark = [
    pytest.mark.servers,
    pytest.mark.slow,
    pytest.mark.skipif(program("haproxy") is None, reason="haproxy is not installed"),
]


@contextmanager
def before(folder: Path, certificates: Certificates) -> Generator[Front]:
    """HAProxy before `repocore serve`."""
    data = make_data(folder / "data", SETTINGS)
    both = folder / "both.pem"
    both.write_bytes(certificates.certificate.read_bytes() + certificates.key.read_bytes())
    with serving(data) as behind:
        front = Front(port=free_port(), authority=certificates.authority)
        text = CONFIGURATION.format(port=front.port, certificate=both, behind=behind.place)
        (folder / "haproxy.cfg").write_text(text, encoding="utf-8")
        command = [str(program("haproxy")), "-db", "-f", f"{folder}/haproxy.cfg"]
        with running(command, front, folder / "haproxy.log"):
            yield front


class TestBefore(FrontContract):
    """HAProxy passes requests and answers on."""

    fronted = before
