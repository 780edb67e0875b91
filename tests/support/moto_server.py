"""A mock of S3 as a process of its own, on loopback, for one test process."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

START_SECONDS = 60.0


class NoMotoError(Exception):
    """The mock is not installed."""


@contextlib.contextmanager
def moto_server() -> Iterator[str]:
    """Yield the end point of a new mock, gone when the block ends; it takes a second or two."""
    if importlib.util.find_spec("moto") is None:
        raise NoMotoError("moto is not installed: pip install 'moto[server]'")
    port = _free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    # What it reads and signs is its own; it is no part of what is traced.
    own = {n: v for n, v in os.environ.items() if not n.startswith(("AWS_", "COVERAGE_"))}
    server = subprocess.Popen(
        command, env=own, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _await(server, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _await(server: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            if server.poll() is not None or time.monotonic() > until:
                raise NoMotoError("the mock of S3 did not start") from None
            time.sleep(0.05)
        else:
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
