"""``serve``: the reference server, gunicorn with threads around the WSGI application."""

from __future__ import annotations

import ipaddress
import socket
import sys
from collections.abc import Sequence
from typing import Any, Final

import click
from gunicorn.app.base import BaseApplication  # pyright: ignore[reportMissingTypeStubs]

from repocore.cli.first import FirstStart, first_start
from repocore.cli.output import State, command
from repocore.errors import ConfigurationError
from repocore.plugin_manager import open_registry
from repocore_web import create_app

__all__ = ["COMMANDS"]

PORT: Final = 9300


@command()
@click.option(
    "--host", "hosts", multiple=True, default=("127.0.0.1",), help="An address; may repeat."
)
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True)
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Processes.")
@click.option("--threads", type=click.IntRange(1), default=8, show_default=True, help="Of each.")
@click.option("--access-log", is_flag=True, help="A line a request on stderr, without secrets.")
def serve(
    state: State,
    hosts: Sequence[str],
    port: int,
    workers: int,
    threads: int,
    *,
    access_log: bool,
) -> None:
    """Serve the data folder over HTTP; makes it first where it is not there."""
    settings = state.settings()
    sockets = [_bind(host, port) for host in hosts]
    port = sockets[0].getsockname()[1]
    loopback = all(_is_loopback(host) for host in hosts)
    with open_registry(settings=settings) as registry:
        made = first_start(registry, loopback=loopback)
    for one in sockets:
        one.close()
    options: dict[str, Any] = {
        "bind": [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host in hosts],
        "workers": workers,
        "threads": threads,
        "worker_class": "gthread",
        "keepalive": 75,
        # Of a worker that shows no sign of life, not of a request: a slow upload is none.
        "timeout": 120,
        "graceful_timeout": 30,
        "accesslog": "-" if access_log else None,
        "logger_class": "repocore.cli.logs.Logger",
        "loglevel": "warning",
        "control_socket_disable": True,
        # Who is behind a proxy is the application's to decide, by its own settings.
        "forwarded_allow_ips": "",
        "limit_request_line": 8190,
        "when_ready": lambda _server: _tell(hosts[0], port, made, loopback=loopback),
    }
    _Server(settings, options).run()


class _Server(BaseApplication):
    """gunicorn, told by us and by no file of its own."""

    def __init__(self, settings: Any, options: dict[str, Any]) -> None:
        self._settings = settings
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        # Each worker opens its own registry, after the fork.
        return create_app(open_registry(settings=self._settings))


def _bind(host: str, port: int) -> socket.socket:
    """Take the address, so that a port that is in use is told in a sentence."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    one = socket.socket(family, socket.SOCK_STREAM)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        one.bind((host, port))
    except OSError as error:
        one.close()
        message = f"Cannot listen on {host} port {port}: {error.strerror}. Choose another --port."
        raise ConfigurationError(message) from error
    return one


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _tell(host: str, port: int, made: FirstStart | None, *, loopback: bool) -> None:
    shown = f"[{host}]" if ":" in host else host
    base = f"http://{shown}:{port}"
    lines = [f"repocore listens on {base}"]
    if made is not None:
        lines += ["", made.told()]
    if not loopback:
        lines += [
            "",
            "WARNING: this address is reached from elsewhere and has no TLS: passwords travel in "
            "the clear. Put a server with TLS in front.",
        ]
    lines += [
        "",
        "With a Conan 2 client:",
        f"  conan remote add house {base}/conan/main",
        "  conan remote login house admin",
        "  conan upload 'PACKAGE/*' -r house -c",
        "",
    ]
    click.echo("\n".join(lines))
    sys.stdout.flush()


COMMANDS = {"serve": serve}
