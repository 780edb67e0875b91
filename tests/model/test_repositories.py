"""Addresses of repositories."""

from __future__ import annotations

import pytest

from repocore import InvalidPathError, Repository, split_address


def test_an_address_is_a_format_and_a_name() -> None:
    """`conan/main` and nothing else."""
    assert split_address("conan/main") == ("conan", "main")
    assert Repository(format="conan", name="main").address == "conan/main"


@pytest.mark.parametrize(
    "text", ["", "conan", "conan/", "/main", "conan/a/b", "conan/..", "conan/t", "conan/-"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """No repository is named `t`, which precedes a token in URLs."""
    with pytest.raises(InvalidPathError, match="conan/main"):
        split_address(text)
