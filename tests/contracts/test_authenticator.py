"""The contract of authenticators: ours keep it, and broken ones are found."""

from __future__ import annotations

import contextlib
import inspect
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import repocore
from repocore import (
    Anonymous,
    ApiKey,
    Bearer,
    NotAuthenticatedError,
    Password,
    Principal,
    Settings,
    hookimpl,
)
from repocore.plugins import bearer, passwords, tokens
from repocore.testing import authenticator_contract


@contextlib.contextmanager
def opened(plugin, *, given=True) -> Iterator[tuple[repocore.Registry, object]]:
    with (
        tempfile.TemporaryDirectory() as folder,
        repocore.open_registry(
            settings=Settings(data=Path(folder)), plugins=[] if given else [plugin]
        ) as registry,
    ):
        registry.session(registry.admin()).accounts.add("ann", "right")
        yield registry, plugin


RIGHT, WRONG, UNKNOWN = Password("ann", "right"), Password("ann", "wrong"), Password("bob", "right")

TestPasswords = authenticator_contract(
    lambda: opened(passwords), known=[RIGHT], wrong=[WRONG], unknown=[UNKNOWN, Bearer("x")]
)
TestTokens = authenticator_contract(
    lambda: opened(tokens),
    known=[],
    wrong=[ApiKey("rpc-aaaaaaaaaaaa-" + "b" * 40), ApiKey("nothing")],
    unknown=[RIGHT, Bearer("x")],
)
TestBearer = authenticator_contract(
    lambda: opened(bearer), known=[], wrong=[Bearer("a.b.c")], unknown=[RIGHT, Bearer("x")]
)


class Good:
    @hookimpl
    def repocore_authenticate(self, credentials):
        match credentials:
            case Password("ann", "right"):
                return Principal(name="ann", via="good")
            case Password("ann", password):
                return self.refuse(password)
            case _:
                return self.other(credentials)

    def refuse(self, _password):
        raise NotAuthenticatedError

    def other(self, _credentials):
        return None


class TakesAnything(Good):
    def refuse(self, password):
        return Principal(name="ann", via="good")


class Tells(Good):
    def refuse(self, password):
        message = f"{password} is wrong."
        raise NotAuthenticatedError(message)


class Crashes(Good):
    def other(self, credentials):
        if isinstance(credentials, Password):
            credentials.username.encode("ascii")


class Stops(Good):
    def other(self, credentials):
        if isinstance(credentials, Password):
            raise NotAuthenticatedError


class KnowsNobody(Good):
    def other(self, credentials):
        if isinstance(credentials, Anonymous):
            return Principal(name="guest", via="good")
        return None


class TakesEmpty(Good):
    def refuse(self, password):
        if not password:
            return Principal(name="ann", via="good")
        raise NotAuthenticatedError


class Trusts(Good):
    @hookimpl
    def repocore_authenticate(self, credentials):
        found = super().repocore_authenticate(credentials)
        return found and Principal(name=found.name, via="good", trusted=True)


def run(plugin: Good) -> None:
    tests = authenticator_contract(
        lambda: opened(plugin, given=False), known=[RIGHT], wrong=[WRONG], unknown=[UNKNOWN]
    )
    for name, function in inspect.getmembers(tests(), inspect.ismethod):
        if not name.startswith("test_"):
            continue
        marks = [mark for mark in getattr(function, "pytestmark", []) if mark.name == "parametrize"]
        for values in marks[0].args[1] if marks else [None]:
            function(*([] if values is None else [values]))


def test_a_good_authenticator_passes() -> None:
    """The smallest one that is right."""
    run(Good())


@pytest.mark.parametrize(
    "broken", [TakesAnything, Tells, Crashes, Stops, KnowsNobody, TakesEmpty, Trusts]
)
def test_a_broken_authenticator_is_found(broken) -> None:
    """Each breaks one promise, and the contract says so."""
    with pytest.raises(
        (AssertionError, UnicodeError, NotAuthenticatedError, pytest.fail.Exception)
    ):
        run(broken())
