"""Errors: each is a value that survives a process boundary and has a status."""

from __future__ import annotations

import pickle

import pytest

from repocore import errors
from repocore.errors import (
    AccessDeniedError,
    AuthenticatorError,
    ConfigurationError,
    NotAuthenticatedError,
)
from repocore.http import status_for

KINDS = [getattr(errors, name) for name in errors.__all__]


def made(kind):
    try:
        return kind()
    except TypeError:
        return kind("One sentence.")


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_survives_pickling(kind) -> None:
    """Fields and text are the same afterwards."""
    error = made(kind)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == str(error) == error.message
    assert isinstance(error, errors.RepocoreError)


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_is_a_sentence(kind) -> None:
    """It starts with a capital and ends in a full stop."""
    text = str(made(kind))
    assert text[0].isupper()
    assert text.endswith(".")


def test_statuses_tell_hidden_from_denied_and_strangers() -> None:
    """401 to the anonymous, 403 to readers, 404 to those who may not even read."""
    assert status_for(NotAuthenticatedError()) == 401
    assert status_for(AccessDeniedError()) == 403
    assert status_for(AccessDeniedError(hidden=True)) == 404
    assert status_for(ValueError()) == 500


def test_a_silent_directory_is_no_verdict() -> None:
    """503: neither wrong credentials nor a broken server."""
    assert status_for(AuthenticatorError()) == 503


def test_a_configuration_error_lists_every_problem() -> None:
    """One line each."""
    error = pickle.loads(pickle.dumps(ConfigurationError(problems=("a", "b"))))
    assert str(error).splitlines()[1:] == ["  - a", "  - b"]
