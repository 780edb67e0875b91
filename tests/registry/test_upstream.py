"""Ask other servers: what is sent, what is believed, and what ends."""

from __future__ import annotations

import base64
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from certificates import Certificates, make_certificates
from stand_in import Asked, StandIn, stand_in

from repocore.errors import (
    ConfigurationError,
    UpstreamError,
    UpstreamRefusedError,
    UpstreamUnavailableError,
)
from repocore.registry import UpstreamClient
from repocore.registry.deadlines import Deadline

HERE = ("127.0.0.0/8",)


@pytest.fixture
def client() -> UpstreamClient:
    return UpstreamClient(allow=HERE, timeout=5)


@pytest.fixture
def serve() -> Iterator[Callable[..., StandIn]]:
    """Servers that end with the test."""
    opened: list[Any] = []

    def start(answer: Any, tls: ssl.SSLContext | None = None) -> StandIn:
        context = stand_in(answer if callable(answer) else lambda _: answer, tls)
        opened.append(context)
        return context.__enter__()

    yield start
    for context in opened:
        context.__exit__(None, None, None)


def test_json_is_read(client, serve):
    """With the headers that were given, asked for without compression."""
    server = serve((200, {}, {"a": [1]}))
    assert client.get_json(f"{server.url}/x?y=z", {"Authorization": "Bearer t"}) == {"a": [1]}
    [asked] = server.asked
    assert asked.target == "/x?y=z"
    assert asked.headers["authorization"] == "Bearer t"
    assert asked.headers["accept-encoding"] == "identity"
    assert asked.headers["host"] == server.url.removeprefix("http://")


def read_all(client, url: str, **headers: str) -> bytes:
    with client.open(url, headers) as stream:
        return b"".join(iter(lambda: stream.read(1000), b""))


def test_bytes_are_read_as_they_come(client, serve):
    """However many: who reads says how much is too much."""
    content = bytes(range(256)) * 20_000
    server = serve((200, {"Content-Type": "application/octet-stream"}, content))
    assert read_all(client, f"{server.url}/x", Authorization="Bearer t") == content
    assert server.asked[0].headers["authorization"] == "Bearer t"


@pytest.mark.parametrize(
    ("told", "status"),
    [((404, {}, b"no"), 404), (None, None), ((200, {"Content-Length": "9"}, b"cut"), None)],
)
def test_bytes_that_are_not_there_are_an_error(told, status, serve):
    """Whether the server says so, says nothing, or ends early."""
    server = serve(told)
    impatient = UpstreamClient(allow=HERE, timeout=1)
    with pytest.raises(UpstreamUnavailableError) as caught:
        read_all(impatient, f"{server.url}/x")
    assert caught.value.status == status


def test_bytes_may_have_moved(client, serve):
    """Credentials stay with the server that they are for."""
    there = serve((200, {}, b"bytes"))
    here = serve((302, {"Location": f"{there.url}/y"}, b""))
    assert read_all(client, f"{here.url}/x", Authorization="Bearer t") == b"bytes"
    assert "authorization" in here.asked[0].headers
    assert "authorization" not in there.asked[0].headers
    endless = serve((302, {"Location": "/x"}, b""))
    with pytest.raises(UpstreamUnavailableError):
        read_all(client, f"{endless.url}/x")


def test_a_form_is_sent(client, serve):
    """And the JSON of its answer is returned."""
    server = serve((200, {}, {"token": "t"}))
    fields = {"code": "a&b=c", "n": "ü"}
    assert client.post_form(f"{server.url}/t", fields) == {"token": "t"}
    assert server.asked[0].form == fields


def test_a_body_is_sent(client, serve):
    """Whatever the status, it is returned; a redirect is not followed."""
    server = serve((307, {"Location": "/there"}, b"x" * 100))
    assert client.post(f"{server.url}/hook", b"body", {"X-Sign": "s"}) == 307
    [asked] = server.asked
    assert (asked.body, asked.headers["x-sign"]) == (b"body", "s")


def test_this_machine_is_not_asked(serve):
    """Unless the settings allow it: the connection is never made (T31)."""
    server = serve((200, {}, {}))
    guarded = UpstreamClient()
    for ask in (
        lambda: guarded.get_json(server.url),
        lambda: guarded.post_form(server.url, {}),
        lambda: guarded.post(server.url, b""),
    ):
        with pytest.raises(UpstreamRefusedError):
            ask()
    assert server.asked == []


