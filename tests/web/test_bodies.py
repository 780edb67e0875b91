"""How far a body reaches, and what its reader is told."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, strategies as st
from wsgi_calls import ShortInput, Untouchable

from repocore.errors import InvalidPathError, LengthRequiredError, TooLargeError, TruncatedError
from repocore_web.bodies import Body, body_length

CHUNKED = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}


def pieces(body: Body, size: int) -> bytes:
    return b"".join(iter(lambda: body.read(size), b""))


@given(st.binary(max_size=100), st.binary(max_size=9), st.integers(1, 30))
def test_counted_body_ends_at_its_length(content, rest, size):
    """Bytes of the next request on the connection are not read."""
    stream = io.BytesIO(content + rest)
    assert pieces(Body({"wsgi.input": stream}, len(content), 100), size) == content
    assert stream.tell() == len(content)


@given(st.binary(max_size=100), st.integers(1, 30))
def test_chunked_body_ends_at_its_end(content, size):
    """Without a length the server's end of the input is the end, an empty body included."""
    environ = {"wsgi.input": io.BytesIO(content), **CHUNKED}
    assert pieces(Body(environ, None, 100), size) == content
    assert Body({"wsgi.input": io.BytesIO(content), **CHUNKED}, None, 100).read() == content


@pytest.mark.parametrize("stream", [io.BytesIO, ShortInput])
@pytest.mark.parametrize("sent", [b"", b"abc"])
def test_lost_client_is_noticed(stream, sent):
    """A body that ends early is an error, whether the server returns nothing or raises."""
    with pytest.raises(TruncatedError):
        Body({"wsgi.input": stream(sent)}, 4, 100).read()


def test_broken_chunk_is_noticed():
    """What a server raises of its own about a chunked body means that it did not arrive."""
    with pytest.raises(TruncatedError):
        Body({"wsgi.input": ShortInput(b"abc"), **CHUNKED}, None, 100).read()


def test_announced_excess_is_refused_unread():
    """A body that is too long by its own account is not touched."""
    with pytest.raises(TooLargeError):
        Body({"wsgi.input": Untouchable()}, 101, 100).read(1)


def test_chunked_excess_is_refused_on_its_way():
    """A body without a length is read up to the limit, and a piece more."""
    stream = io.BytesIO(b"x" * 1000)
    with pytest.raises(TooLargeError):
        pieces(Body({"wsgi.input": stream, **CHUNKED}, None, 100), 30)
    assert stream.tell() <= 130


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"wsgi.input_terminated": True},
        {"HTTP_TRANSFER_ENCODING": "chunked"},
        {"HTTP_TRANSFER_ENCODING": "gzip", "wsgi.input_terminated": True},
    ],
)
def test_extent_has_to_be_known(environ):
    """Without a length, and without an end that the server sees, nothing is stored as if empty."""
    with pytest.raises(LengthRequiredError):
        Body({**environ, "wsgi.input": Untouchable()}, None, 100).read(1)


def test_other_framings_end_by_themselves():
    """HTTP/2 frames bodies without either field."""
    environ = {"SERVER_PROTOCOL": "HTTP/2", "wsgi.input_terminated": True}
    assert Body({**environ, "wsgi.input": io.BytesIO(b"ab")}, None, 100).read() == b"ab"


@pytest.mark.parametrize(("text", "length"), [("", None), ("0", 0), ("12", 12), ("007", 7)])
def test_length_is_a_number(text, length):
    """Digits are a length; an empty field is how CGI says that there is none."""
    assert body_length({"CONTENT_LENGTH": text}) == length


@pytest.mark.parametrize("text", ["+1", "-1", " 1", "1_0", "0x1", "1,1", "²", "9" * 20, "1\n"])
def test_other_lengths_are_refused(text):
    """What a front server may read otherwise than we do is no length."""
    with pytest.raises(InvalidPathError):
        body_length({"CONTENT_LENGTH": text})


def test_two_framings_are_refused():
    """A length and a transfer coding at once are how requests are smuggled."""
    with pytest.raises(InvalidPathError):
        body_length({"CONTENT_LENGTH": "3", "HTTP_TRANSFER_ENCODING": "chunked"})


def test_reading_nothing_says_nothing():
    """A read of no bytes is not an early end, and the end stays the end."""
    body = Body({"wsgi.input": io.BytesIO(b"ab"), **CHUNKED}, None, 100)
    assert (body.read(0), body.read(9), body.read(9), body.read(9)) == (b"", b"ab", b"", b"")
