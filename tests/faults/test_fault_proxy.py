"""The proxy that fails: what it passes on is as it came, and each fault is what it says."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from typing import ClassVar
from urllib.parse import urlsplit

import pytest
from fault_proxy import KINDS, Faults, Struck, fault_proxy
from recorder import QuietHandler, serving

CONTENT = bytes(range(256)) * 500


class Store(QuietHandler):
    """Keeps what is put, and gives it back."""

    objects: ClassVar[dict[str, bytes]]
    asked: ClassVar[list[tuple[str, dict[str, str]]]]

    def _answer(self) -> None:
        self.asked.append((f"{self.command} {self.path}", dict(self.headers.items())))
        if self.command == "PUT":
            self.objects[self.path] = self.body()
        found = self.objects.get(self.path)
        body = b"" if found is None or self.command == "PUT" else found
        self.send_response_only(404 if found is None else 200)
        self.send_header("ETag", '"tide"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_PUT = _answer  # noqa: N815 (http.server's names)


@pytest.fixture
def store() -> Iterator[tuple[str, type[Store]]]:
    kind = type("OneStore", (Store,), {"objects": {}, "asked": []})
    with serving(kind) as address:
        yield address, kind


def ask(address: str, method: str, path: str, body: bytes | None = None, **fields: str):
    """Status, fields and body; raises what a broken connection raises."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
    try:
        connection.request(method, path, body, fields)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def only(kind: str) -> Faults:
    return Faults(seed=1, rate=1000, kinds={kind: 1}, stall=(0.0, 0.01))


def test_what_is_passed_on_is_the_same(store) -> None:
    """Target, fields, the signed host, and body; answers of HEAD have their length."""
    address, kept = store
    with fault_proxy(address, Faults(seed=1, rate=0)) as (proxy, faults):
        path = "/bucket/a%20b//c?x=%2F&partNumber=1"
        signed = {"Host": "storage.example", "Authorization": "AWS4-HMAC-SHA256 tide"}
        assert ask(proxy, "PUT", path, CONTENT, **signed)[0] == 200
        assert ask(proxy, "GET", path)[2] == CONTENT
        status, fields, body = ask(proxy, "HEAD", path)
        assert (status, fields["Content-Length"], body) == (200, str(len(CONTENT)), b"")
        assert ask(proxy, "GET", "/nothing")[0] == 404
        chunked = ask(proxy, "PUT", "/chunks", iter([b"high ", b"water"]))
        assert (chunked[0], kept.objects["/chunks"]) == (200, b"high water")
    said, sent = kept.asked[0]
    assert said == f"PUT {path}"
    assert {**sent, **signed} == sent
    assert faults.struck == []
    assert faults.asked == 5


@pytest.mark.parametrize("kind", ["refuse", "reset", "lost"])
def test_a_connection_that_ends(store, kind) -> None:
    """Without an answer; of what was lost the work is done, of the others nothing."""
    address, kept = store
    with (
        fault_proxy(address, only(kind)) as (proxy, faults),
        pytest.raises((http.client.HTTPException, OSError)),
    ):
        ask(proxy, "PUT", "/one", b"x")
    assert faults.struck == [Struck("PUT", "/one", kind)]
    assert kept.objects == ({"/one": b"x"} if kind == "lost" else {})


@pytest.mark.parametrize(("kind", "status"), [("busy", 503), ("late", 500)])
def test_an_answer_that_is_an_error(store, kind, status) -> None:
    """In the words of S3; the late one has done what was asked."""
    address, kept = store
    with fault_proxy(address, only(kind)) as (proxy, _):
        answer = ask(proxy, "PUT", "/one", b"x")
        assert ask(proxy, "HEAD", "/one")[0] == status
    assert answer[0] == status
    assert b"<Code>" in answer[2]
    assert kept.objects == ({"/one": b"x"} if kind == "late" else {})


def test_an_answer_that_is_cut(store) -> None:
    """The length is announced, half of it comes."""
    address, kept = store
    kept.objects["/one"] = CONTENT
    with (
        fault_proxy(address, only("cut")) as (proxy, _),
        pytest.raises(http.client.IncompleteRead) as told,
    ):
        ask(proxy, "GET", "/one")
    assert told.value.partial == CONTENT[: len(CONTENT) // 2]


def test_a_stall_ends_well(store) -> None:
    """It is slow, and right."""
    address, kept = store
    kept.objects["/one"] = CONTENT
    with fault_proxy(address, only("stall")) as (proxy, faults):
        assert ask(proxy, "GET", "/one")[2] == CONTENT
    assert [one.kind for one in faults.struck] == ["stall"]


def test_a_server_that_is_not_there_gives_no_answer() -> None:
    """As one behind any proxy that cannot reach it; nothing hangs."""
    with (
        fault_proxy("http://127.0.0.1:9", Faults(seed=1, rate=0)) as (proxy, _),
        pytest.raises((http.client.HTTPException, OSError)),
    ):
        ask(proxy, "GET", "/one")


def test_the_same_seed_strikes_the_same_requests() -> None:
    """Of those that it may strike; each kind comes in time."""

    def drawn(seed: int) -> list[str | None]:
        wanted = Faults(seed=seed, rate=500, which=lambda method, _: method == "GET", stall=(0, 0))
        return [wanted.draw(method, "/") for method in ["GET", "PUT"] * 200]

    assert drawn(3) == drawn(3) != drawn(4)
    assert set(drawn(3)) == {None, *KINDS}
    assert set(drawn(3)[1::2]) == {None}


def test_many_at_once(store) -> None:
    """What is answered with 200 is whole."""
    address, kept = store
    kept.objects["/one"] = CONTENT
    whole: list[bool] = []
    with fault_proxy(address, Faults(seed=5, rate=300, stall=(0.0, 0.01))) as (proxy, _):

        def many() -> None:
            for _ in range(15):
                try:
                    status, _, body = ask(proxy, "GET", "/one")
                except (http.client.HTTPException, OSError):
                    continue
                if status == 200:
                    whole.append(body == CONTENT)

        threads = [threading.Thread(target=many) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert whole
    assert all(whole)
