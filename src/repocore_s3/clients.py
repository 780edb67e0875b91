"""The clients of botocore: made when one is needed first, and by each process for itself."""

from __future__ import annotations

import os
import threading
from importlib.metadata import version
from typing import Any, Final

import attrs
import botocore.session
from botocore.config import Config

from repocore_s3.settings import Addressing, Checksums, S3Settings

__all__ = ["Clients"]

#: What stores want that have no regions.
_REGION: Final = "us-east-1"


#: An end point, and when requests to it carry checksums of the newer kind.
_Kind = tuple[str | None, Checksums]


@attrs.define
class _Process:
    """What one process has made.  Its lock is its own: no fork leaves it locked."""

    number: int
    lock: threading.Lock = attrs.field(factory=threading.Lock)
    session: Any = None
    clients: dict[_Kind, Any] = attrs.field(factory=dict["_Kind", Any])


class Clients:
    """Clients of one store; for threads, and for servers that fork.

    A client may be used by many threads, but its connections by one process only.
    """

    def __init__(self, settings: S3Settings) -> None:
        self._settings = settings
        self._process = _Process(os.getpid())

    def inner(self) -> Any:
        """The client of the server's own requests."""
        return self._client(self._settings.endpoint, self._settings.checksums)

    def plain(self) -> Any:
        """The same, for uploads that others send the parts of: they know no newer checksums, and
        an upload that was begun with them would want them.
        """
        return self._client(self._settings.endpoint, Checksums.WHEN_REQUIRED)

    def outer(self) -> Any:
        """The client that signs what others will ask; it asks nothing itself."""
        end_point = self._settings.public_endpoint or self._settings.endpoint
        return self._client(end_point, Checksums.WHEN_REQUIRED)

    def _client(self, end_point: str | None, checksums: Checksums) -> Any:
        kind = (end_point, checksums)
        process = self._process
        number = os.getpid()
        if process.number != number:
            process = self._process = _Process(number)
        client = process.clients.get(kind)
        if client is None:
            with process.lock:
                client = process.clients.get(kind)
                if client is None:
                    client = process.clients[kind] = self._make(process, *kind)
        return client

    def _make(self, process: _Process, end_point: str | None, checksums: Checksums) -> Any:
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
            config=_config(settings, end_point, checksums),
        )


def _session(settings: S3Settings) -> Any:
    session: Any = botocore.session.Session(profile=settings.profile)
    if settings.access_key:
        session.set_credentials(
            str(settings.access_key), str(settings.secret_key), str(settings.session_token) or None
        )
    return session


def _config(settings: S3Settings, end_point: str | None, checksums: Checksums) -> Any:
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
        request_checksum_calculation=checksums.value,
        response_checksum_validation="when_required",
        tcp_keepalive=True,
        user_agent_extra=f"repocore/{version('repocore')}",
    )
