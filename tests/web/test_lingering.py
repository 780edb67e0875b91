"""What is left of a refused request, and when its reading ends."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from wsgi_calls import Untouchable, environ

from repocore_web import lingering as module
from repocore_web.lingering import lingering

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A client's end of a connection, and the server's."""
    client, server = socket.socketpair()
    with client, server:
        server.settimeout(77)
        yield client, server


def refused(server: socket.socket, **fields: str):
    """The environ of an upload whose body comes from the server's end, as gunicorn has it."""
    made = environ("/a", "PUT", body=server.makefile("rb", buffering=0))
    return {**made, "gunicorn.socket": server, "CONTENT_LENGTH": "99999999", **fields}


def test_rest_is_read_once_the_answer_is_sent(pair: Pair) -> None:
    """All that the client sends is taken, but not before the answer has been written."""
    client, server = pair
    body = lingering(refused(server), (b"refused",))
    client.sendall(b"x" * 1000)
    assert list(body) == [b"refused"]
    assert len(server.recv(2000, socket.MSG_PEEK)) == 1000
    client.shutdown(socket.SHUT_WR)
    body.close()
    assert server.recv(1) == b""
    assert server.gettimeout() == 77


def test_body_is_closed_first(pair: Pair) -> None:
    """A body with something to close has it closed, as without us."""
    client, server = pair
    client.close()
    closed = []

    class Body:
        def __iter__(self):
            return iter(())

        def close(self):
            closed.append(True)

    lingering(refused(server), Body()).close()
    assert closed == [True]


@pytest.mark.parametrize("bound", ["SILENCE", "SECONDS"])
def test_client_that_falls_silent_ends_it(pair: Pair, monkeypatch, bound: str) -> None:
    """Neither a silent client nor one that sends now and then keeps a thread for ever."""
    client, server = pair
    monkeypatch.setattr(module, bound, 0.05)
    client.sendall(b"x")
    lingering(refused(server), ()).close()
    assert server.recv(1) == b""  # nothing more is read from it


def test_client_that_never_ends_is_ended(pair: Pair, monkeypatch) -> None:
    """However fast the bytes come, reading them has an end."""
    monkeypatch.setattr(module, "SECONDS", 0.05)

    class Endless:
        def read(self, size: int) -> bytes:
            return b"x" * size

    made = {**refused(pair[1]), "wsgi.input": Endless()}
    lingering(made, ()).close()
    assert pair[1].recv(1) == b""


@pytest.mark.parametrize("length", ["", "0"])
def test_nothing_is_read_where_nothing_comes(pair: Pair, length: str) -> None:
    """A request without a body is answered as ever."""
    made = {**refused(pair[1], CONTENT_LENGTH=length), "wsgi.input": Untouchable()}
    body = (b"refused",)
    assert lingering(made, body) is body


def test_chunks_are_read_too(pair: Pair) -> None:
    """A body without a length may be as long."""
    client, server = pair
    made = refused(server, CONTENT_LENGTH="", HTTP_TRANSFER_ENCODING="chunked")
    client.sendall(b"x")
    client.shutdown(socket.SHUT_WR)
    lingering(made, ()).close()
    assert server.recv(1) == b""


def test_other_servers_are_left_alone() -> None:
    """Without a connection whose reading can be ended, nothing is read."""
    body = (b"refused",)
    assert lingering(environ("/a", "PUT", body=Untouchable(), CONTENT_LENGTH="9"), body) is body
