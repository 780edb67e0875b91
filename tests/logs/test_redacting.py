"""What may be written down."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from repocore.logs import describe, hide, printable, redact


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
        "GET /x?next=%2Fpkgs%2Ft%2Fcanary-1%2Fy",
        "GET /x?next=%2Fy%3Ftoken%3Dcanary-1%26z",
        "Cookie: language=en; session=canary-1",
        "{'Set-Cookie': 'session=canary-1; HttpOnly'}",
        "{'HTTP_COOKIE': 'canary=canary-1'}",
        "Authorization: Digest username=canary-1, response=canary-2",
        "X-API-Key: canary-1",
        "'HTTP_X_API_KEY': 'canary-1'",
        "https://canary-1:canary-2@upstream.example/x",
        "cannot reach postgresql+psycopg://canary-1:a@canary-2@db.example/x",
        "https://bucket.example/x?X-Amz-Credential=canary-1%2F2026&X-Amz-Signature=canary-2",
        "https://bucket.example/x?X-Goog-Signature=canary-1",
        "https://account.example/x?sv=1&sig=canary%2F1%3D",
        "https://bucket.example/x?AWSAccessKeyId=canary-1&Expires=1",
        "grant_type=authorization_code&client_secret=canary-1&code_verifier=canary-2",
        '{"refresh_token": "canary-1", "id_token": "canary-2"}',
        "signed in with password='canary one two'",
        "it is eyJhbGciOi.canary.canary",
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


def test_what_is_no_secret_stays():
    """Words of every day, and addresses."""
    for text in (
        "job 3 (gc) is done: state running, code 5, key x",
        "https://upstream.example/conda/main/noarch/repodata.json?x=1",
        "/conda/main/t1/tide-1.0-0.conda",
        "user ann@site.example may not read",
    ):
        assert redact(text) == text


@given(st.text())
def test_redacting_twice_is_redacting_once(text):
    """Lines pass through several hands."""
    assert redact(redact(text)) == redact(text)


def test_known_secrets_are_hidden_wherever_they_stand():
    """As they are, as a URL spells them and as they are printed; what is very short is not."""
    told = hide("a/b c\n, a%2Fb%20c%0A, 'a/b c\\n' and x", ["a/b c\n", "x"])
    assert told == "***, ***, '***' and x"
    try:
        raise ValueError("no such colour: magenta-canary")
    except ValueError as error:
        described = describe(error, ["magenta-canary"])
    assert "canary" not in described
    assert "ValueError" in described


def test_long_lines_are_read_in_time():
    """No text makes the search go back and forth (the test would not end)."""
    for piece in ("a.", "/t", "token=", "://", "a@", "%2f", "cookie ", '"'):
        redact(piece * 20_000)
