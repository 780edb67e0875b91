"""The signed word of a provider, and every way in which it is not one (T13)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import sys
import time

import attrs
import pytest
from sign_in_house import Signer, admin_of, oidc, sign_in
from stand_in import stand_in

from repocore.errors import ConfigurationError, NotAuthenticatedError, UpstreamUnavailableError
from repocore.plugins.oauth.id_tokens import verify_id_token
from repocore.registry import KeySet

jwt = pytest.importorskip("jwt")
ec = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ec")

ISSUER, NONCE = "https://login.example", "n-1"


@pytest.fixture(scope="module")
def key():
    """One key for all: to make one takes a while."""
    return Signer().key


@pytest.fixture
def signer(key) -> Signer:
    return Signer(key=key, url=ISSUER, nonce=NONCE)


def verify(signer: Signer, token: object, keys: list[dict] | None = None) -> dict:
    known = KeySet(lambda: {"keys": keys or [signer.jwk()]}, patience=0)
    return verify_id_token(token, known, issuer=ISSUER, client_id="app", nonce=NONCE)


def b64(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def test_what_is_right_is_believed(signer):
    """The claims are returned."""
    assert verify(signer, signer.token())["sub"] == "42"


@attrs.frozen
class In:
    """So many seconds from when the test runs."""

    seconds: int


def timed(claims: dict[str, object]) -> dict[str, object]:
    now = int(time.time())
    return {k: now + v.seconds if isinstance(v, In) else v for k, v in claims.items()}


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"}, {"iss": None}, {"iss": f"{ISSUER}/"}, {"iss": [ISSUER]},
        {"aud": "other"}, {"aud": None}, {"aud": ["other"]}, {"aud": ""},
        {"aud": ["app", "other"]}, {"aud": ["app", "other"], "azp": "other"}, {"azp": "other"},
        {"exp": In(-3600)}, {"exp": None}, {"exp": "soon"}, {"exp": -1}, {"exp": In(-120)},
        {"nbf": In(3600)}, {"iat": In(3600)}, {"iat": None}, {"iat": "x"},
        {"nonce": None}, {"nonce": "n-2"}, {"nonce": ""}, {"nonce": 1}, {"nonce": ["n-1"]},
        {"sub": None}, {"sub": 42}, {"sub": ["42"]},
    ],
)  # fmt: skip
def test_wrong_claims_are_refused(signer, claims):
    """Another's token, an old one, one for another sign-in, one that says too little."""
    signer.claims = timed(claims)
    with pytest.raises(NotAuthenticatedError):
        verify(signer, signer.token())


@pytest.mark.parametrize(
    "claims",
    [{"exp": In(-30)}, {"iat": In(30)}, {"nbf": In(30)}, {"aud": ["app"]}, {"azp": "app"},
     {"aud": ["app", "other"], "azp": "app"}],
)  # fmt: skip
def test_clocks_may_differ_a_little(signer, claims):
    """By a minute; and we may be one of several, if we are the party."""
    signer.claims = timed(claims)
    assert verify(signer, signer.token())["sub"] == "42"


def test_nobody_has_signed_it(signer):
    """``alg`` none, in each spelling, with and without the signature of another."""
    signed = signer.token().rpartition(".")[2]
    for name in ("none", "None", "NONE", "nOnE", ""):
        for end in ("", signed):
            token = f"{b64({'alg': name, 'kid': 'k1'})}.{b64(signer.right())}.{end}"
            with pytest.raises(NotAuthenticatedError):
                verify(signer, token)


