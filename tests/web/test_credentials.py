"""Which credentials a request carries."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, strategies as st

from repocore import Anonymous, ApiKey, Bearer, NotAuthenticatedError, Password
from repocore_web.credentials import read_credentials


def basic(text: str, encoding: str = "utf-8") -> str:
    return "Basic " + base64.b64encode(text.encode(encoding)).decode()


@pytest.mark.parametrize(
    ("field", "meant"),
    [
        (None, Anonymous()),
        ("", Anonymous()),
        (basic("ann:secret:er"), Password("ann", "secret:er")),
        (basic("ann:"), Password("ann", "")),
        (basic("zoë:pä", "latin-1"), Password("zoë", "pä")),
        (basic("zoë:pä"), Password("zoë", "pä")),
        (basic("ann:rpc-abc"), ApiKey("rpc-abc")),
        (basic("__token__:anything"), ApiKey("anything")),
        ("Bearer a.b.c", Bearer("a.b.c")),
        ("bearer  a.b.c ", Bearer("a.b.c")),
        ("Bearer rpc-abc", ApiKey("rpc-abc")),
    ],
)
def test_field_means(field, meant):
    """Each way to send a password, a signed token or an API token is understood."""
    assert read_credentials({} if field is None else {"HTTP_AUTHORIZATION": field}) == meant


@pytest.mark.parametrize(
    "field",
    ["Basic", "Basic !!!", "Basic YW5u", basic("a\nb:x"), basic("a:\0"), "Bearer", "Bearer a b",
     "Digest x", "rpc-abc", "Negotiate YII="],
)  # fmt: skip
def test_broken_credentials_are_not_anonymous(field):
    """Who sends something unreadable is told so, and gets nothing as nobody."""
    with pytest.raises(NotAuthenticatedError) as caught:
        read_credentials({"HTTP_AUTHORIZATION": field})
    assert field not in str(caught.value)


@given(st.text(st.characters(max_codepoint=255)))
def test_any_field_is_read_or_refused(field):
    """No content of the field gives another exception."""
    try:
        read_credentials({"HTTP_AUTHORIZATION": field})
    except NotAuthenticatedError:
        return


def test_token_of_the_path_goes_first():
    """A token in the path is what the URL's owner meant."""
    assert read_credentials({"HTTP_AUTHORIZATION": basic("a:b")}, "rpc-1") == ApiKey("rpc-1")
