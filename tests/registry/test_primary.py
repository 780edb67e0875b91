"""The primary as its replica asks it: whatever it answers, and wherever it breaks off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from stand_in import Asked, StandIn, stand_in

from repocore import ReplicaError, UpstreamUnavailableError
from repocore.catalog.replication import Wanted
from repocore.config import ReplicaSettings
from repocore.registry import Tracing
from repocore.registry.primary import Primary

Serve = Callable[[Callable[[Asked], Any]], StandIn]
CONTENT = bytes(range(256)) * 1000


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:
        yield lambda answer: stack.enter_context(stand_in(answer))


def primary(url: str, **more: Any) -> Primary:
    return Primary(ReplicaSettings(of=url, token="rpc-secret", **more), Tracing())


def read(one: Primary) -> bytes:
    found = b""
    with one.content("0" * 64) as stream:
        while chunk := stream.read(1 << 16):
            found += chunk
    return found


def test_bytes_that_break_off_go_on_where_they_did(serve: Serve) -> None:
    """By a range, as often as they do; the token goes with each request."""

    def answer(asked: Asked) -> Any:
        part = asked.headers.get("range")
        start = int(part.removeprefix("bytes=").rstrip("-")) if part else 0
        left = CONTENT[start:]
        return 206 if part else 200, {"Content-Length": str(len(left))}, left[:70_000]

    server = serve(answer)
    assert read(primary(server.url)) == CONTENT
    assert len(server.asked) == 4
    assert {one.headers["authorization"] for one in server.asked} == {"Bearer rpc-secret"}


def test_bytes_that_break_off_for_ever_are_given_up(serve: Serve) -> None:
    """After some attempts, of which each brought something."""

    def answer(asked: Asked) -> Any:
        part = "range" in asked.headers
        return 206 if part else 200, {"Content-Length": "1000000"}, b"x" * 10

    server = serve(answer)
    with pytest.raises(UpstreamUnavailableError):
        read(primary(server.url))
    assert len(server.asked) == 5


def test_a_server_without_ranges_is_not_believed_to_go_on(serve: Serve) -> None:
    """What it sends from the start again is not put behind what came."""
    server = serve(lambda _asked: (200, {"Content-Length": str(len(CONTENT))}, CONTENT[:70_000]))
    with pytest.raises(UpstreamUnavailableError):
        read(primary(server.url))
    assert len(server.asked) == 2


@pytest.mark.parametrize(("status", "told"), [(401, "token"), (403, "replicate"), (404, "of")])
def test_refusals_say_what_to_do(serve: Serve, status: int, told: str) -> None:
    """With the primary's URL, and without the token."""
    server = serve(lambda _asked: (status, {}, b"no"))
    with pytest.raises(ReplicaError, match=told) as refused:
        primary(server.url).position()
    assert server.url in str(refused.value)
    assert "rpc-secret" not in str(refused.value)


@pytest.mark.parametrize(
    "answer",
    [{}, {"protocol": 1}, [], {"releases": [{}], "partitions": []}, {"items": 3, "next": None}],
)
def test_answers_that_mean_nothing_are_no_answers(serve: Serve, answer: Any) -> None:
    """Whatever they lack."""
    one = primary(serve(lambda _asked: (200, {}, answer)).url)
    for ask in (
        one.position,
        lambda: one.changes([Wanted(repository=1, partition="a", since=0)]),
        lambda: [*one.partitions()],
        lambda: [*one.access()],
        lambda: [*one.records(0)],
        lambda: [*one.loose_files(1)],
    ):
        with pytest.raises((UpstreamUnavailableError, ReplicaError)):
            ask()


def test_paths_that_are_none_are_not_taken_over(serve: Serve) -> None:
    """A primary that was broken into writes nowhere but where files are."""
    file = {"path": "../x", "sha256": "0" * 64, "size": 1, "sha1": None, "md5": None}
    more = {"media_type": "x", "mutable": False, "created_at": 1, "created_by": "x"}
    answer = {"items": [file | more], "next": None}
    one = primary(serve(lambda _asked: (200, {}, answer)).url)
    with pytest.raises(UpstreamUnavailableError):
        [*one.loose_files(1)]


def test_a_later_version_may_tell_more(serve: Serve) -> None:
    """What is not known is left out."""
    file = {"path": "a/b", "sha256": "0" * 64, "size": 1, "sha1": None, "md5": None, "new": 1}
    more = {"media_type": "x", "mutable": False, "created_at": 1, "created_by": "x"}
    answer = {"items": [file | more], "next": None}
    one = primary(serve(lambda _asked: (200, {}, answer)).url)
    [[found]] = one.loose_files(1)
    assert (found.path, found.digest) == ("a/b", "0" * 64)


def test_settings_without_a_primary_have_none() -> None:
    """Which is said."""
    with pytest.raises(ReplicaError, match=r"replica\.of"):
        Primary(ReplicaSettings(), Tracing())
