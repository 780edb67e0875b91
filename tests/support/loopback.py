"""Keep a test process on this machine: connections and look-ups that leave it fail the test."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Iterator
from typing import Any

import pytest

LOCAL_NAMES = frozenset({"", "localhost"})


def is_local(host: str | bytes | None) -> bool:
    """Whether a host names this machine; an address that only binds (0.0.0.0) does."""
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host or ""
    if name in LOCAL_NAMES:
        return True
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(name.partition("%")[0])
        return address.is_loopback or address.is_unspecified
    return False


@contextlib.contextmanager
def only_loopback() -> Iterator[None]:
    """Fail the running test when it connects to, or looks up, another machine."""
    connect, connect_ex, look_up = (
        socket.socket.connect,
        socket.socket.connect_ex,
        socket.getaddrinfo,
    )

    def check(host: str | bytes | None) -> None:
        if not is_local(host):
            pytest.fail(f"a test may speak to loopback only, not to {host!r}")

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX:
            check(address[0])
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        if self.family != socket.AF_UNIX:
            check(address[0])
        return connect_ex(self, address)

    def guarded_look_up(host: Any, *arguments: Any, **named: Any) -> Any:
        check(host)
        return look_up(host, *arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
        patch.setattr(socket, "getaddrinfo", guarded_look_up)
        yield
