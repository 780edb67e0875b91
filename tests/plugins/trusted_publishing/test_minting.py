"""Trusted publishing: who proves to be a job of the settings gets a token, once, for minutes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import importlib.util
import io
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from stand_in import stand_in
from wsgi_calls import call

import repocore
from repocore import AuditQuery, Binding
from repocore.catalog import accounts as catalog_accounts
from repocore.config import load_settings
from repocore.plugins.trusted_publishing import _mints
from repocore_web import create_app

AUDIENCE = "packages.example"
CLAIMS = {"repository_owner_id": "42", "ref": "refs/heads/main"}


class Issuer:
    """A CI that signs tokens of its jobs, and says its keys."""

    def __init__(self) -> None:
        self.keys = {"first": rsa.generate_private_key(public_exponent=65537, key_size=2048)}
        self.published = ["first"]
        self.url = ""
        self.document: dict[str, Any] | None = None
        self.number = 0

    def answer(self, asked):
        if asked.path == "/.well-known/openid-configuration":
            document = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
            return 200, {}, self.document or document
        return 200, {}, {"keys": [self.jwk(name) for name in self.published]}

    def jwk(self, name: str) -> dict[str, Any]:
        public = self.keys[name].public_key()
        return {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(public)), "kid": name}

    def sign(self, key: Any = None, algorithm: str = "RS256", kid: str = "first", **claims) -> str:
        self.number += 1
        now = int(time.time())
        said = {
            "iss": self.url,
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + 300,
            "jti": f"job-{self.number}",
            "sub": "repo:pretty/pretty:ref:refs/heads/main",
            **CLAIMS,
            **claims,
        }
        said = {name: value for name, value in said.items() if value is not None}
        return jwt.encode(said, key or self.keys[kid], algorithm, headers={"kid": kid})


@pytest.fixture
def issuer():
    made = Issuer()
    with stand_in(made.answer) as server:
        made.url = server.url
        yield made


def write(folder, of: Issuer, **more: str) -> Any:
    fields = {
        "name": '"pretty"',
        "issuer": f'"{of.url}"',
        "audience": f'["{AUDIENCE}"]',
        "claims": '{ repository_owner_id = "42", ref = ["refs/heads/main", "refs/heads/next"] }',
        "account": '"builds"',
        "allow": '["read,write:conan/main/zlib/**"]',
        "hosts": '["127.0.0.0/8"]',
        **more,
    }
    body = "\n".join(f"{name} = {value}" for name, value in fields.items() if value)
    text = (
        '[[account]]\nname = "builds"\nservice = true\n\n'
        "[[plugins.trusted_publishing.publisher]]\n" + body
    )
    file = folder / "repocore.toml"
    file.write_text(text)
    return load_settings(data=folder / "data", config=file, environ={})


@pytest.fixture
def site(tmp_path, issuer):
    with repocore.open_registry(settings=write(tmp_path, issuer)) as registry:
        admin = registry.session(registry.admin())
        admin.repositories.create("conan/main")
        admin.roles.bind(Binding(subject="user:builds", role="maintainer"))
        yield registry


def trade(site, token: Any, source: str = "192.0.2.5"):
    body = json.dumps({"token": token}).encode()
    return call(create_app(site), "/api/oidc/mint_token", "POST", body=body, REMOTE_ADDR=source)


def test_a_job_trades_its_token(site, issuer) -> None:
    """The body is the new token; with it the job does what the settings say, and no more."""
    told = trade(site, issuer.sign())
    assert told.status == 200, told.text
    assert told.text.startswith("rpc-")
    assert told.headers["cache-control"] == "no-store"
    job = site.connect(repocore.Bearer(told.text))
    assert (job.principal.name, job.principal.via) == ("builds", "token")
    job.files.put("conan/main", "zlib/1.3/_/_/r1/export/conanfile.py", io.BytesIO(b"x"))
    for path in ("boost/1/_/_/r1/export/conanfile.py",):
        with pytest.raises(repocore.AccessDeniedError):
            job.files.put("conan/main", path, io.BytesIO(b"x"))
    with pytest.raises(repocore.AccessDeniedError):
        job.releases.delete("conan/main", "zlib/1.3@_/_", "r1")


def test_what_is_made_is_short_lived_and_recorded(site, issuer) -> None:
    """Its name tells the job, and its record where that was; it can be revoked."""
    before = time.time()
    secret = trade(site, issuer.sign()).text
    admin = site.session(site.admin())
    [token] = admin.accounts.tokens("builds")
    assert token.name == "pretty: repo:pretty/pretty:ref:refs/heads/main"
    assert 890 <= token.expires_at.timestamp() - before <= 910
    [record] = admin.audit.list(AuditQuery(who="builds"))
    assert (record.origin.via, record.origin.source) == ("oidc pretty", "192.0.2.5")
    admin.accounts.revoke_token(token.id)
    with pytest.raises(repocore.NotAuthenticatedError):
        site.connect(repocore.Bearer(secret))


def test_a_token_is_traded_once(site, issuer) -> None:
    """Also where fifty try at the same time, and in another process."""
    token = issuer.sign()
    with ThreadPoolExecutor(10) as pool:
        told = list(
            pool.map(lambda number: trade(site, token, f"192.0.2.{number}").status, range(50))
        )
    assert sorted(told) == [200] + [401] * 49
    with repocore.open_registry(settings=site.settings) as other:
        assert trade(other, token, "198.51.100.1").status == 401
    again = issuer.sign(jti="job-1")
    assert trade(site, again, "198.51.100.2").status == 401


def test_a_token_without_a_number_is_traded_once(site, issuer) -> None:
    """Whatever its signature is."""
    token = issuer.sign(jti=None)
    assert trade(site, token).status == 200
    assert trade(site, token).status == 401


FOREIGN = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PAST = int(time.time()) - 10_000


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "other.example"},
        {"aud": ["other.example"]},
        {"aud": None},
        {"exp": PAST},
        {"exp": None},
        {"exp": "soon"},
        {"iat": None},
        {"nbf": int(time.time()) + 3600},
        {"iss": "https://other.example"},
        {"iss": None},
        {"repository_owner_id": "43"},
        {"repository_owner_id": None},
        {"repository_owner_id": ["42"]},
        {"repository_owner_id": {"42": 1}},
        {"ref": "refs/heads/evil"},
        {"ref": "refs/heads/main/../evil"},
        {"ref": True},
    ],
)
def test_claims_that_do_not_fit(site, issuer, claims) -> None:
    """Another audience, time, issuer or job: 401, and nothing is made."""
    assert trade(site, issuer.sign(**claims)).status == 401
    assert site.session(site.admin()).accounts.tokens("builds") == []


def test_a_number_is_the_same_as_its_text(site, issuer) -> None:
    """Issuers write both; one of a list is enough."""
    assert trade(site, issuer.sign(repository_owner_id=42, ref="refs/heads/next")).status == 200


def unsigned(issuer: Issuer, **header: Any) -> str:
    signed = issuer.sign().split(".")
    text = json.dumps({"alg": "none", "kid": "first", **header}).encode()
    head = base64.urlsafe_b64encode(text).rstrip(b"=").decode()
    return f"{head}.{signed[1]}.{signed[2] if header else ''}"


def confused(issuer: Issuer) -> str:
    """Signed with the public key, as if it were a secret."""
    public = issuer.keys["first"].public_key()
    pem = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    body = issuer.sign().split(".")[1]
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"first"}').rstrip(b"=").decode()
    mac = hmac.digest(pem, f"{head}.{body}".encode(), hashlib.sha256)
    return f"{head}.{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


@pytest.mark.parametrize(
    "forge",
    [
        unsigned,
        lambda i: unsigned(i, alg="RS256"),
        confused,
        lambda i: i.sign(FOREIGN),
        lambda i: i.sign(ec.generate_private_key(ec.SECP256R1()), "ES256"),
        lambda i: unsigned(i, alg="RS256", jwk=i.jwk("first")),
        lambda i: unsigned(i, alg="RS256", jku="http://127.0.0.1:1/keys"),
        lambda i: unsigned(i, alg="RS256", kid="../../etc/passwd"),
        lambda i: unsigned(i, alg="RS256", kid="' OR 1=1 --"),
        lambda i: unsigned(i, alg="RS256", crit=["x"]),
        lambda _: "",
        lambda _: "a.b.c",
        lambda _: "." * 100_000,
        lambda i: i.sign()[:-4],
    ],
)
def test_what_the_issuer_has_not_signed(site, issuer, forge) -> None:
    """401 in the same words, and no key is asked for anywhere else."""
    told = trade(site, forge(issuer))
    assert told.status == 401
    assert site.session(site.admin()).accounts.tokens("builds") == []


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b"nothing", b'{"token": 1}', b'{"token": "x", "y": 1}']
)
def test_what_is_no_request(site, body) -> None:
    """A sentence, and 422."""
    assert call(create_app(site), "/api/oidc/mint_token", "POST", body=body).status == 422


def test_issuers_are_kept_apart(tmp_path, issuer) -> None:
    """What one signs with the other's name is nothing, though both are trusted."""
    other = Issuer()
    with stand_in(other.answer) as server:
        other.url = server.url
        settings = write(tmp_path, issuer)
        file = tmp_path / "repocore.toml"
        text = file.read_text()
        second = text[text.index("[[plugins") :].replace('"pretty"', '"ugly"')
        file.write_text(f"{text}\n{second.replace(issuer.url, other.url)}")
        settings = load_settings(data=tmp_path / "data", config=file, environ={})
        with repocore.open_registry(settings=settings) as registry:
            assert trade(registry, other.sign(iss=issuer.url)).status == 401
            assert trade(registry, issuer.sign(iss=other.url)).status == 401
            assert trade(registry, other.sign()).status == 200
            # The same number of two issuers is of two jobs.
            assert trade(registry, issuer.sign(jti=f"job-{other.number}")).status == 200