def test_the_checked_address_is_connected_to(client, serve, monkeypatch):
    """A name that leads elsewhere at its second look-up leads nowhere."""
    server = serve((200, {}, {}))
    port = int(server.url.rpartition(":")[2])
    asked: list[str] = []
    look_up = socket.getaddrinfo

    def once(host, *more, **named):
        if host == "ok.example":
            asked.append(host)
            assert len(asked) == 1
            host = "127.0.0.1"
        return look_up(host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", once)
    assert client.get_json(f"http://ok.example:{port}/") == {}
    assert server.asked[0].headers["host"] == f"ok.example:{port}"


def test_redirects_are_followed(client, serve):
    """Relative ones too, with the headers, as long as the origin is the same."""

    def answer(asked: Asked) -> Any:
        step = int(asked.path[1:])
        return (302, {"Location": f"{step + 1}"}, b"") if step < 5 else (200, {}, "there")

    server = serve(answer)
    assert client.get_json(f"{server.url}/0", {"Authorization": "x"}) == "there"
    assert all(one.headers["authorization"] == "x" for one in server.asked)


def test_redirects_have_an_end(client, serve):
    """The sixth is not followed (T37)."""
    server = serve((302, {"Location": "/again"}, b""))
    with pytest.raises(UpstreamUnavailableError):
        client.get_json(server.url)
    assert len(server.asked) == 6


def test_credentials_stay_at_their_origin(client, serve):
    """Another port is another origin: no header of the caller goes there (T36)."""
    other = serve((200, {}, "other"))
    server = serve((302, {"Location": f"{other.url}/x"}, b""))
    sent = {"Authorization": "Bearer t", "X-Api-Key": "k"}
    assert client.get_json(server.url, sent) == "other"
    assert not {"authorization", "x-api-key"} & other.asked[0].headers.keys()


@pytest.mark.parametrize(
    "location",
    ["http://10.0.0.1/", "file:///etc/passwd", "http://169.254.169.254/", "//user@ok.example/"],
)
def test_each_redirect_is_checked(client, serve, location):
    """Like the URL that was given."""
    server = serve((302, {"Location": location}, b""))
    with pytest.raises(UpstreamRefusedError):
        client.get_json(server.url)


@pytest.mark.parametrize(
    "told",
    [
        (404, {}, {}),
        (200, {}, b"no json"),
        (200, {}, b"[" * 100_000),
        (200, {}, b'"' + b"x" * 2000 + b'"'),
        (200, {"Content-Length": "5000"}, b"{}"),
        (200, {f"X-{n}": "x" for n in range(200)}, b"{}"),
        (200, {"X-Long": "x" * 100_000}, b"{}"),
        (302, {}, b""),
        (302, {"Location": "x" * 100_000}, b""),
        None,
    ],
    ids=["status", "text", "deep", "long", "short", "fields", "field", "nowhere", "far", "silence"],
)
def test_strange_answers_are_bounded_errors(serve, told):
    """Each is told as something that is wrong over there."""
    server = serve(told)
    client = UpstreamClient(allow=HERE, timeout=5, most=1000)
    with pytest.raises(UpstreamError) as caught:
        client.get_json(server.url)
    assert server.url not in str(caught.value)


def test_the_status_is_in_the_error(client, serve):
    """So that a refused code can be told from a server that is down."""
    server = serve((400, {}, {"error": "invalid_grant"}))
    with pytest.raises(UpstreamUnavailableError) as caught:
        client.post_form(server.url, {"client_secret": "hush"})
    assert caught.value.status == 400
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_trickle_has_an_end(sent):
    """A byte now and then is no answer, in the header fields or in the body (T38)."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def drip() -> None:
        connection, _ = listener.accept()
        with connection:
            try:
                connection.sendall(sent)
                while not over.wait(0.05):
                    connection.sendall(b"x")
            except OSError:
                return

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(UpstreamUnavailableError):
            UpstreamClient(allow=HERE, timeout=0.3).get_json(url)
    finally:
        over.set()
        thread.join()
        listener.close()


def test_when_the_time_is_over_no_other_address_is_tried():
    """The deadline is of the whole request, however many addresses a name has."""
    with Deadline(0.001) as deadline:
        deadline._timer.join()
        with pytest.raises(UpstreamUnavailableError):
            deadline.watch(None)


def test_nobody_there(client):
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(UpstreamUnavailableError):
        client.get_json(f"http://127.0.0.1:{port}/")


def test_the_environment_has_no_say(client, serve, monkeypatch):
    """A proxy that is meant for others is not asked."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9/")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9/")
    assert client.get_json(serve((200, {}, {})).url) == {}


