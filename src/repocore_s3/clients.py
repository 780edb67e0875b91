"""The clients of botocore: made when one is needed first, and by each process for itself."""

from __future__ import annotations

import os
import threading
from importlib.metadata import version
from typing import Any, Final

import attrs
import botocore.session
from botocore.config import Config

from repocore_s3.settings import Addressing, S3Settings

__all__ = ["Clients"]

#: What stores want that have no regions.
_REGION: Final = "us-east-1"


@attrs.define
class _Process:
    """What one process has made.  Its lock is its own: no fork leaves it locked."""

    number: int
    lock: threading.Lock = attrs.field(factory=threading.Lock)
    session: Any = None
    clients: dict[str | None, Any] = attrs.field(factory=dict[str | None, Any])


class Clients:
    """Clients of one store; for threads, and for servers that fork.

    A client may be used by many threads, but its connections by one process only.
    """

    def __init__(self, settings: S3Settings) -> None:
        self._settings = settings
        self._process = _Process(os.getpid())

    def inner(self) -> Any:
        """The client of the server's own requests."""
        return self._client(self._settings.endpoint)

    def outer(self) -> Any:
        """The client that signs what others will ask; it asks nothing itself."""
        return self._client(self._settings.public_endpoint or self._settings.endpoint)

    def _client(self, end_point: str | None) -> Any:
        process = self._process
        number = os.getpid()
        if process.number != number:
            process = self._process = _Process(number)
        client = process.clients.get(end_point)
        if client is None:
            with process.lock:
                client = process.clients.get(end_point)
                if client is None:
                    client = process.clients[end_point] = self._make(process, end_point)
        return client

    def _make(self, process: _Process, end_point: str | None) -> Any:
        settings = self._settings
        if process.session is None:
            process.session = _session(settings)
        session = process.session
        # Of an end point in the environment or in a profile, botocore knows by itself.
        region = settings.region or session.get_config_variable("region") or _REGION
        return session.create_client(
            "s3",
            endpoint_url=end_point,
            region_name=region,
            verify=None if settings.ca_bundle is None else str(settings.ca_bundle),
            config=_config(settings, end_point),
        )


def _session(settings: S3Settings) -> Any:
    session: Any = botocore.session.Session(profile=settings.profile)
    if settings.access_key:
        session.set_credentials(
            str(settings.access_key), str(settings.secret_key), str(settings.session_token) or None
        )
    return session


def _config(settings: S3Settings, end_point: str | None) -> Any:
    style = settings.addressing
    if style is Addressing.AUTO:
        # botocore's own "auto" signs URLs for a host of AWS that sends clients on to the region.
        style = Addressing.VIRTUAL if end_point is None else Addressing.PATH
    make: Any = Config
    return make(
        # Signed URLs would else be of an older kind, which newer regions do not take.
        signature_version="s3v4",
        s3={"addressing_style": style.value},
        connect_timeout=settings.connect_timeout.total_seconds(),
        read_timeout=settings.timeout.total_seconds(),
        retries={"mode": "standard", "total_max_attempts": settings.retries + 1},
        max_pool_connections=settings.pool,
        request_checksum_calculation=settings.checksums.value,
        response_checksum_validation="when_required",
        tcp_keepalive=True,
        user_agent_extra=f"repocore/{version('repocore')}",
    )
