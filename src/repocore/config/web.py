"""``[web]``: how HTTP is spoken."""

from __future__ import annotations

import ipaddress
import re
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

import attrs

from repocore.config.saying import positive as _positive, says
from repocore.config.signing_in import FrontSettings
from repocore.model import FilePath, split_address

__all__ = ["WebSettings"]

_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)+\Z")


def _url(value: str | None) -> None:
    if value is None:
        return
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("expected a URL such as https://packages.example")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("expected a URL without a user, a query or a fragment")


def _network(value: str) -> None:
    if value == "unix":
        return
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        message = "expected an address, a network such as 10.0.0.0/8, or unix"
        raise ValueError(message) from None


def _prefix(value: str) -> None:
    if value and (not value.startswith("/") or not _PREFIX.match(value)):
        raise ValueError(
            'expected nothing, or a path such as "/packages" without a slash at its end'
        )
    if value:
        FilePath.parse(value[1:])


def _front(value: str | None) -> None:
    if value not in {None, "x-accel", "x-sendfile"}:
        raise ValueError('expected "x-accel" (nginx) or "x-sendfile" (Apache, lighttpd)')


def _root(value: str | None) -> None:
    if value is not None and split_address(value)[0] != "conan":
        raise ValueError("only a Conan repository has a place at the root, for example conan/main")


@attrs.frozen(kw_only=True)
class WebSettings(FrontSettings):
    """``[web]``: how HTTP is spoken."""

    public_url: str | None = attrs.field(
        default=None,
        metadata=says(
            "The URL that people reach the server at; else it is taken from each request.",
            check=_url,
        ),
    )
    trusted_proxies: tuple[str, ...] = attrs.field(
        default=(),
        metadata=says(
            "Addresses or networks of the proxies whose X-Forwarded-* fields are believed; "
            "unix is any peer on a UNIX socket.",
            each=_network,
        ),
    )
    sendfile: str | None = attrs.field(
        default=None,
        metadata=says(
            "x-accel (nginx) or x-sendfile (Apache, lighttpd): who sends file bodies.",
            check=_front,
        ),
    )
    sendfile_prefix: str = attrs.field(
        default="/_blobs/",
        metadata=says(
            "The internal location of nginx, or the storage's folder, before an object's name."
        ),
    )
    redirect: bool = attrs.field(
        default=True,
        metadata=says("Whether clients are sent to the storage's own URLs where it has them."),
    )
    redirect_lifetime: timedelta = attrs.field(
        default=timedelta(minutes=30), metadata=says("How long such a URL works.", check=_positive)
    )
    root: str | None = attrs.field(
        default=None,
        metadata=says(
            "The Conan repository that is also reached at the root of the server.", check=_root
        ),
    )
    prefix: str = attrs.field(
        default="",
        metadata=says(
            "The path below which everything is served, for example /packages; it comes on top of "
            "public_url, and of where the application is mounted.",
            check=_prefix,
        ),
    )
    api: bool = attrs.field(default=True, metadata=says("Whether there is the API at /api/v1."))
    pages: bool = attrs.field(
        default=True, metadata=says("Whether there are pages for people, those of the API too.")
    )
    metrics: bool = attrs.field(
        default=False, metadata=says("Whether there are numbers for Prometheus at /metrics.")
    )
    metrics_from: tuple[str, ...] = attrs.field(
        default=(),
        metadata=says(
            "Addresses or networks that read /metrics without signing in; without any it takes an "
            "administrator. unix is any peer on a UNIX socket.",
            each=_network,
        ),
    )