def test_a_new_key_is_found(site, issuer) -> None:
    """An issuer changes its keys; the one before is gone when it says so."""
    assert trade(site, issuer.sign()).status == 200
    issuer.keys["second"] = FOREIGN
    issuer.published = ["first", "second"]
    for key_set in _key_sets(site):
        key_set._patience = 0.0
    assert trade(site, issuer.sign(kid="second")).status == 200


def _key_sets(site):
    return _mints[site]._keys.values()


def test_failures_add_up(site, issuer) -> None:
    """As of every other way of signing in."""
    bad = issuer.sign(aud="other.example")
    for _ in range(100):
        assert trade(site, bad).status == 401
    told = trade(site, issuer.sign())
    assert told.status == 429
    assert int(told.headers["retry-after"]) > 0


def test_an_issuer_that_does_not_answer(site, issuer) -> None:
    """It is not the job's fault: 502, and the token can be traded later."""
    issuer.document = {"issuer": "https://other.example", "jwks_uri": issuer.url}
    token = issuer.sign()
    assert trade(site, token).status == 502
    issuer.document = None
    assert trade(site, token).status == 200


def test_an_account_that_is_disabled_or_gone(site, issuer) -> None:
    """Its jobs get nothing."""
    accounts = site.session(site.admin()).accounts
    accounts.disable("builds")
    assert trade(site, issuer.sign()).status == 401
    # What the settings have is made at each start; somebody may have taken it out meanwhile.
    site._services.catalog.write(lambda t: catalog_accounts.remove_account(t, "builds"))
    assert trade(site, issuer.sign()).status == 401


