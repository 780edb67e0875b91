"""The public URL of a request: from the settings, from a trusted proxy, or from the request."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote
from wsgiref.types import WSGIEnvironment

from repocore.config import WebSettings
from repocore.errors import ConfigurationError, InvalidPathError

__all__ = ["Forwarding", "Peers"]

# RFC 3986 section 3.2: a name or address, and a port.
_HOST = re.compile(r"(?:[A-Za-z0-9._~-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?\Z")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)*/?\Z")
_ADDRESS = re.compile(r"[0-9A-Fa-f:.]{2,45}\Z")
_UNIX: Final = "unix"


class Forwarding:
    """Believes ``X-Forwarded-Proto``, ``-Host``, ``-Port`` and ``-Prefix`` from the proxies of the
    settings, and from nobody else.  ``unix`` among these means peers of a socket file.

    Raises `ConfigurationError` for what is neither an address nor a network.
    """

    def __init__(self, settings: WebSettings) -> None:
        self._public = settings.public_url.rstrip("/") if settings.public_url else None
        self._proxies = Peers(settings.trusted_proxies, "web.trusted_proxies")

    def base_url(self, environ: WSGIEnvironment, authority: str | None) -> str:
        """The URL of the application, without a slash at its end; it includes our mount's prefix.

        Raises `InvalidPathError` for a Host that cannot be one.
        """
        host: str = authority or environ.get("HTTP_HOST") or _server(environ)
        if not _HOST.match(host):
            message = "The Host field is not the name of a server."
            raise InvalidPathError(message)
        # PEP 3333: the environ holds bytes in the guise of latin-1.
        mount: str = environ.get("SCRIPT_NAME", "")
        prefix = quote(mount.rstrip("/").encode("latin-1"), safe="/~") if mount else ""
        if self._public is not None:
            return self._public + prefix
        scheme: str = environ.get("wsgi.url_scheme", "http")
        if self._proxies:
            scheme, host, prefix = self._forwarded(environ, scheme, host, prefix)
        return f"{scheme}://{host}{prefix}"

    def trusts(self, environ: WSGIEnvironment) -> bool:
        """Whether the peer is one of the trusted proxies."""
        return self._proxies.include(environ.get("REMOTE_ADDR", ""))

    def client(self, environ: WSGIEnvironment) -> str:
        """The address of the client, as far as it can be believed; empty for a socket file.

        Of ``X-Forwarded-For`` the last that no trusted proxy has is believed.
        """
        peer: str = environ.get("REMOTE_ADDR", "")
        if not self._proxies or not self._proxies.include(peer):
            return peer
        sent: str = environ.get("HTTP_X_FORWARDED_FOR", "")
        for address in reversed(sent.split(",")):
            peer = address.strip() or peer
            if not self._proxies.include(peer):
                break
        return peer if _ADDRESS.match(peer) else environ.get("REMOTE_ADDR", "")

    def _forwarded(
        self, environ: WSGIEnvironment, scheme: str, host: str, prefix: str
    ) -> tuple[str, str, str]:
        if not self.trusts(environ):
            return scheme, host, prefix
        sent = _last(environ, "HTTP_X_FORWARDED_HOST")
        if _HOST.match(sent):
            host = sent
        proto = _last(environ, "HTTP_X_FORWARDED_PROTO").lower()
        if proto in {"http", "https"}:
            scheme = proto
        port = _last(environ, "HTTP_X_FORWARDED_PORT")
        if port.isdecimal() and not re.search(r":\d+\Z", host) and port != _usual(scheme):
            host = f"{host}:{port}"
        above = _last(environ, "HTTP_X_FORWARDED_PREFIX")
        if above and _PREFIX.match(above):
            prefix = above.rstrip("/") + prefix
        return scheme, host, prefix


class Peers:
    """Addresses and networks of a setting; ``unix`` is any peer of a socket file.

    Raises `ConfigurationError` for what is neither an address nor a network.
    """

    def __init__(self, texts: Iterable[str], setting: str) -> None:
        given = tuple(texts)
        self._unix = _UNIX in given
        try:
            self._networks = [
                ipaddress.ip_network(text, strict=False) for text in given if text != _UNIX
            ]
        except ValueError as error:
            message = f"{setting}: {error}; write addresses, networks or {_UNIX}."
            raise ConfigurationError(message) from error

    def __bool__(self) -> bool:
        return self._unix or bool(self._networks)

    def include(self, address: str) -> bool:
        """Whether the address is among them; the empty one is that of a socket file."""
        if not address:
            return self._unix  # a socket file: only a neighbour can write to it
        try:
            peer = ipaddress.ip_address(address)
        except ValueError:
            return False
        if peer.version == 6 and peer.ipv4_mapped:  # noqa: PLR2004 - how a socket for both sees IPv4
            peer = peer.ipv4_mapped
        return any(peer in network for network in self._networks)


def _last(environ: WSGIEnvironment, name: str) -> str:
    # Each proxy appends; only what the last, trusted one wrote is believed.
    value: str = environ.get(name, "")
    return value.rpartition(",")[2].strip()


def _usual(scheme: str) -> str:
    return "443" if scheme == "https" else "80"


def _server(environ: WSGIEnvironment) -> str:
    name, port = environ["SERVER_NAME"], environ["SERVER_PORT"]
    return name if port == _usual(environ.get("wsgi.url_scheme", "http")) else f"{name}:{port}"
