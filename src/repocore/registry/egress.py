"""Where the server may connect to when a setting or an account names a URL.

Nothing that others say may make it talk to itself, to its neighbours or to the machine that it
runs on.  What is checked is the address, after the name was resolved; whoever connects uses the
address that was checked.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

import attrs

from repocore.errors import ConfigurationError, UpstreamRefusedError, UpstreamUnavailableError

__all__ = ["Egress", "Target", "is_public", "parse_allowed", "parse_target"]

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_PORTS: Final = {"http": 80, "https": 443}
# RFC 3986, and nothing that two readers could understand differently.
_URL = re.compile(r"[!#-;=?-\[\]_a-z~%&']+\Z")
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?\Z")

#: Beyond what `ipaddress` knows in each of its versions: IANA's registries of special addresses.
_SPECIAL: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/3",
        "::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "fc00::/7", "fe80::/10",
        "fec0::/10", "ff00::/8",
    )
)  # fmt: skip
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")

#: Names that mean the machine itself, its network, or what knows its secrets.
_LOCAL_NAMES: Final = frozenset({"localhost", "metadata", "instance-data"})
_LOCAL_ENDS: Final = (".localhost", ".local", ".internal")


def is_public(text: str) -> bool:
    """Whether an address is one of the public network; also where it wraps another one."""
    address = _unwrapped(ipaddress.ip_address(text.partition("%")[0]))
    if any(address.version == network.version and address in network for network in _SPECIAL):
        return False
    return address.is_global and not address.is_multicast


def _unwrapped(address: _Address) -> _Address:
    """The IPv4 address inside of an IPv6 one that a network or a socket turns into it."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and address in _NAT64:
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return inner or address


@attrs.frozen
class Target:
    """The parts of a URL that somebody may connect to."""

    scheme: str
    #: In small letters, without a dot at its end and without brackets.
    host: str
    port: int
    #: The path and the query, as they are sent.
    path: str

    @property
    def origin(self) -> tuple[str, str, int]:
        """What credentials are for (RFC 6454)."""
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """The Host field."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def parse_target(url: str) -> Target:
    """Take a URL apart; raises `UpstreamRefusedError` for all that is not plainly HTTP."""
    message = "That is no URL to connect to: write https://server.example/path, without a user."
    if (
        not _URL.match(url.lower())
        or "@" in url.partition("?")[0].partition("//")[2].partition("/")[0]
    ):
        raise UpstreamRefusedError(message)
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".").lower()
        port = parts.port
    except ValueError as error:
        raise UpstreamRefusedError(message) from error
    known = _address(host) or _NAME.match(host)
    if parts.scheme not in _PORTS or port == 0 or "@" in parts.netloc or not known:
        raise UpstreamRefusedError(message)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, port or _PORTS[parts.scheme], path)


def parse_allowed(text: str) -> _Network | str:
    """A network, or the name of a host, that the guard lets through.

    Raises `ValueError` with a sentence.
    """
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        name = text.rstrip(".").lower()
        if not _NAME.match(name) or name.replace(".", "").isdecimal():
            message = "expected a network such as 10.0.0.0/8, or the name of a host"
            raise ValueError(message) from None
        return name


class Egress:
    """The guard: resolves a target once, and lets nothing through that is not public.

    ``allow`` names networks and hosts that are exempt: an intranet's.  With ``by_proxy`` another
    server resolves names, so that only names and written addresses can be checked.  Raises
    `ConfigurationError` for an ``allow`` that is neither.
    """

    def __init__(self, allow: Iterable[str] = (), *, by_proxy: bool = False) -> None:
        try:
            allowed = [parse_allowed(text) for text in allow]
        except ValueError as error:
            raise ConfigurationError(problems=(f"allow: {error}",)) from error
        self._names = frozenset(one for one in allowed if isinstance(one, str))
        self._networks = tuple(one for one in allowed if not isinstance(one, str))
        self._by_proxy = by_proxy

    def addresses(self, target: Target) -> tuple[str, ...]:
        """The addresses to connect to, in the order to try them; never none.

        Raises `UpstreamRefusedError` where one of them is not public, `UpstreamUnavailableError`
        for a name that does not resolve.
        """
        exempt = target.host in self._names
        if not exempt:
            self._check_name(target.host)
        if self._by_proxy:
            return (target.host,)
        found = _resolve(target)
        if not exempt and not all(self._lets(address) for address in found):
            raise UpstreamRefusedError
        return found

    def _check_name(self, host: str) -> None:
        written = _address(host)
        if written is not None:
            if not self._lets(written):
                raise UpstreamRefusedError
            return
        labels = host.split(".")
        local = host in _LOCAL_NAMES or labels[0] in _LOCAL_NAMES or host.endswith(_LOCAL_ENDS)
        # What a proxy makes of a name without a dot is its own business: its neighbours, mostly.
        if (local and not self._networks) or (self._by_proxy and (local or len(labels) == 1)):
            raise UpstreamRefusedError

    def _lets(self, text: str) -> bool:
        if is_public(text):
            return True
        address = ipaddress.ip_address(text.partition("%")[0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return any(address in one for one in self._networks if one.version == address.version)


def _address(host: str) -> str | None:
    """The address that a host is written as, in any spelling that a resolver knows; or None."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    # Decimal, octal, hexadecimal, and with fewer than four parts.
    if not re.fullmatch(r"(?:0x[0-9a-f]*|\d+)(?:\.(?:0x[0-9a-f]*|\d+)){0,3}", host):
        return None
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError as error:
        raise UpstreamRefusedError from error  # numbers, and no address: no name is like that


def _resolve(target: Target) -> tuple[str, ...]:
    message = "The name of a server that has to be asked is not known; try again later."
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UpstreamUnavailableError(message) from error
    addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not addresses:
        raise UpstreamUnavailableError(message)
    return addresses
