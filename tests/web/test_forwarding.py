"""Under which URL a request was made, and who is believed about it."""

from __future__ import annotations

import pytest
from wsgi_calls import environ

from repocore.config import WebSettings
from repocore.errors import ConfigurationError, InvalidPathError
from repocore_web.forwarding import Forwarding

FORWARDED = {
    "HTTP_X_FORWARDED_PROTO": "https",
    "HTTP_X_FORWARDED_HOST": "pool.example",
    "HTTP_X_FORWARDED_PORT": "8443",
    "HTTP_X_FORWARDED_PREFIX": "/above/",
}


def url(*trusted, authority=None, public=None, script="", **fields):
    settings = WebSettings(trusted_proxies=trusted, public_url=public)
    made = environ(f"{script}/a", script=script, **fields)
    return Forwarding(settings).base_url(made, authority)


@pytest.mark.parametrize(
    ("trusted", "peer"),
    [
        (("192.0.2.7",), "192.0.2.7"),
        (("198.51.100.1", "192.0.2.0/24"), "192.0.2.9"),
        (("192.0.2.9/24",), "192.0.2.1"),
        (("192.0.2.0/24",), "::ffff:192.0.2.9"),
        (("2001:db8::/32",), "2001:db8::5"),
        (("unix",), ""),
    ],
)
def test_trusted_proxy_is_believed(trusted, peer):
    """What a proxy of the settings forwards is the public URL, prefix and mount included."""
    assert url(*trusted, REMOTE_ADDR=peer, script="/pkgs", **FORWARDED) == (
        "https://pool.example:8443/above/pkgs"
    )


@pytest.mark.parametrize(
    ("trusted", "peer"),
    [
        ((), "192.0.2.7"),
        (("192.0.2.8",), "192.0.2.7"),
        (("unix",), "192.0.2.7"),
        (("192.0.2.0/24",), ""),
        (("192.0.2.0/24",), "192.0.2.7, 192.0.2.8"),
        (("0.0.0.0/0",), "2001:db8::1"),
    ],
)
def test_nobody_else_is_believed(trusted, peer):
    """The same fields from any other peer change nothing."""
    assert url(*trusted, REMOTE_ADDR=peer, **FORWARDED) == "http://server.example"


def test_last_proxy_speaks():
    """Of several values only the one that the trusted peer appended is taken."""
    fields = {"HTTP_X_FORWARDED_HOST": "evil.example, pool.example"}
    assert url("192.0.2.7", **fields) == "http://pool.example"


@pytest.mark.parametrize(
    "fields",
    [
        {"HTTP_X_FORWARDED_PROTO": "javascript"},
        {"HTTP_X_FORWARDED_HOST": "a/b"},
        {"HTTP_X_FORWARDED_PREFIX": "//evil.example"},
        {"HTTP_X_FORWARDED_PREFIX": "/a\r\nb"},
        {"HTTP_X_FORWARDED_PORT": "80x"},
        {"HTTP_X_FORWARDED_PORT": "80"},
    ],
)
def test_unusable_field_is_ignored(fields):
    """A value that cannot be part of a URL is left out."""
    assert url("192.0.2.7", **fields) == "http://server.example"


def test_forwarded_port_does_not_replace_the_hosts():
    """A host that has its port keeps it."""
    fields = {"HTTP_X_FORWARDED_HOST": "pool.example:1", "HTTP_X_FORWARDED_PORT": "2"}
    assert url("192.0.2.7", **fields) == "http://pool.example:1"


def test_public_url_goes_before_everything():
    """The setting decides, whatever a client or a proxy says; the mount is still below it."""
    found = url("192.0.2.7", public="https://pool.example/", script="/pkgs", **FORWARDED)
    assert found == "https://pool.example/pkgs"


@pytest.mark.parametrize("host", ["server.example", "[::1]:9300", "10.0.0.1:80", "my_box"])
def test_host_of_the_request(host):
    """Names and addresses, with a port or without, are hosts."""
    assert url(HTTP_HOST=host) == f"http://{host}"


@pytest.mark.parametrize(
    "host", ["a b", "a/b", "evil.example#", "user@host", "a:b", "a\r\nX: y", "[::1", "<script>"]
)
@pytest.mark.parametrize("public", [None, "https://pool.example"])
def test_other_hosts_are_refused(host, public):
    """A Host that is none gets no answer, though the setting would not need it."""
    with pytest.raises(InvalidPathError):
        url(HTTP_HOST=host, public=public)
    with pytest.raises(InvalidPathError):
        url(authority=host, public=public)


def test_without_a_host_the_server_knows_its_name():
    """HTTP/1.0 clients send no Host."""
    assert url(HTTP_HOST="") == "http://server.example"
    assert url(HTTP_HOST="", SERVER_PORT="9300") == "http://server.example:9300"
    assert url(HTTP_HOST="", authority="other.example") == "http://other.example"


def test_mount_is_escaped():
    """A mount's name beyond ASCII is a URL again."""
    assert url(script="/pk\xc3\xa9") == "http://server.example/pk%C3%A9"


@pytest.mark.parametrize("wrong", ["localhost", "10.0.0.0/33", ""])
def test_wrong_network_is_told(wrong):
    """What is no network stops the start."""
    with pytest.raises(ConfigurationError, match="trusted_proxies"):
        Forwarding(WebSettings(trusted_proxies=(wrong,)))
