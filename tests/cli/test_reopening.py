"""A worker whose registry does not open: 503, but for whether it lives, until it does."""

from __future__ import annotations

import itertools
import threading

import pytest

from repocore.cli.reopening import Reopening
from repocore.errors import ConfigurationError


def ask(application, path: str) -> tuple[str, bytes]:
    told: list[str] = []
    body = b"".join(application({"PATH_INFO": path}, lambda status, _fields: told.append(status)))
    return told[0], body


@pytest.fixture
def opened():
    """What opens once it is let."""
    lets, tried = threading.Event(), threading.Event()
    failures = itertools.cycle([ConfigurationError("It cannot be opened."), OSError("no memory")])

    def answer(_environ, start_response):
        start_response("200 OK", [])
        return (b"packages",)

    def open_it():
        tried.set()
        if not lets.is_set():
            raise next(failures)
        return answer

    application = Reopening(open_it, pause=0.01)
    yield application, lets, tried
    application.close()


def test_it_lives_and_is_not_ready(opened) -> None:
    """Each answer but that of /healthz asks to come again."""
    application, _, tried = opened
    assert tried.wait(10)
    assert ask(application, "/healthz") == ("200 OK", b"ok\n")
    for path in ("/readyz", "/conda/main/noarch/repodata.json"):
        status, body = ask(application, path)
        assert status == "503 Service Unavailable"
        assert body.endswith(b"try again.\n")


def test_it_answers_once_the_registry_opens(opened) -> None:
    """By itself; and tries no more."""
    application, lets, tried = opened
    assert tried.wait(10)
    lets.set()
    application._thread.join(10)
    assert ask(application, "/readyz") == ("200 OK", b"packages")
