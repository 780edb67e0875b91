"""API tokens as credentials."""

from __future__ import annotations

import pytest

from repocore import Action, ApiKey, Bearer, NotAuthenticatedError, Password, Rule

SCOPE = (Rule(subject="*", actions=frozenset({Action.READ}), pattern="conan/main/**"),)


@pytest.fixture
def secret(registry) -> str:
    accounts = registry.session(registry.admin()).accounts
    return accounts.create_token("ann", "ci", rules=SCOPE)[1]


def test_a_token_is_accepted_wherever_it_is_sent(registry, secret) -> None:
    """As a key, as a bearer, and as the password of its account or of `__token__`."""
    for sent in (
        ApiKey(secret),
        Bearer(secret),
        Password("ann", secret),
        Password("__token__", secret),
    ):
        principal = registry.connect(sent).principal
        assert (principal.name, principal.groups, principal.scope) == ("ann", {"team"}, SCOPE)
        assert principal.via == "token"


@pytest.mark.parametrize("change", [lambda t: t[:-1] + "!", lambda t: t + "a", lambda _: "x"])
def test_another_token_is_refused(registry, secret, change) -> None:
    """Every character counts."""
    with pytest.raises(NotAuthenticatedError):
        registry.connect(ApiKey(change(secret)))


def test_a_token_goes_with_its_own_name(registry, secret) -> None:
    """Somebody else's name with it is a mistake, not a way in."""
    with pytest.raises(NotAuthenticatedError, match="another account"):
        registry.connect(Password("bob", secret))


def test_a_password_may_look_like_a_token(registry) -> None:
    """What only begins like one is tried as a password."""
    registry.session(registry.admin()).accounts.add("eve", "rpc-is-my-password")
    assert registry.connect(Password("eve", "rpc-is-my-password")).principal.via == "password"
