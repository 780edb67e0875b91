"""Large packages go to the storage behind a server: what the command believes, and what not."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from recorder import QuietHandler, serving
from static_channel import StaticChannel

from repocore.plugins.conda import direct_uploads
from repocore.plugins.conda.direct_uploads import _Part
from repocore.plugins.conda.remote_channel import RemoteChannel
from repocore.plugins.conda.uploading import Outcome, Sent, upload_files


@attrs.define
class Harbour:
    """A server, and a store at the same address; what they answer, and what they were sent."""

    address: str = ""
    offer: tuple[int, Any] = (200, {"smallest": 1})
    #: What is answered to each begin; the last goes on.
    begins: list[tuple[int, Any]] = attrs.field(factory=list)
    #: What the store answers to parts, and the server to what completes.
    store: list[int] = attrs.field(factory=lambda: [200])
    completed: list[int] = attrs.field(factory=lambda: [201])
    asked: list[tuple[str, str, int]] = attrs.field(factory=list)
    lock: Any = attrs.field(factory=threading.Lock)

    def part(self, start: int, stop: int) -> dict[str, Any]:
        url = f"{self.address}/store?part={start}"
        return {"start": start, "stop": stop, "method": "PUT", "url": url, "headers": {}}

    def begun(self, *parts: dict[str, Any]) -> tuple[int, Any]:
        return 201, {"id": "one/1", "expires_at": "2030-01-01T00:00:00Z", "parts": parts}

    def ways(self) -> list[str]:
        return [f"{method} {path.partition('?')[0]}" for method, path, _ in self.asked]

    def answer(self, method: str, path: str, upload: str | None) -> tuple[int, Any]:
        with self.lock:
            if method == "GET":
                return self.offer
            if method == "POST":
                return self.begins.pop(0) if len(self.begins) > 1 else self.begins[0]
            if path.startswith("/store"):
                return (self.store.pop(0) if len(self.store) > 1 else self.store[0]), None
            if upload is not None:
                return (self.completed.pop(0) if len(self.completed) > 1 else self.completed[0]), {}
            return {"HEAD": 404, "PUT": 201, "DELETE": 204}[method], None


@pytest.fixture
def harbour(monkeypatch) -> Iterator[Harbour]:
    monkeypatch.setattr(direct_uploads, "_WORTH", 1)
    made = Harbour()

    class Handler(QuietHandler):
        def ask(self) -> None:
            body = self.body()
            made.asked.append((self.command, self.path, len(body)))
            if "/store" in self.path:
                assert self.headers.get("Authorization") is None
            status, value = made.answer(
                self.command, self.path, self.headers.get("X-Repocore-Upload")
            )
            text = b"" if value is None else json.dumps(value).encode()
            self.send_response_only(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(text)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = ask  # noqa: N815

    with serving(Handler) as address:
        made.address = address
        yield made


@pytest.fixture
def file(tmp_path) -> Path:
    return StaticChannel(tmp_path).add("tide-2.0-0.conda")


def sent(harbour: Harbour, file: Path, where: str = "/conda/main") -> Outcome:
    channel = RemoteChannel(f"{harbour.address}{where}", "secret-token")
    [found] = upload_files(channel, [file], sleep=lambda _: None)
    return found


OFFER, BEGIN = "GET /api/v1/uploads", "POST /api/v1/uploads"
FILE = "/conda/main/noarch/tide-2.0-0.conda"
HEAD, PUT, STORE = f"HEAD {FILE}", f"PUT {FILE}", "PUT /store"
FORGET = "DELETE /api/v1/uploads/one%2F1"


def test_parts_are_sent_until_none_is_missing(harbour, file) -> None:
    """Some are signed at a time; then the server completes it."""
    size = file.stat().st_size
    harbour.begins = [
        harbour.begun(harbour.part(0, 10)),
        harbour.begun(harbour.part(10, size)),
        harbour.begun(),
    ]
    assert sent(harbour, file).sent is Sent.UPLOADED
    assert harbour.ways() == [HEAD, OFFER, BEGIN, STORE, BEGIN, STORE, BEGIN, PUT]
    assert [n for m, p, n in harbour.asked if p.startswith("/store")] == [10, size - 10]
    assert harbour.asked[-1][2] == 0


def test_below_a_prefix_the_api_is_beside_the_channels(harbour, file) -> None:
    """As behind a front server, or with a token in the path."""
    harbour.begins = [harbour.begun()]
    sent(harbour, file, "/t/secret/conda/main")
    assert harbour.ways()[1:3] == ["GET /t/secret/api/v1/uploads", "POST /t/secret/api/v1/uploads"]


def test_other_servers_are_not_asked(harbour, file) -> None:
    """A channel that is not below /conda is none of ours."""
    assert sent(harbour, file, "/get/main").sent is Sent.UPLOADED
    assert {way.partition(" ")[0] for way in harbour.ways()} == {"HEAD", "PUT"}


@pytest.mark.parametrize(
    "offer",
    [(404, None), (401, {}), (200, {"smallest": None}), (200, {"smallest": 1 << 40}), (200, [])],
)
def test_where_it_is_not_offered(harbour, file, offer) -> None:
    """By an older server, by its settings, or for such a file."""
    harbour.offer = offer
    assert sent(harbour, file).sent is Sent.UPLOADED
    assert harbour.ways() == [HEAD, OFFER, PUT]


@pytest.mark.parametrize("status", [400, 401, 403, 413, 422, 500, 503])
def test_what_cannot_be_begun_goes_the_plain_way(harbour, file, status) -> None:
    """Which says what is wrong, if anything is."""
    harbour.begins = [(status, {})]
    assert sent(harbour, file).sent is Sent.UPLOADED
    assert harbour.ways() == [HEAD, OFFER, BEGIN, PUT]


@pytest.mark.parametrize(
    "part",
    [
        {"start": -1},
        {"stop": 1 << 40},
        {"start": 9, "stop": 9},
        {"method": "DELETE"},
        {"url": "file:///etc/passwd"},
        {"url": "ftp://127.0.0.1/x"},
        {"url": None},
        {"headers": None},
        {"start": "x"},
    ],
)
def test_answers_that_make_no_sense_are_not_followed(harbour, file, part) -> None:
    """The command sends bytes of the file, by PUT, over HTTP."""
    harbour.begins = [harbour.begun({**harbour.part(0, 10), **part})]
    assert sent(harbour, file).sent is Sent.UPLOADED
    assert STORE not in harbour.ways()
    assert harbour.ways()[-1] == PUT


def test_a_secure_server_leads_to_no_open_line() -> None:
    """What goes over TLS to it goes over TLS to its store."""
    value = Harbour("http://store.example").part(0, 1)
    assert _Part.read(value, 1, secure=False).url.scheme == "http"
    with pytest.raises(ValueError, match="open line"):
        _Part.read(value, 1, secure=True)
    secure = {**value, "url": "https://store.example/x"}
    assert _Part.read(secure, 1, secure=True).url.scheme == "https"


@pytest.mark.parametrize("status", [302, 403, 404, 503])
def test_a_store_that_takes_nothing_is_given_up(harbour, file, status) -> None:
    """What was begun is forgotten; for the next file it is not asked again."""
    harbour.begins = [harbour.begun(harbour.part(0, 10), harbour.part(10, 20))]
    harbour.store = [status]
    channel = RemoteChannel(f"{harbour.address}/conda/main", "secret-token")
    found = list(upload_files(channel, [file, file], parallel=1, sleep=lambda _: None))
    assert [one.sent for one in found] == [Sent.UPLOADED] * 2
    ways = harbour.ways()
    assert ways.count(STORE) == (4 if status == 503 else 1)
    assert ways.count(FORGET) == ways.count(BEGIN) == 1
    assert ways[-4:] == [FORGET, PUT, HEAD, PUT]


def test_a_store_that_loses_what_it_took_is_given_up(harbour, file) -> None:
    """A file is not sent for ever."""
    harbour.begins = [harbour.begun(harbour.part(0, file.stat().st_size))]
    assert sent(harbour, file).sent is Sent.UPLOADED
    assert harbour.ways().count(STORE) == 4
    assert harbour.ways()[-2:] == [FORGET, PUT]


def test_a_part_that_fails_is_sent_again(harbour, file) -> None:
    """Only that one; a signature that ended is made anew."""
    harbour.begins = [
        harbour.begun(harbour.part(0, 10), harbour.part(10, 20)),
        harbour.begun(harbour.part(10, 20)),
        harbour.begun(),
    ]
    harbour.store = [400, 200, 403, 200]
    channel = RemoteChannel(f"{harbour.address}/conda/main", "secret-token")
    [found] = upload_files(channel, [file], parallel=1, sleep=lambda _: None)
    assert found.sent is Sent.UPLOADED
    assert [p for _, p, _ in harbour.asked if p.startswith("/store")] == [
        "/store?part=0",
        "/store?part=0",
        "/store?part=10",
        "/store?part=10",
    ]


@pytest.mark.parametrize(("status", "plain"), [(400, True), (404, True), (409, False)])
def test_what_the_server_says_of_the_whole(harbour, file, status, plain) -> None:
    """Damaged or gone: the plain way; a refusal is one."""
    harbour.begins = [harbour.begun()]
    harbour.completed = [status]
    found = sent(harbour, file)
    assert found.sent is (Sent.UPLOADED if plain else Sent.FAILED)
    assert harbour.ways()[3:] == ([PUT, PUT] if plain else [PUT])


def test_a_server_that_is_busy_is_asked_to_complete_again(harbour, file) -> None:
    """By the same id; what arrived is not sent again."""
    harbour.begins = [harbour.begun()]
    harbour.completed = [504, 201]
    assert sent(harbour, file).sent is Sent.UPLOADED
    assert harbour.ways() == [HEAD, OFFER, BEGIN, PUT, HEAD, BEGIN, PUT]
