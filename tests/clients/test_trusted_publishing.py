"""rattler-build as a job of a CI: it holds no key, and trades the token that the CI signs."""

from __future__ import annotations

import json
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from live_server import live_server
from rattler_builder import builder, tide
from stand_in import stand_in

pytestmark = [pytest.mark.clients, pytest.mark.slow]

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
#: What this release of the client asks for; the stand-in of the CI says what it was.
ASKED: list[str] = []


def ci(asked):
    """Both ends of a CI: where its jobs ask for a token, and where it says its keys."""
    origin = f"http://{asked.headers['host']}"
    if asked.path == "/token":
        assert asked.headers["authorization"].lower() == "bearer of-the-job"
        [audience] = parse_qs(urlsplit(asked.target).query)["audience"]
        ASKED.append(audience)
        now = int(time.time())
        claims = {
            "iss": origin,
            "aud": audience,
            "iat": now,
            "exp": now + 300,
            "jti": f"{now}-{len(ASKED)}",
            "sub": "repo:tide/tide",
            "repository_id": "7",
        }
        return 200, {}, {"value": jwt.encode(claims, KEY, "RS256", headers={"kid": "k"})}
    if asked.path == "/keys":
        jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key()))
        return 200, {}, {"keys": [{**jwk, "kid": "k"}]}
    return 200, {}, {"issuer": origin, "jwks_uri": f"{origin}/keys"}


@pytest.fixture
def job(monkeypatch):
    """The environment of a job that may ask for tokens."""
    with stand_in(ci) as server:
        monkeypatch.setenv("GITHUB_ACTIONS", "true")
        monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", f"{server.url}/token?api-version=2")
        monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "of-the-job")
        yield server


def write(data: Path, issuer: str, audience: str) -> None:
    """An installation whose settings let such jobs in."""
    data.mkdir()
    (data / "repocore.toml").write_text(
        '[[account]]\nname = "builds"\nservice = true\n\n'
        "[[plugins.trusted_publishing.publisher]]\n"
        f'name = "tide"\nissuer = "{issuer}"\naudience = ["{audience}"]\n'
        'claims = { repository_id = "7" }\naccount = "builds"\n'
        'allow = ["read,write:conda/tides"]\nhosts = ["127.0.0.0/8"]\n'
    )


def test_a_job_publishes_without_a_key(job, tmp_path) -> None:
    """Into the channel of the settings, and into no other."""
    build = builder(tmp_path / "build")
    path = build.build(tide("1.0"))
    # What a release of the client asks for is seen from a server that takes anything.
    build.upload("prefix", job.url, "tides", path)
    data = tmp_path / "data"
    write(data, job.url, ASKED[0])
    with live_server(data) as server:
        for name in ("tides", "others"):
            server.run("repo", "create", f"conda/{name}")
        server.run("role", "bind", "editor", "user:builds", "conda/*")
        build.upload("prefix", server.address, "tides", path)
        build.refused("prefix", server.address, "others", path)
        files = json.loads(server.run("search", "conda/tides", "*", "--json"))
        tokens = json.loads(server.run("token", "list", "builds", "--json"))
    assert "tide" in json.dumps(files)
    assert {token["name"] for token in tokens} == {"tide: repo:tide/tide"}
    assert len(ASKED) >= 3
