"""Sessions of browsers, and what may be used once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

import repocore
from repocore import AccessDeniedError, Bearer, NotAuthenticatedError, Principal, Registry
from repocore.config import SessionSettings, Settings

NOW = time.time
ANN = Principal(name="ann", via="password")


@pytest.fixture
def registry(tmp_path: Path, database_url: str) -> Iterator[Registry]:
    settings = Settings(data=tmp_path, catalog=database_url)
    with repocore.open_registry(settings=settings) as opened:
        opened.session(opened.admin()).accounts.add("ann", groups=["team"])
        yield opened


@pytest.fixture
def admin(registry):
    return registry.session(registry.admin())


def test_a_session_is_resumed(admin):
    """As whoever started it, with the account's groups of now."""
    found = admin.sign_ins.resume(admin.sign_ins.start(ANN))
    assert (found.name, found.groups, found.via) == ("ann", {"team"}, "session")


def test_an_ended_session_is_over(admin):
    """Here and in every process, and for good; ending it again does nothing."""
    token, other = admin.sign_ins.start(ANN), admin.sign_ins.start(ANN)
    admin.sign_ins.end(token)
    admin.sign_ins.end(token)
    admin.sign_ins.end("nonsense")
    with pytest.raises(NotAuthenticatedError):
        admin.sign_ins.resume(token)
    assert admin.sign_ins.resume(other).name == "ann"


@pytest.mark.parametrize("change", ["disable", "remove"])
def test_a_session_ends_with_its_account(admin, change):
    """With the next request."""
    token = admin.sign_ins.start(ANN)
    getattr(admin.accounts, change)("ann")
    with pytest.raises(NotAuthenticatedError):
        admin.sign_ins.resume(token)


def test_a_session_is_not_of_who_gets_the_name_next(admin, monkeypatch):
    """An account that was made after it is another one (T28)."""
    monkeypatch.setattr("time.time", lambda: NOW() - 60)
    token = admin.sign_ins.start(ANN)
    monkeypatch.undo()
    admin.accounts.remove("ann")
    admin.accounts.add("ann")
    with pytest.raises(NotAuthenticatedError):
        admin.sign_ins.resume(token)


def test_a_session_has_an_end(tmp_path):
    """The lifetime of the settings."""
    session = SessionSettings(lifetime=timedelta(microseconds=1))
    with repocore.open_registry(settings=Settings(data=tmp_path, session=session)) as registry:
        admin = registry.session(registry.admin())
        admin.accounts.add("ann")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("time.time", lambda: NOW() - 60)
            token = admin.sign_ins.start(ANN)
        with pytest.raises(NotAuthenticatedError):
            admin.sign_ins.resume(token)


def test_a_cookie_is_no_bearer_token(registry, admin):
    """What a browser holds is worth nothing in another field, and the other way round."""
    with pytest.raises(NotAuthenticatedError):
        registry.authenticate(Bearer(admin.sign_ins.start(ANN)))
    other = registry.issue(ANN, audience="repocore", lifetime=timedelta(hours=1))
    with pytest.raises(NotAuthenticatedError):
        admin.sign_ins.resume(other)


@pytest.mark.parametrize("token", ["", "a.b.c", "é", "x" * 10_000])
def test_nonsense_is_no_session(admin, token):
    """Whatever the cookie holds."""
    with pytest.raises(NotAuthenticatedError):
        admin.sign_ins.resume(token)


def test_one_of_many_uses_it_up(admin):
    """Also where fifty try at once."""
    spend = admin.sign_ins.spend
    with ThreadPoolExecutor(10) as pool:
        done = list(pool.map(lambda _: spend("code", "1", timedelta(hours=1)), range(50)))
    assert sum(done) == 1
    assert spend("other", "1", timedelta(hours=1))


def test_what_would_have_run_out_is_forgotten(admin):
    """The table does not grow for ever."""
    assert admin.sign_ins.spend("code", "1", timedelta(0))
    assert admin.sign_ins.spend("code", "2", timedelta(hours=1))
    assert admin.sign_ins.spend("code", "1", timedelta(hours=1))


def test_nobody_else_may(registry):
    """The room is the server's."""
    room = registry.session(ANN).sign_ins
    for ask in (
        lambda: room.start(ANN),
        lambda: room.resume("x"),
        lambda: room.spend("a", "b", timedelta(1)),
        lambda: room.end("x"),
    ):
        with pytest.raises(AccessDeniedError):
            ask()
