"""Names of accounts and groups."""

from __future__ import annotations

import pytest

from repocore import RejectedError, check_account_name


@pytest.mark.parametrize("name", ["ann", "ann.b@team.example", "a+b", "0x", "A" * 100])
def test_usual_names_are_taken(name: str) -> None:
    """Letters, digits and a few marks."""
    assert check_account_name(name) == name


@pytest.mark.parametrize("name", ["", "anonymous", "-a", "a b", "a:b", "a/b", "a\n", "A" * 101])
def test_other_names_are_refused(name: str) -> None:
    """Nobody is called like nobody, or like a path."""
    with pytest.raises(RejectedError):
        check_account_name(name)