@pytest.mark.parametrize("name", ["HS256", "HS384", "HS512"])
def test_what_is_public_does_not_sign(signer, name):
    """The provider's own public key, used as a secret, in each form that it has."""
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    public = signer.key.public_key()
    forms = [
        public.public_bytes(encoding, form)
        for encoding, form in (
            (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
            (serialization.Encoding.PEM, serialization.PublicFormat.PKCS1),
            (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
        )
    ]
    forms += [json.dumps(signer.jwk()).encode(), b"", b"hush"]
    for secret in forms:
        body = f"{b64({'alg': name, 'kid': 'k1'})}.{b64(signer.right())}"
        made = hmac.new(secret, body.encode(), getattr(hashlib, f"sha{name[2:]}")).digest()
        with pytest.raises(NotAuthenticatedError):
            verify(signer, f"{body}.{b64(made)}")


def test_a_symmetric_key_of_the_provider_is_none(signer):
    """Though it publishes one: then everybody could sign with it."""
    secret = b"published-to-everybody-as-a-secret"
    shared = {"kty": "oct", "k": b64(secret), "kid": "k1", "alg": "HS256"}
    token = jwt.encode(signer.right(), secret, "HS256", headers={"kid": "k1"})
    with pytest.raises(NotAuthenticatedError):
        verify(signer, token, [shared])
    token = jwt.encode(signer.right(), signer.key, "RS256", headers={"kid": "k1"})
    with pytest.raises(NotAuthenticatedError):
        verify(signer, token, [{**shared, "alg": "RS256"}])


@pytest.mark.parametrize("field", ["jwk", "jku", "x5u", "x5c"])
def test_a_token_brings_no_keys(signer, field):
    """Whatever it says of where its key is, ours are the provider's (T13)."""
    evil = Signer(kid="k1")
    said = {
        "jwk": evil.jwk(),
        "jku": "https://evil.example/jwks",
        "x5u": "https://evil.example/x",
        "x5c": ["MIIB"],
    }
    token = jwt.encode(signer.right(), evil.key, "RS256", headers={"kid": "k1", field: said[field]})
    with pytest.raises(NotAuthenticatedError):
        verify(signer, token)


@pytest.mark.parametrize(
    "kid", ["k2", "../../etc/passwd", "' OR 1=1 --", "", "k1\0", "/dev/null", 1, None, ["k1"]]
)
def test_a_name_of_a_key_is_only_a_name(signer, kid):
    """One that the provider does not have is nobody's."""
    evil = Signer()
    token = f"{b64({'alg': 'RS256', 'kid': kid})}.{b64(signer.right())}"
    signed = evil.key.sign(
        token.encode(),
        pytest.importorskip("cryptography.hazmat.primitives.asymmetric.padding").PKCS1v15(),
        pytest.importorskip("cryptography.hazmat.primitives.hashes").SHA256(),
    )
    with pytest.raises(NotAuthenticatedError):
        verify(signer, f"{token}.{b64(signed)}")


def test_a_key_signs_with_its_own_algorithm(signer):
    """And one for encryption with none."""
    token = jwt.encode(signer.right(), signer.key, "RS512", headers={"kid": "k1"})
    with pytest.raises(NotAuthenticatedError):
        verify(signer, token)
    with pytest.raises(NotAuthenticatedError):
        verify(signer, signer.token(), [{**signer.jwk(), "use": "enc"}])
    free = {name: value for name, value in signer.jwk().items() if name not in {"alg", "use"}}
    assert verify(signer, token, [free])["sub"] == "42"


def test_a_family_of_keys_does_not_sign_for_another(signer):
    """A token of an elliptic key is not verified with one of RSA that has its name."""
    token = jwt.encode(
        signer.right(), ec.generate_private_key(ec.SECP256R1()), "ES256", headers={"kid": "k1"}
    )
    with pytest.raises(NotAuthenticatedError):
        verify(signer, token)


def test_an_elliptic_key_signs(signer):
    """Providers have them, too."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = {
        **json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key())),
        "kid": "e1",
        "alg": "ES256",
    }
    token = jwt.encode(signer.right(), key, "ES256", headers={"kid": "e1"})
    assert verify(signer, token, [signer.jwk(), public])["sub"] == "42"


def test_a_token_without_a_name_of_its_key(signer):
    """Is of any of the provider's."""
    token = jwt.encode(signer.right(), signer.key, "RS256")
    other = Signer(kid="other").jwk()
    assert verify(signer, token, [other, signer.jwk()])["sub"] == "42"
    with pytest.raises(NotAuthenticatedError):
        verify(signer, token, [other])


@pytest.mark.parametrize(
    "token",
    [None, 42, "", "a", "a.b.c", "..", "é.é.é", "x" * 70_000, ["a"], {"a": 1},
     f"{b64({'alg': 'RS256'})}.{b64([1])}.x", f"{b64([1])}.{b64({})}.x", f"{b64(b'[' * 9000)}.x.y",
     f"{b64({'alg': 'RS256', 'crit': ['x']})}.{b64({})}.x", f"{b64({'alg': ['RS256']})}.e30.x"],
    ids=lambda token: str(token)[:20],
)  # fmt: skip
def test_nonsense_is_no_token(signer, token):
    """Whatever a hostile one makes of the parser, it proves nothing."""
    with pytest.raises(NotAuthenticatedError):
        verify(signer, token)


def test_a_changed_token_is_refused(signer):
    """By one letter in its claims or its signature."""
    head, body, end = signer.token().split(".")
    other = b64({**signer.right(), "sub": "1"})
    for token in (f"{head}.{other}.{end}", f"{head}.{body}.{end[:-4]}AAAA", f"{head}.{body}."):
        with pytest.raises(NotAuthenticatedError):
            verify(signer, token)


def test_keys_rotate(signer):
    """A new key is found at the first token that names it; the old one goes when it is gone."""
    published = [signer.jwk()]
    fetched: list[int] = []

    def fetch():
        fetched.append(1)
        return {"keys": list(published)}

    keys = KeySet(fetch, patience=0)
    given = {"issuer": ISSUER, "client_id": "app", "nonce": NONCE}
    old = signer.token()
    assert verify_id_token(old, keys, **given)
    assert verify_id_token(old, keys, **given)
    assert len(fetched) == 1
    new = Signer(kid="k2", url=ISSUER, nonce=NONCE)
    published[:] = [new.jwk()]
    assert verify_id_token(new.token(), keys, **given)
    assert len(fetched) == 2
    with pytest.raises(NotAuthenticatedError):
        verify_id_token(old, keys, **given)


def test_unknown_keys_cost_little(signer):
    """Many tokens of a key that nobody knows are one request to the provider."""
    fetched: list[int] = []
    keys = KeySet(lambda: fetched.append(1) or {"keys": [signer.jwk()]}, patience=1000)
    stranger = Signer(key=signer.key, kid="zz", url=ISSUER, nonce=NONCE).token()
    for _ in range(20):
        with pytest.raises(NotAuthenticatedError):
            verify_id_token(stranger, keys, issuer=ISSUER, client_id="app", nonce=NONCE)
    assert len(fetched) == 1


def test_the_package_of_the_keys_is_named(signer, monkeypatch):
    """Where it is not installed."""
    monkeypatch.setitem(sys.modules, "jwt", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'repocore\[oauth\]'"):
        KeySet(lambda: {"keys": [{"kid": "k1"}]}).find("k1", "RS256")


@pytest.mark.parametrize("document", [None, [], {}, {"keys": 1}, "x"])
def test_no_keys_are_told(signer, document):
    """As something that is wrong over there."""
    with pytest.raises(UpstreamUnavailableError):
        verify_id_token(
            signer.token(), KeySet(lambda: document), issuer=ISSUER, client_id="app", nonce=NONCE
        )


@pytest.mark.parametrize(
    "change", [{"nonce": "other"}, {"aud": "other"}, {"exp": 1}, {"iss": "https://evil.example"}]
)
def test_nobody_signs_in_with_a_wrong_token(open_site, key, change):
    """Through the whole flow: no account, no session."""
    signer = Signer(key=key, claims=change)
    with stand_in(signer.answer) as server:
        signer.url = server.url
        browser = open_site(oidc(signer))
        assert sign_in(browser, signer).status == 401
    assert "repocore_session" not in browser.cookies
    assert admin_of(browser).accounts.list() == []
