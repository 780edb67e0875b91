"""The servers that are compared: each under the same gunicorn, on the same device, ended by pid."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import attrs

from benchmarks.load import get

__all__ = [
    "PASSWORD",
    "THREADS",
    "USER",
    "WORKERS",
    "Server",
    "ServerError",
    "Workshop",
    "accelerated",
    "bare_nginx",
    "ceiling",
    "environment",
    "free_port",
    "gunicorn_command",
    "kept_upstream",
    "nginx_command",
    "peer",
    "production",
    "repocore",
    "started",
]

USER, PASSWORD = "demo", "a-password-of-the-benchmark"
WORKERS, THREADS = 2, 4
HERE = Path(__file__).resolve().parent


class ServerError(Exception):
    """A server did not start; its log says why."""


@attrs.frozen(kw_only=True)
class Server:
    """One running server: where it listens, and the path before the protocol's own."""

    name: str
    port: int
    base: str = ""


@attrs.frozen
class Workshop:
    """The folders of one run; all on one device, so that all servers pay the same for fsync."""

    folder: Path

    def of(self, *names: str) -> Path:
        """Returns a folder below, made when it is not there."""
        path = self.folder.joinpath(*names)
        path.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def peer_home(self) -> Path:
        """The peer's server folder."""
        return self.of("peer")

    @property
    def data(self) -> Path:
        """Our data folder."""
        return self.of("repocore")

    @property
    def settings(self) -> Path:
        """Our settings file."""
        return self.data / "repocore.toml"

    @property
    def scratch(self) -> Path:
        """Where the ceilings write and read."""
        return self.of("ceilings")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def gunicorn_command(python: str, application: str, bind: str) -> list[str]:
    """The command of a contender; each gets exactly these options."""
    command = [python, "-m", "gunicorn", "--worker-class", "gthread", "--bind", bind]
    command += ["--workers", str(WORKERS), "--threads", str(THREADS), "--keep-alive", "75"]
    return [*command, "--timeout", "600", "--log-level", "error", application]


@contextlib.contextmanager
def started(
    server: Server,
    commands: Sequence[Sequence[str]],
    workshop: Workshop,
    environ: Mapping[str, str],
    probe: str,
) -> Generator[Server]:
    log = workshop.of("logs") / f"{server.name.replace(' ', '-')}.log"
    settings = {**os.environ, **environ, "XDG_RUNTIME_DIR": str(workshop.folder)}
    processes: list[subprocess.Popen[bytes]] = []
    with log.open("wb") as output:
        try:
            processes.extend(_start(command, settings, output) for command in commands)
            _wait(server, processes, probe, log)
            yield server
        finally:
            for process in reversed(processes):
                _end(process)


def _start(
    command: Sequence[str], settings: Mapping[str, str], output: BinaryIO
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        env=settings,
        cwd=HERE.parent,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
    )


def _wait(
    server: Server, processes: Sequence[subprocess.Popen[bytes]], probe: str, log: Path
) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            if get(server.port, server.base + probe)[0] == 200:
                return
        if any(process.poll() is not None for process in processes):
            break
        time.sleep(0.1)
    message = f"{server.name} did not start: {log.read_text(errors='replace')[-2000:]}"
    raise ServerError(message)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


# ------------------------------------------------------------------------------- the contenders