def test_a_private_address_is_not_asked(tmp_path, issuer) -> None:
    """Unless the settings allow it."""
    with repocore.open_registry(settings=write(tmp_path, issuer, hosts="")) as registry:
        assert trade(registry, issuer.sign()).status == 502


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"claims": "{}"}, "name at least one"),
        ({"claims": '{ repository = "pretty/pretty" }'}, "also give repository_id"),
        ({"claims": '{ repository_owner = "pretty" }'}, "also give repository_owner_id"),
        ({"claims": '{ aud = "x" }'}, "aud is checked anyway"),
        ({"claims": "{ ref = [] }"}, "ref is a text"),
        ({"claims": "{ ref = [[1]] }"}, "ref is a text"),
        ({"audience": "[]"}, "name the audience"),
        ({"allow": "[]"}, "name what may be done"),
        ({"allow": '["fly:conan/main"]'}, "action"),
        ({"issuer": '"ci.example"'}, "https://ci.example"),
        ({"lifetime": '"30d"'}, "six hours"),
    ],
)
def test_mistakes_are_told(tmp_path, issuer, more, said) -> None:
    """Before anything is served."""
    with pytest.raises(repocore.ConfigurationError, match=said):
        repocore.open_registry(settings=write(tmp_path, issuer, **more))


def test_what_is_not_installed_is_told(tmp_path, issuer, monkeypatch) -> None:
    """With the words that install it; without publishers nothing is needed."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "cryptography" else find(name)
    )
    with pytest.raises(repocore.ConfigurationError, match=r"repocore\[oauth\]"):
        repocore.open_registry(settings=write(tmp_path, issuer))
    repocore.open_registry(data=tmp_path / "other").close()
