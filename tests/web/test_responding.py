"""How responses become WSGI, and who sends a file."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from wsgiref.validate import validator

import attrs
import pytest
from hypothesis import given, strategies as st
from wsgi_calls import environ, send

from repocore import BlobKey, File, FilePath, StorageError
from repocore.config import WebSettings
from repocore.http import FileContent, Response
from repocore_web import responding
from repocore_web.responding import Sender

TAG = '"' + "a" * 64 + '"'


def content(data: bytes, *, opened=None, url=None, location=None, name="conan_package.tgz"):
    """A file of the registry that holds these bytes."""
    file = File(
        repository="conan/main",
        path=FilePath(("a", name)),
        digest="a" * 64,
        size=len(data),
        partition=None,
        release=None,
        media_type="application/gzip",
        mutable=False,
        created_at=datetime(2026, 5, 4, 10, 20, 30, 999_000, tzinfo=UTC),
        created_by="ann",
        key=BlobKey("a" * 64, "0" * 16),
    )
    return FileContent(
        file=file,
        open=opened or (lambda start, stop: io.BytesIO(data[start:stop])),
        url=lambda _lifetime: url,
        location=location,
    )


def fetch(response, web=None, method="GET", **fields):
    """What a client gets of a response, with PEP 3333 checked on the way."""
    sender = Sender(web or WebSettings())

    def app(made, start_response):
        return sender.send(made, start_response, response, [("X-Request-Id", "1")])

    made = environ("/a", method, **fields)
    made["wsgi.input"] = io.BytesIO()
    return send(app if made.get("wsgi.file_wrapper") else validator(app), made)


@given(st.binary(max_size=60), st.integers(0, 70), st.integers(0, 70))
def test_range_is_a_slice(data, first, last):
    """A client that asks for a range gets these bytes, their place and their number, or 416."""
    answer = fetch(Response(200, content(data)), HTTP_RANGE=f"bytes={first}-{last}")
    if last < first:
        assert (answer.status, answer.body) == (200, data)
    elif first >= len(data):
        assert (answer.status, answer.headers["cache-control"]) == (416, "private, no-cache")
        assert f"has {len(data)} bytes".encode() in answer.body
        assert answer.headers["content-range"] == f"bytes */{len(data)}"
    else:
        part = data[first : last + 1]
        assert (answer.status, answer.body) == (206, part)
        assert answer.headers["content-length"] == str(len(part))
        place = f"bytes {first}-{first + len(part) - 1}/{len(data)}"
        assert answer.headers["content-range"] == place


def test_whole_file_and_its_fields():
    """A file comes with validators, its type, and what keeps a browser from running it."""
    answer = fetch(Response(200, content(b"bytes")))
    assert (answer.status, answer.body) == (200, b"bytes")
    assert answer.headers == {
        "content-length": "5",
        "content-type": "application/gzip",
        "etag": TAG,
        "last-modified": "Mon, 04 May 2026 10:20:30 GMT",
        "accept-ranges": "bytes",
        "cache-control": "private, no-cache",
        "content-disposition": "attachment; filename=conan_package.tgz",
        "content-security-policy": "sandbox; default-src 'none'",
        "x-content-type-options": "nosniff",
        "x-request-id": "1",
    }


def test_archives_have_no_coding():
    """No library of a client unpacks what is to be compared byte by byte."""
    answer = fetch(Response(200, content(b"bytes")), HTTP_ACCEPT_ENCODING="gzip")
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize("name", ['ü "x".html', "a'b;c=d.txt", "日本.txt"])
def test_any_name_can_be_saved(name):
    """A name that is no token does not break out of its field."""
    field = fetch(Response(200, content(b"", name=name))).headers["content-disposition"]
    assert field.startswith("attachment; filename")
    assert field.isascii()


def test_head_opens_nothing():
    """HEAD has the fields of GET, and does not touch the storage."""

    def never(start, stop):
        raise AssertionError("opened")

    answer = fetch(Response(200, content(b"bytes", opened=never)), method="HEAD")
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "5")


def test_unchanged_file_is_not_sent():
    """Who has the bytes is told so, without them."""
    answer = fetch(Response(200, content(b"bytes")), HTTP_IF_NONE_MATCH=f'"x", W/{TAG}')
    assert (answer.status, answer.body) == (304, b"")
    assert answer.headers["etag"] == TAG
    assert not {"content-length", "content-type"} & answer.headers.keys()


@pytest.mark.parametrize(
    ("server", "prefix", "field"),
    [("x-accel", "/_blobs/", "x-accel-redirect"), ("x-sendfile", "/srv/blobs", "x-sendfile")],
)
@pytest.mark.parametrize("asked", ["", "bytes=0-1"])
def test_front_server_sends_the_file(server, prefix, field, asked):
    """A server that sends files is told the name; ranges are then its business."""
    web = WebSettings(sendfile=server, sendfile_prefix=prefix)
    answer = fetch(Response(200, content(b"bytes", location="aa/b c")), web, HTTP_RANGE=asked)
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers[field] == prefix.rstrip("/") + "/aa/b%20c"
    assert answer.headers["content-length"] == "0"
    assert answer.headers["content-type"] == "application/gzip"


def test_unchanged_goes_before_the_front_server():
    """The condition is ours to answer: nobody reads a file for a 304."""
    web = WebSettings(sendfile="x-accel")
    response = Response(200, content(b"bytes", location="aa"))
    answer = fetch(response, web, HTTP_IF_NONE_MATCH=TAG)
    assert answer.status == 304
    assert "x-accel-redirect" not in answer.headers


def test_storage_sends_the_file():
    """A storage with URLs of its own serves GET from there; a HEAD is answered here."""
    response = Response(200, content(b"bytes", url="https://storage.example/x?signature=1"))
    answer = fetch(response)
    assert (answer.status, answer.body) == (302, b"")
    assert answer.headers["location"] == "https://storage.example/x?signature=1"
    assert answer.headers["cache-control"] == "private, no-cache"
    assert fetch(response, method="HEAD").status == 200
    assert fetch(response, WebSettings(redirect=False)).body == b"bytes"


class Wrapper:
    """A server's file wrapper: it notes what it was given."""

    def __init__(self, stream, size):
        self.chunks = iter(lambda: stream.read(size), b"")
        self.close = stream.close

    def __iter__(self):
        return self.chunks


