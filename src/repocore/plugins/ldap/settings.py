"""What ``[plugins.ldap]`` says, and what must not be said."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import attrs

from repocore.config import Secret

__all__ = ["LdapSettings", "filled", "split_url"]

_FIELD = re.compile(r"\{(name|dn)\}")
#: Everything else is escaped: more than RFC 4515 wants, and nothing that a parser reads otherwise.
_PLAIN: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


def filled(template: str, **values: str) -> str:
    """A filter with its ``{name}`` and ``{dn}`` filled in, each byte escaped (RFC 4515)."""
    return _FIELD.sub(lambda field: _escaped(values[field[1]]), template)


def _escaped(value: str) -> str:
    return "".join(chr(b) if b in _PLAIN else f"\\{b:02x}" for b in value.encode())


def split_url(url: str) -> SplitResult:
    """The parts of ``ldap://host:port``; raises `ValueError` for what is none."""
    parts = urlsplit(url)
    said = (parts.path.strip("/"), parts.query, parts.fragment, parts.username)
    if parts.scheme not in {"ldap", "ldaps"} or not parts.hostname or any(said):
        message = "expected a URL such as ldaps://ldap.example or ldap://ldap.example:389"
        raise ValueError(message)
    return parts


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _positive(value: Any) -> None:
    if value <= type(value)(0):
        message = "must be more than nothing"
        raise ValueError(message)


def _of(help: str, check: Any = None, each: Any = None) -> dict[str, Any]:
    return {"help": help, "check": check, "each": each}


@attrs.frozen(kw_only=True)
class LdapSettings:
    """``[plugins.ldap]``: which directory, how it is reached, and who may sign in."""

    urls: tuple[str, ...] = attrs.field(
        default=(),
        metadata=_of(
            "Where the directory is; the next is tried where one does not answer.", each=split_url
        ),
    )
    start_tls: bool = attrs.field(
        default=False, metadata=_of("Whether ldap:// connections turn to TLS before anything else.")
    )
    ca_bundle: Path | None = attrs.field(
        default=None, metadata=_of("Certificates that sign the directory's; else the system's.")
    )
    insecure: bool = attrs.field(
        default=False,
        metadata=_of("Whether passwords may cross the network unencrypted."),
    )
    bind_dn: str = attrs.field(
        default="", metadata=_of("As whom people are looked up; nobody where it is empty.")
    )
    bind_password: Secret = attrs.field(
        default=Secret(), metadata=_of("The password of `bind_dn`."), repr=False
    )
    user_base: str = attrs.field(default="", metadata=_of("Below which entry people are."))
    user_filter: str = attrs.field(
        default="(uid={name})", metadata=_of("Who is meant by a name; must find one entry.")
    )
    name_attribute: str = attrs.field(
        default="uid", metadata=_of("What the entry says is the user's name here.")
    )
    member_of: str = attrs.field(
        default="memberOf",
        metadata=_of("The attribute with the names (DN) of a user's groups, or nothing."),
    )
    group_base: str = attrs.field(
        default="", metadata=_of("Below which entry groups are looked up; empty: they are not.")
    )
    group_filter: str = attrs.field(
        default="(member={dn})", metadata=_of("Whose groups they are: {dn}, or {name}.")
    )
    group_name_attribute: str = attrs.field(
        default="cn", metadata=_of("What a group's name is, in its entry and in its DN.")
    )
    allowed_groups: tuple[str, ...] = attrs.field(
        default=(), metadata=_of("Only their members may sign in; without any, everybody may.")
    )
    connect_timeout: timedelta = attrs.field(
        default=timedelta(seconds=5),
        metadata=_of("How long a connection may take, of each URL.", _positive),
    )
    timeout: timedelta = attrs.field(
        default=timedelta(seconds=10), metadata=_of("How long an answer may take.", _positive)
    )
    pool: int = attrs.field(
        default=4, metadata=_of("Connections at once, of each process.", _positive)
    )
    cache: timedelta = attrs.field(
        default=timedelta(seconds=60),
        metadata=_of("How long a right password is remembered, as a keyed hash; 0s: not at all."),
    )

    def __attrs_post_init__(self) -> None:
        problem = next(self._problems(), None) if self.urls else None
        if problem:
            raise ValueError(problem)

    def _problems(self) -> Iterator[str]:
        """What no field can say alone."""
        for parts in map(split_url, self.urls):
            plain = parts.scheme == "ldap" and not self.start_tls
            if plain and not self.insecure and not _loopback(str(parts.hostname)):
                yield (
                    f"passwords would go to {parts.hostname} unencrypted; "
                    "write ldaps://, or `start_tls = true`, or `insecure = true` if that is meant"
                )
        if not self.user_base:
            yield "`user_base` is missing"
        if self.bind_dn and not self.bind_password:
            yield "`bind_dn` wants a `bind_password`"
        if "{name}" not in self.user_filter or "{dn}" in self.user_filter:
            yield "`user_filter` wants {name}, the name that somebody signs in with"
        if self.group_base and not _FIELD.search(self.group_filter):
            yield "`group_filter` wants {dn} or {name}"
        yield from _refusals(self)


def _refusals(settings: LdapSettings) -> Iterator[str]:
    """What only the package for LDAP can tell."""
    try:
        from repocore.plugins.ldap.directory import (  # noqa: PLC0415 - it imports an optional package
            refusals,
        )
    except ImportError:
        yield "needs the package ldap3; pip install 'repocore[ldap]'"
    else:
        yield from refusals(settings)
