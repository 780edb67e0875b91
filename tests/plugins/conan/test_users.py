"""Ping and logins."""

from __future__ import annotations

import re

import pytest
from conan_protocol import Client, principal

from repocore import Action, ApiKey, Bearer, Password, Principal


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_ping_tells_the_capabilities_to_anyone(conan, version):
    """No credentials are asked for, and every capability is one that is kept."""
    answer = conan.as_(Principal(name=None)).get(f"/{version}/ping")
    assert (answer.status, answer.body) == (200, b"")
    capabilities = answer.headers["X-Conan-Server-Capabilities"]
    assert capabilities == "complex_search,revisions,checksum_deploy"


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_login_answers_a_token_and_nothing_else(conan, version):
    """The body is the token, which then proves who it is."""
    conan.session.accounts.add(f"sailor{version}", "low-water")
    credentials = Password(f"sailor{version}", "low-water")
    session = conan.registry.connect(credentials)
    client = Client(conan.registry, session, conan.repository, credentials)
    answer = client.get(f"/{version}/users/authenticate")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/plain")
    assert re.fullmatch(r"[\w.-]+", answer.text)
    client.session = conan.registry.connect(Bearer(answer.text))
    told = client.get(f"/{version}/users/check_credentials")
    assert (told.status, told.text) == (200, f"sailor{version}")


@pytest.mark.parametrize("credentials", [None, Bearer("a.b.c")])
def test_a_login_takes_a_password(conan, credentials):
    """Without one, or with a token of an earlier login, it is refused with 401."""
    client = conan.as_(Principal(name=None))
    if credentials:
        client.credentials = credentials
    assert client.get("/v2/users/authenticate").status == 401


def test_an_api_token_logs_in_in_a_password_s_place(conan):
    """The token that is issued carries the scope of the one that was shown."""
    conan.session.accounts.add("builder", None)
    rules = list(principal(Action.READ).scope)
    _, secret = conan.session.accounts.create_token("builder", "ci", rules=rules)
    credentials = ApiKey(secret)
    session = conan.registry.connect(credentials)
    client = Client(conan.registry, session, conan.repository, credentials)
    issued = client.get("/v2/users/authenticate").text
    proved = conan.registry.authenticate(Bearer(issued))
    assert [rule.actions for rule in proved.scope] == [frozenset({Action.READ})]


def test_nobody_s_credentials_are_not_checked(conan):
    """Without a login there is nothing to say: 401."""
    answer = conan.as_(Principal(name=None)).get("/v2/users/check_credentials")
    assert (answer.status, answer.text) == (401, "Logged user needed!")