@pytest.mark.parametrize(
    ("asked", "wrapped", "body"),
    [(None, True, b"0123456789"), ("bytes=4-", True, b"456789"), ("bytes=4-5", False, b"45")],
)
def test_regular_files_are_the_servers_to_send(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked, wrapped, body
):
    """What ends where the file ends goes through the file wrapper; a part within does not."""
    monkeypatch.setattr(responding, "SMALL", 0)
    path = tmp_path / "object"
    path.write_bytes(b"0123456789")
    given_to: list[object] = []

    def opened(start, stop):
        if stop is not None:
            return io.BytesIO(path.read_bytes()[start:stop])
        stream = path.open("rb")
        stream.seek(start)
        return stream

    def wrapper(stream, size):
        given_to.append(stream)
        return Wrapper(stream, size)

    fields = {} if asked is None else {"HTTP_RANGE": asked}
    response = Response(200, content(b"0123456789", opened=opened))
    answer = fetch(response, **fields, **{"wsgi.file_wrapper": wrapper})
    assert answer.body == body
    assert bool(given_to) is wrapped


@pytest.mark.parametrize("regular", [True, False])
@pytest.mark.parametrize("small", [0, 100])
def test_short_object_breaks_the_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, regular, small
):
    """Fewer bytes than announced end in an error, never in a server that waits."""
    monkeypatch.setattr(responding, "SMALL", small)
    path = tmp_path / "object"
    path.write_bytes(b"012")

    def opened(start, stop):
        return path.open("rb") if regular else io.BytesIO(b"012")

    response = Response(200, content(b"0123456789", opened=opened))
    with pytest.raises(StorageError):
        fetch(response, **{"wsgi.file_wrapper": Wrapper})