def test_a_proxy_is_asked_for_the_name(serve):
    """With its own credentials, which go no further."""
    proxy = serve((200, {}, "by proxy"))
    where = proxy.url.replace("http://", "http://me:p%40ss@")
    client = UpstreamClient(proxy=where, timeout=5)
    assert client.get_json("http://ok.example/x?y") == "by proxy"
    [asked] = proxy.asked
    assert asked.target == "http://ok.example/x?y"
    assert asked.headers["host"] == "ok.example"
    expected = base64.b64encode(b"me:p@ss").decode()
    assert asked.headers["proxy-authorization"] == f"Basic {expected}"


def test_a_proxy_tunnels_what_is_secret(serve):
    """An https URL is a CONNECT; a proxy that does not let it through is an answer that failed."""
    proxy = serve((403, {}, b""))
    with pytest.raises(UpstreamUnavailableError):
        UpstreamClient(proxy=proxy.url, timeout=5).get_json("https://ok.example/x")
    assert [(one.method, one.target) for one in proxy.asked] == [("CONNECT", "ok.example:443")]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("ca") / "ca")


@pytest.fixture
def secure(serve, certificates) -> StandIn:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.certificate, certificates.key)
    return serve((200, {}, "secret"), context)


def test_certificates_are_checked(secure, certificates):
    """Against the bundle of the settings; without it, nobody believes a private authority."""
    client = UpstreamClient(allow=HERE, ca_bundle=certificates.authority, timeout=5)
    assert client.get_json(secure.url) == "secret"
    with pytest.raises(UpstreamUnavailableError):
        UpstreamClient(allow=HERE, timeout=5).get_json(secure.url)


@pytest.mark.parametrize(("name", "right"), [("packages.example", True), ("other.example", False)])
def test_certificates_are_of_the_name(secure, certificates, monkeypatch, name, right):
    """And not of the address that is connected to (T40)."""
    look_up = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _h, *a, **n: look_up("127.0.0.1", *a, **n))
    client = UpstreamClient(allow=HERE, ca_bundle=certificates.authority, timeout=5)
    url = secure.url.replace("127.0.0.1", name)
    if right:
        assert client.get_json(url) == "secret"
    else:
        with pytest.raises(UpstreamUnavailableError):
            client.get_json(url)


def test_nothing_goes_from_secret_to_plain(serve, certificates):
    """A redirect from https to http is not followed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.certificate, certificates.key)
    plain = serve((200, {}, "plain"))
    secure = serve((302, {"Location": plain.url}, b""), context)
    client = UpstreamClient(allow=HERE, ca_bundle=certificates.authority, timeout=5)
    with pytest.raises(UpstreamRefusedError):
        client.get_json(secure.url)
    assert plain.asked == []


@pytest.mark.parametrize(
    "given",
    [
        {"proxy": "ok.example:3128"},
        {"proxy": "https://ok.example"},
        {"proxy": "http://ok.example:x"},
        {"proxy": "http://ok.example/path"},
        {"ca_bundle": Path("/nowhere")},
        {"ca_bundle": Path(__file__)},
        {"allow": ["a b"]},
    ],
)
def test_mistakes_are_told_at_once(given):
    """And not at the first request; no path of the machine is in it."""
    with pytest.raises(ConfigurationError) as caught:
        UpstreamClient(**given)
    assert "/" not in str(caught.value).replace("http://", "").replace("10.0.0.0/8", "")


def test_the_package_is_named(monkeypatch):
    """Where it is not installed: with the command that does it."""
    monkeypatch.setitem(sys.modules, "urllib3.connection", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'repocore\[web\]'"):
        UpstreamClient()
