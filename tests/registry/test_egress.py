"""Where the server may connect to."""

from __future__ import annotations

import socket

import pytest

from repocore.errors import ConfigurationError, UpstreamRefusedError, UpstreamUnavailableError
from repocore.registry.egress import Egress, is_public, parse_target

INSIDE = [
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "169.254.169.254",
    "172.16.0.1", "192.0.0.1", "192.168.1.1", "198.18.0.1", "224.0.0.1", "240.0.0.1",
    "255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2001::1",
    "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "100::1",
]  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
def test_addresses_inside_are_not_public(address):
    """Loopback, private and shared networks, and what wraps them (T31)."""
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.4.4", "2606:4700::1", "64:ff9b::808:404"])
def test_addresses_outside_are_public(address):
    """Everybody else's, also behind a network's translation."""
    assert is_public(address)


def resolving(monkeypatch, *addresses: str) -> list[str]:
    asked: list[str] = []

    def look_up(host, port, **_):
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


def test_a_name_is_resolved_once(monkeypatch):
    """What was checked is what is connected to: a second look-up could say something else."""
    asked = resolving(monkeypatch, "8.8.4.4", "8.8.8.8")
    assert Egress().addresses(parse_target("https://ok.example/")) == ("8.8.4.4", "8.8.8.8")
    assert asked == ["ok.example"]


@pytest.mark.parametrize("address", INSIDE)
def test_one_address_inside_refuses_the_name(monkeypatch, address):
    """Also where the others are public."""
    resolving(monkeypatch, "8.8.4.4", address)
    with pytest.raises(UpstreamRefusedError):
        Egress().addresses(parse_target("https://ok.example/"))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/", "http://[::1]/", "http://2130706433/", "http://0x7f.1/",
        "http://0177.0.0.1/", "http://127.1/", "http://localhost/", "http://localhost./",
        "http://LOCALHOST/", "http://a.localhost/", "http://metadata/", "http://metadata.example/",
        "http://x.internal/", "http://printer.local/", "http://[::ffff:7f00:1]/",
    ],
)  # fmt: skip
@pytest.mark.parametrize("by_proxy", [False, True])
def test_spellings_of_this_machine_are_refused(monkeypatch, url, by_proxy):
    """Whichever way the address is written, and where a proxy would resolve it."""
    resolving(monkeypatch, "127.0.0.1")
    with pytest.raises(UpstreamRefusedError):
        Egress(by_proxy=by_proxy).addresses(parse_target(url))


def test_a_proxy_is_not_asked_for_its_neighbours(monkeypatch):
    """A name without a dot means something else behind each proxy; others it resolves."""
    asked = resolving(monkeypatch, "127.0.0.1")
    guard = Egress(by_proxy=True)
    assert guard.addresses(parse_target("http://ok.example/")) == ("ok.example",)
    with pytest.raises(UpstreamRefusedError):
        guard.addresses(parse_target("http://intranet/"))
    assert asked == []


@pytest.mark.parametrize(
    ("allow", "address"),
    [("10.0.0.0/8", "10.1.2.3"), ("10.0.0.0/8", "::ffff:10.1.2.3"), ("Inner.Example.", "10.1.2.3"),
     ("fd00::/8", "fd00::1")],
)  # fmt: skip
def test_what_is_allowed_passes(monkeypatch, allow, address):
    """By network or by name."""
    resolving(monkeypatch, address)
    assert Egress([allow]).addresses(parse_target("http://inner.example/")) == (address,)


def test_what_is_allowed_is_no_more_than_that(monkeypatch):
    """Another network stays refused."""
    resolving(monkeypatch, "127.0.0.1")
    with pytest.raises(UpstreamRefusedError):
        Egress(["10.0.0.0/8"]).addresses(parse_target("http://localhost/"))


def test_loopback_can_be_allowed(monkeypatch):
    """By its network: then its name is allowed, too."""
    resolving(monkeypatch, "127.0.0.1")
    guard = Egress(["127.0.0.0/8"])
    assert guard.addresses(parse_target("http://localhost:1/")) == ("127.0.0.1",)
    assert guard.addresses(parse_target("http://127.0.0.1:1/")) == ("127.0.0.1",)


@pytest.mark.parametrize("allow", ["", "a b", "10.0.0.0/40", "http://x", "1.2.3"])
def test_what_is_no_network_cannot_be_allowed(allow):
    """The settings say so, and how it is written."""
    with pytest.raises(ConfigurationError) as caught:
        Egress([allow])
    assert "10.0.0.0/8" in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "", "x", "//x", "file:///etc/passwd", "gopher://x/", "ftp://x/", "http:///x", "http://",
        "http://ok.example@evil.example/", "http://user:pass@ok.example/", "http://ok.example:0/",
        "http://ok.example:99999/", "http://ok.example:x/", "http://ok.example\\@evil.example/",
        "http://ok.example /", "http://ok.example/\r\nX: y", "http://ok.exam\tple/", "http://\u0131.example/",
        "http://[::1/", "http://a..b\x00/", "http://-x/", "http://%6c/", "http://999.1.1.1/",
    ],
)  # fmt: skip
def test_other_urls_are_refused(url):
    """Only http and https, without a user, and nothing that two readers read differently."""
    with pytest.raises(UpstreamRefusedError):
        parse_target(url)


def test_the_parts_of_a_url():
    """As they are sent: Host with a port where it is not the usual one, and no fragment."""
    target = parse_target("HTTPS://Ok.Example.:8443/a/b?c=d%20e#f")
    assert target.origin == ("https", "ok.example", 8443)
    assert (target.authority, target.path) == ("ok.example:8443", "/a/b?c=d%20e")
    assert parse_target("http://[2606:4700::1]").authority == "[2606:4700::1]"
    assert parse_target("https://ok.example:443/").authority == "ok.example"


@pytest.mark.parametrize("found", [OSError("no"), []])
def test_an_unknown_name_is_told(monkeypatch, found):
    """As something that may be over soon."""

    def look_up(*_, **__):
        if isinstance(found, OSError):
            raise found
        return found

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(UpstreamUnavailableError):
        Egress().addresses(parse_target("http://ok.example/"))