@pytest.mark.parametrize("pieces", [1, 3, 100])
def test_small_file_is_read_at_once(pieces):
    """Its descriptor is back before the answer is sent, whoever sends it, in whatever pieces."""

    class Trickle(io.BytesIO):
        def read(self, size=-1):
            return super().read(min(size, pieces))

    stream = Trickle(b"0123456789")
    response = Response(200, content(b"0123456789", opened=lambda *_: stream))
    answer = fetch(response, **{"wsgi.file_wrapper": Wrapper})
    assert (answer.body, stream.closed) == (b"0123456789", True)


def test_stream_is_closed(tmp_path: Path):
    """A client that goes away does not leave the file open."""
    stream = io.BytesIO(b"bytes")
    fetch(Response(200, content(b"bytes", opened=lambda *_: stream)))
    assert stream.closed


def test_handlers_fields_go_first():
    """What a handler says of its answer is not said otherwise a second time."""
    fields = (("Cache-Control", "no-cache"), ("Content-Type", "text/x"))
    answer = fetch(Response(200, content(b"bytes"), fields))
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["content-type"] == "text/x"
    assert fetch(Response(200, b"x", fields)).headers["cache-control"] == "no-cache"


def test_bytes_and_their_length():
    """A body of bytes is announced, not to be stored, and left out for HEAD."""
    answer = fetch(Response.text("five!"))
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"five!", "5")
    assert answer.headers["cache-control"] == "no-store"
    head = fetch(Response.text("five!"), method="HEAD")
    assert (head.body, head.headers) == (b"", answer.headers)


def test_chunks_are_passed_on_and_closed():
    """A body in chunks has no length; for HEAD it is closed unread."""
    closed: list[bool] = []

    def chunks():
        try:
            yield b"one"
            yield b"two"
        finally:
            closed.append(True)

    fields = (("Content-Type", "text/plain"),)
    answer = fetch(Response(200, chunks(), fields))
    assert (answer.body, "content-length" in answer.headers) == (b"onetwo", False)
    running = chunks()
    next(running)
    assert fetch(Response(200, running, fields), method="HEAD").body == b""
    assert closed == [True, True]


def descriptors() -> int:
    """How many files this process has open, where the system tells."""
    return sum(1 for _ in Path("/proc/self/fd").glob("*"))


def test_descriptors_are_not_leaked(tmp_path: Path):
    """A hundred answers, whole, partial and refused, leave no file open."""
    path = tmp_path / "object"
    path.write_bytes(b"0123456789")
    response = Response(200, content(b"0123456789", opened=lambda *_: path.open("rb")))
    before = descriptors()
    for number in range(100):
        fetch(response, HTTP_RANGE=f"bytes=0-{number % 12}")
    assert descriptors() == before


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ({}, 1),
        ({"HTTP_RANGE": "bytes=0-1"}, 1),
        ({"HTTP_RANGE": "bytes=2-3"}, 0),  # the rest of a download that was counted
        ({"HTTP_RANGE": "bytes=99-"}, 0),
        ({"HTTP_IF_NONE_MATCH": f'"{"a" * 64}"'}, 0),
        ({"method": "HEAD"}, 0),
    ],
)
def test_download_counts_when_bytes_are_sent(fields, count):
    """A question about a file is no download of it, and one in pieces is one."""
    served: list[int] = []
    file = attrs.evolve(content(b"0123456789"), served=lambda: served.append(1))
    fetch(Response(200, file), **fields)
    assert len(served) == count


def test_redirection_works_as_long_as_the_setting_says():
    """The storage signs its URL for that time."""
    asked: list[timedelta] = []
    file = attrs.evolve(content(b"0"), url=asked.append)
    fetch(Response(200, file), WebSettings(redirect_lifetime=timedelta(minutes=3)))
    assert asked == [timedelta(minutes=3)]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("web", "given"),
    [
        (WebSettings(sendfile="x-accel", sendfile_prefix="/i"), {"location": "ab/c"}),
        (WebSettings(redirect=True), {"url": "https://storage.example/c"}),
    ],
)
def test_download_counts_when_others_send_it(method, web, given):
    """A front server or the storage sends the bytes: that is a download all the same."""
    served: list[int] = []
    file = attrs.evolve(content(b"0123456789", **given), served=lambda: served.append(1))
    fetch(Response(200, file), web, method)
    assert len(served) == (method == "GET")
