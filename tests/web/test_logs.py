"""What may stand in a log."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from repocore_web.logs import describe, printable, redact


@pytest.mark.parametrize(
    "text",
    [
        "/t/canary-1/conan/main",
        "/pkgs/t/canary-1/x?y",
        "GET /%74/canary-1 HTTP/1.1",
        "/v1/files/x?a=b&signature=canary-1",
        "/x?token=canary-1&y=z",
        "Authorization: Bearer canary-1",
        "'HTTP_AUTHORIZATION': 'Basic canary-1'",
        "authorization=canary-1",
        "sent bearer canary-1.eyJ.abc to it",
        "the token rpc-canary-1 is wrong",
    ],
)
def test_secrets_are_hidden(text):
    """Wherever a request can carry a token, its text does not reach the log."""
    assert "canary" not in redact(text)
    assert "***" in redact(text)
    assert redact(redact(text)) == redact(text)


def test_other_text_stays():
    """A URL without a secret is logged as it is."""
    text = "GET /conan/main/v2/conans/t/1.0/_/_/latest?q=zlib* 200"
    assert redact("/conan/main/v2/conans/search?q=basic") == "/conan/main/v2/conans/search?q=basic"
    assert redact(text).startswith("GET /conan/main/v2/conans/t/")


@given(st.text())
def test_logged_text_is_one_printable_line(text):
    """No content moves the terminal, turns the writing round or begins a line."""
    assert printable(text).isprintable()
    assert redact(text).isprintable()


def test_traceback_keeps_its_margin():
    """A message with line ends cannot pretend to be another record."""
    try:
        raise ValueError("x\n2026-01-01 ERROR forged \x1b[31m /t/canary/")
    except ValueError as error:
        lines = describe(error).split("\n")
    assert all(line.startswith("  | ") for line in lines)
    assert not any("\x1b" in line or "canary" in line for line in lines)


def test_what_a_sign_in_comes_back_with_is_hidden():
    """A code and a state are good once, and a log is not where to try."""
    told = redact("GET /auth/house/callback?code=abc.def&state=x-1&iss=https%3A%2F%2Fa HTTP/1.1")
    assert told == "GET /auth/house/callback?code=***&state=***&iss=https%3A%2F%2Fa HTTP/1.1"