def environment(folder: Path, packages: Sequence[str]) -> str:
    """Returns the interpreter of a virtual environment with these packages, made once."""
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        venv.create(folder, clear=True, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet", *packages]
        subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
        (folder / "complete").touch()
    return str(python)


def _server_conf() -> str:
    """The peer's own settings file: everybody reads, one user writes."""
    return "\n".join(
        [
            "[server]",
            f"jwt_secret: {secrets.token_hex(16)}",
            "jwt_expire_minutes: 600",
            "disk_storage_path: ./data",
            "ssl_enabled: False",
            "port: 9300",
            "host_name: localhost",
            f"updown_secret: {secrets.token_hex(16)}",
            "authorize_timeout: 1800",
            "[write_permissions]",
            f"*/*@*/*: {USER}",
            "[read_permissions]",
            "*/*@*/*: *",
            "[users]",
            f"{USER}: {PASSWORD}",
            "",
        ]
    )


@contextlib.contextmanager
def peer(workshop: Workshop, environments: Path) -> Generator[Server]:
    """conan_server, in an environment of its own with our release of gunicorn."""
    gunicorn = importlib.metadata.version("gunicorn")
    packages = ["conan-server", f"gunicorn=={gunicorn}"]
    python = environment(environments / f"peer-{gunicorn}", packages)
    conf = workshop.peer_home / "server.conf"
    if not conf.exists():
        conf.write_text(_server_conf())
    server = Server(name="conan_server", port=free_port())
    application = "conans.server.server_launcher:app"
    command = gunicorn_command(python, application, f"127.0.0.1:{server.port}")
    environ = {"CONAN_SERVER_HOME": str(workshop.peer_home)}
    with started(server, [command], workshop, environ, "/v1/ping") as running:
        yield running


def _ours(workshop: Workshop) -> dict[str, str]:
    return {"REPOCORE_DATA": str(workshop.data), "REPOCORE_CONFIG": str(workshop.settings)}


@contextlib.contextmanager
def repocore(workshop: Workshop) -> Generator[Server]:
    """repocore, with the settings that the workshop holds."""
    server = Server(name="repocore", port=free_port(), base="/conan/main")
    bind = f"127.0.0.1:{server.port}"
    command = gunicorn_command(sys.executable, "repocore_web.wsgi:application", bind)
    with started(server, [command], workshop, _ours(workshop), "/v1/ping") as running:
        yield running


@contextlib.contextmanager
def ceiling(name: str, application: str, workshop: Workshop) -> Generator[Server]:
    """One of `benchmarks.apps`; for the reader a file ``probe`` stands in its folder."""
    server = Server(name=name, port=free_port())
    (workshop.scratch / "probe").write_bytes(b"")
    bind = f"127.0.0.1:{server.port}"
    command = gunicorn_command(sys.executable, f"benchmarks.apps:{application}", bind)
    environ = {"BENCH_FOLDER": str(workshop.scratch)}
    with started(server, [command], workshop, environ, "/probe") as running:
        yield running


# ---------------------------------------------------------------------------------- behind nginx


def nginx_command(
    workshop: Workshop, name: str, port: int, locations: str, upstream: str = ""
) -> list[str]:
    """Returns the command of an nginx with a small configuration of its own."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        message = "nginx is not installed"
        raise ServerError(message)
    folder = workshop.of("nginx", name)
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};"
        for kind in ("client_body", "proxy", "uwsgi", "fastcgi", "scgi")
    )
    user = "user root;" if os.geteuid() == 0 else ""
    text = f"""
daemon off; {user} worker_processes {WORKERS}; pid {folder}/pid; error_log {folder}/error;
events {{ worker_connections 512; }}
http {{
  access_log off; sendfile on; {temporary}
  keepalive_requests 100000000; keepalive_timeout 75; client_max_body_size 0; merge_slashes off;
  {upstream}
  server {{ listen 127.0.0.1:{port}; {locations} }}
}}
"""
    conf = folder / "nginx.conf"
    conf.write_text(text)
    return [program, "-p", str(folder), "-c", str(conf), "-e", f"{folder}/error"]


def kept_upstream(inside: Path) -> str:
    """An upstream whose connections nginx keeps, as the clients keep theirs to nginx."""
    return f"upstream inside {{ server unix:{inside}; keepalive 16; }}"


@contextlib.contextmanager
def bare_nginx(workshop: Workshop) -> Generator[Server]:
    """nginx over a plain folder: the ceiling of a download."""
    server = Server(name="bare nginx", port=free_port())
    (workshop.scratch / "probe").write_bytes(b"")
    command = nginx_command(workshop, "bare", server.port, f"root {workshop.scratch};")
    with started(server, [command], workshop, {}, "/probe") as running:
        yield running


@contextlib.contextmanager
def accelerated(workshop: Workshop) -> Generator[Server]:
    """repocore behind nginx, which sends the bodies itself (X-Accel-Redirect)."""
    server = Server(name="repocore, X-Accel", port=free_port(), base="/conan/main")
    inside = workshop.folder / "accel.sock"
    blobs = workshop.data / "blobs"
    locations = f"""
location /_blobs/ {{ internal; alias {blobs}/; }}
location / {{
  proxy_pass http://inside; proxy_http_version 1.1;
  proxy_set_header Connection ""; proxy_set_header Host $http_host;
}}
"""
    commands = [
        gunicorn_command(sys.executable, "repocore_web.wsgi:application", f"unix:{inside}"),
        nginx_command(workshop, "accel", server.port, locations, kept_upstream(inside)),
    ]
    environ = {**_ours(workshop), "REPOCORE__WEB__SENDFILE": "x-accel"}
    with started(server, commands, workshop, environ, "/v1/ping") as running:
        yield running


UWSGI_PARAMETERS = """
uwsgi_param QUERY_STRING $query_string; uwsgi_param REQUEST_METHOD $request_method;
uwsgi_param CONTENT_TYPE $content_type; uwsgi_param CONTENT_LENGTH $content_length;
uwsgi_param REQUEST_URI $request_uri; uwsgi_param PATH_INFO $document_uri;
uwsgi_param SCRIPT_NAME ""; uwsgi_param SERVER_PROTOCOL $server_protocol;
uwsgi_param SERVER_PORT $server_port; uwsgi_param SERVER_NAME $server_name;
uwsgi_param REMOTE_ADDR $remote_addr; uwsgi_param HTTP_HOST $http_host;
uwsgi_param HTTP_TRANSFER_ENCODING "";
"""


@contextlib.contextmanager
def production(workshop: Workshop, environments: Path) -> Generator[Server]:
    """repocore as recommended for busy sites: nginx, uWSGI, as many workers and threads."""
    python = environment(environments / "uwsgi", ["uwsgi"])
    server = Server(name="repocore, nginx + uWSGI", port=free_port(), base="/conan/main")
    inside = workshop.folder / "uwsgi.sock"
    program = str(Path(python).with_name("uwsgi"))
    uwsgi = [program, "--socket", str(inside), "--chmod-socket=666", "--master"]
    uwsgi += ["--die-on-term", "--need-app", "--lazy-apps", "--disable-logging"]
    uwsgi += ["--processes", str(WORKERS), "--threads", str(THREADS)]
    uwsgi += ["--virtualenv", sys.prefix, "--module", "repocore_web.wsgi:application"]
    locations = f"location / {{ {UWSGI_PARAMETERS} uwsgi_pass unix:{inside}; }}"
    commands = [uwsgi, nginx_command(workshop, "production", server.port, locations)]
    with started(server, commands, workshop, _ours(workshop), "/v1/ping") as running:
        yield running
