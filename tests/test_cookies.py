"""Cookies, and the word of a form."""

from __future__ import annotations

import pytest

from repocore.cookies import cookie_field, csrf_word, is_csrf_word, read_cookie


class Fields(dict):
    """Header fields by name."""


@pytest.mark.parametrize(
    ("sent", "value"),
    [
        (None, None), ("", None), ("s=1", "1"), ("a=b; s=1 ;c=d", "1"), ('s="1"', "1"),
        ("s=1; s=1", "1"), ("s=1; s=2", None), ("S=1", None), ("s", None), ("xs=1", None),
        ("s=a=b", "a=b"), (";;; s=1", "1"), ("s=", ""),
    ],
)  # fmt: skip
def test_a_cookie_is_read(sent, value):
    """The one of that name; of two that differ none."""
    fields = Fields() if sent is None else Fields({"Cookie": sent})
    assert read_cookie(fields, "s") == value


def test_a_cookie_is_set():
    """So that no script reads it and no form from elsewhere brings it."""
    name, value = cookie_field("s", "1", seconds=5, secure=True, path="/p", domain="x.example")
    assert name == "Set-Cookie"
    assert value == ("s=1; Path=/p; Max-Age=5; HttpOnly; SameSite=Lax; Domain=x.example; Secure")
    assert cookie_field("s", "", seconds=0, secure=False)[1] == (
        "s=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"
    )


def test_the_word_is_of_the_secret():
    """And does not tell it."""
    assert is_csrf_word(csrf_word("secret"), "secret")
    assert not is_csrf_word(csrf_word("other"), "secret")
    assert not is_csrf_word("", "secret")
    assert not is_csrf_word("secret", "secret")
    assert not is_csrf_word("\ud800é", "\ud800é")
    assert "secret" not in csrf_word("secret")
