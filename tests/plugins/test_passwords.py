"""Passwords: one of several authenticators in a row."""

from __future__ import annotations

from pathlib import Path

import pytest

import repocore
from repocore import Bearer, NotAuthenticatedError, Password, Principal, hookimpl
from repocore.config import Settings


class Next:
    """Knows bob and would know ann."""

    @hookimpl(trylast=True)
    def repocore_authenticate(self, credentials):
        if isinstance(credentials, Password):
            return Principal(name=credentials.username, via="next")
        return None


def test_the_next_is_asked_for_unknown_names_only(tmp_path: Path) -> None:
    """A known name with a wrong secret stops; an unknown one goes on."""
    settings = Settings(data=tmp_path)
    with repocore.open_registry(settings=settings, plugins=[Next()]) as registry:
        accounts = registry.session(registry.admin()).accounts
        accounts.add("ann", "right")
        accounts.add("tokens-only")
        assert registry.connect(Password("ann", "right")).principal.via == "password"
        assert registry.connect(Password("bob", "x")).principal.via == "next"
        assert registry.connect(Password("tokens-only", "x")).principal.via == "next"
        with pytest.raises(NotAuthenticatedError, match="Wrong user or password"):
            registry.connect(Password("ann", "wrong"))


def test_a_disabled_account_is_refused_with_the_same_words(registry) -> None:
    """Nobody learns which accounts are disabled."""
    registry.session(registry.admin()).accounts.disable("ann")
    texts = set()
    for password in ("right", "wrong"):
        with pytest.raises(NotAuthenticatedError) as caught:
            registry.connect(Password("ann", password))
        texts.add(str(caught.value))
    assert len(texts) == 1


def test_without_an_authenticator_nobody_is_known(registry) -> None:
    """What no plugin knows is refused."""
    with pytest.raises(NotAuthenticatedError, match="Nobody is known"):
        registry.connect(Bearer("neither a token nor signed"))
