"""Failures of signing in, over HTTP: the client's address counts, and the pause is said."""

from __future__ import annotations

import pytest
from wsgi_calls import basic, call

import repocore
from repocore import AuditQuery
from repocore.config import Settings, SignInSettings, WebSettings
from repocore_web import create_app

PROXY, CLIENT, OTHER = "192.0.2.1", "198.51.100.7", "198.51.100.8"


@pytest.fixture
def site(tmp_path):
    settings = Settings(
        data=tmp_path,
        sign_in=SignInSettings(attempts=2, attempts_of_address=4),
        web=WebSettings(trusted_proxies=(PROXY,)),
    )
    with repocore.open_registry(settings=settings) as registry:
        registry.session(registry.admin()).accounts.add("ann", "correct horse battery")
        yield registry


def ask(site, credentials: str, path: str = "/", peer: str = CLIENT, **fields: str):
    app = create_app(site)
    return call(app, path, HTTP_AUTHORIZATION=credentials, REMOTE_ADDR=peer, **fields)


WRONG, RIGHT = basic("ann", "wrong"), basic("ann", "correct horse battery")


def test_the_pause_is_said(site) -> None:
    """As 429 with Retry-After, on any route, and as a problem below the API."""
    told = [ask(site, basic("ann", f"wrong{number}")).status for number in range(3)]
    assert told == [401, 401, 429]
    refused = ask(site, RIGHT, "/api/v1/jobs")
    assert (refused.status, refused.headers["content-type"]) == (429, "application/problem+json")
    assert 0 < int(refused.headers["retry-after"]) <= 30
    assert "www-authenticate" not in refused.headers
    assert ask(site, RIGHT, peer=OTHER).status == 200


def test_tokens_in_headers_and_in_paths_count_for_their_address(site) -> None:
    """Whichever way they are sent."""
    ways = [
        {"HTTP_X_API_KEY": "rpc-aaaaaaaaaaaa-b"},
        {"HTTP_AUTHORIZATION": "Bearer e30.e30.e30"},
        {"HTTP_AUTHORIZATION": basic("__token__", "rpc-aaaaaaaaaaaa-c")},
    ]
    app = create_app(site)
    told = [call(app, "/", REMOTE_ADDR=CLIENT, **way).status for way in ways]
    told.append(call(app, "/t/rpc-aaaaaaaaaaaa-d/", REMOTE_ADDR=CLIENT).status)
    told.append(call(app, "/", REMOTE_ADDR=CLIENT, HTTP_X_API_KEY="rpc-aaaaaaaaaaaa-e").status)
    assert told == [401, 401, 401, 401, 429]
    assert call(app, "/", REMOTE_ADDR=CLIENT).status == 200


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        (PROXY, CLIENT, CLIENT),
        (PROXY, f"203.0.113.9, {CLIENT}", CLIENT),
        (PROXY, f"{CLIENT}, {PROXY}", CLIENT),
        (PROXY, "", PROXY),
        (PROXY, "nonsense", PROXY),
        (CLIENT, OTHER, CLIENT),
    ],
)
def test_whose_failure_it_is(site, peer, forwarded, client) -> None:
    """What a trusted proxy says of its client, and nothing that the client says of itself."""
    said = {"HTTP_X_FORWARDED_FOR": forwarded}
    for number in range(2):
        wrong = basic("ann", f"wrong{number}")
        assert ask(site, wrong, peer=peer, **said).status == 401
    assert ask(site, WRONG, peer=peer, **said).status == 429
    with pytest.raises(repocore.TooManyAttemptsError):
        site.authenticate(repocore.Password("ann", "wrong"), source=client)


def test_the_address_stands_in_the_records(site) -> None:
    """Of what is done over HTTP."""
    admin = site.session(site.admin())
    admin.roles.bind(repocore.Binding(subject="user:ann", role="owner"))
    app = create_app(site)
    made = call(
        app,
        "/api/v1/roles/tester",
        "PUT",
        body=b'{"actions": ["read"]}',
        HTTP_AUTHORIZATION=RIGHT,
        REMOTE_ADDR=CLIENT,
    )
    assert made.status == 200
    [record] = admin.audit.list(AuditQuery(what="tester"))
    assert (record.origin.who, record.origin.via) == ("ann", "password")
    assert record.origin.source == CLIENT
