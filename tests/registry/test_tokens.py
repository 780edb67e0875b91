"""Tokens whose secret was made elsewhere, and what no token can be."""

from __future__ import annotations

from datetime import timedelta

import pytest

from repocore import (
    AccessDeniedError,
    AlreadyExistsError,
    ApiKey,
    MissingError,
    NotAuthenticatedError,
    RejectedError,
)
from repocore.catalog import accounts as stored

SECRET = "Qw3rTyUiOpAsDfGhJkLzXcVbNm123456"


def test_a_secret_from_elsewhere_goes_on_working(house) -> None:
    """Until it is revoked, and only its hash is kept."""
    house.admin.accounts.add("ann")
    token, secret = house.admin.accounts.create_token("ann", "old", secret=SECRET)
    assert (secret, token.declared, SECRET in token.prefix) == (SECRET, True, False)
    assert house.registry.authenticate(ApiKey(SECRET)).name == "ann"
    house.admin.accounts.revoke_token(token.id)
    with pytest.raises(NotAuthenticatedError):
        house.registry.connect(ApiKey(SECRET)).repositories.list()


def test_a_secret_is_one_token_s(house) -> None:
    """Whosoever it is; and it is an administrator's to bring one."""
    accounts = house.admin.accounts
    for name in ("ann", "bob"):
        accounts.add(name)
    accounts.create_token("ann", "old", secret=SECRET)
    for name in ("ann", "bob"):
        with pytest.raises(AlreadyExistsError):
            accounts.create_token(name, "new", secret=SECRET)
    with pytest.raises(AccessDeniedError):
        house.as_("bob").accounts.create_token("bob", "mine", secret=SECRET[::-1])
    with pytest.raises(MissingError):
        accounts.create_token("zoe", "old", secret=SECRET[::-1])
    with house.registry._services.catalog.snapshot() as connection:
        assert len(stored.list_tokens(connection, None)) == 1


@pytest.mark.parametrize(
    "secret",
    ["", "short", "x" * 15, "x" * 513, "with a space in it", "ümläut-ümläut-ü", "x" * 20 + "\n"],
)
def test_what_is_no_secret(house, secret) -> None:
    """Refused: it could be guessed, or not be sent."""
    house.admin.accounts.add("ann")
    with pytest.raises(RejectedError):
        house.admin.accounts.create_token("ann", "old", secret=secret)


@pytest.mark.parametrize("days", [0, -1, 40_000])
def test_what_is_no_lifetime(house, days) -> None:
    """None at all, and one beyond any calendar."""
    house.admin.accounts.add("ann")
    with pytest.raises(RejectedError, match="lives"):
        house.admin.accounts.create_token("ann", "old", lifetime=timedelta(days=days))
