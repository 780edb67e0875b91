"""Signed tokens: what we issued for ourselves, and nothing else."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from datetime import timedelta

import jwt
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import repocore
from repocore import Bearer, NotAuthenticatedError, Password, Principal, Registry, hookimpl
from repocore.config import Settings

HOUR = timedelta(hours=1)


def key(registry: Registry):
    return registry.session(registry.admin()).accounts.signing_keys("bearer")[0]


def claims(**changes):
    now = int(time.time())
    made = {
        "sub": "ann", "aud": "conan", "iss": "repocore", "iat": now, "exp": now + 60, "jti": "x",
    }  # fmt: skip
    made |= changes
    return {name: value for name, value in made.items() if value is not None}


def forged(registry: Registry, *, header=None, secret=None, algorithm="HS256", **changes) -> Bearer:
    secret = key(registry).secret if secret is None else secret
    return Bearer(jwt.encode(claims(**changes), secret, algorithm=algorithm, headers=header))


def test_what_is_issued_is_accepted(registry) -> None:
    """Name and groups are the account's; the token says who, for whom, and until when."""
    ann = registry.connect(Password("ann", "right")).principal
    token = registry.issue(ann, audience="conan", lifetime=HOUR)
    said = jwt.decode(token, options={"verify_signature": False})
    assert set(said) == {"sub", "aud", "iss", "iat", "exp", "jti"}
    assert said["exp"] - said["iat"] == 3600
    principal = registry.connect(Bearer(token)).principal
    assert (principal.name, principal.groups, principal.via) == ("ann", {"team"}, "bearer")
    assert principal.expires == said["exp"]


def test_the_forger_of_the_tests_would_succeed_with_our_key(registry) -> None:
    """The refusals below are not for another reason."""
    assert registry.connect(forged(registry)).principal.name == "ann"


NOW = int(time.time())


@pytest.mark.filterwarnings("ignore:The HMAC key")
@pytest.mark.parametrize(
    "changes",
    [
        {"exp": NOW - 1},
        {"exp": None},
        {"aud": None},
        {"aud": "elsewhere"},
        {"iss": None},
        {"iss": "elsewhere"},
        {"jti": None},
        {"iat": None},
        {"nbf": NOW + 3600},
        {"sub": "nobody"},
        {"sub": None},
        {"tok": 12345},
        {"secret": b"x" * 32},
        {"algorithm": "HS512"},
        {"algorithm": "HS384"},
    ],
    ids=lambda changes: "-".join(map(str, changes)),
)
def test_claims_that_are_not_ours_are_refused(registry, changes) -> None:
    """Expired, for others, by others, incomplete, or with another algorithm."""
    with pytest.raises(NotAuthenticatedError):
        registry.connect(forged(registry, **changes))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE"])
def test_no_algorithm_is_no_signature(registry, algorithm) -> None:
    """An unsigned token proves nothing."""

    def part(value) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    token = f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(claims())}."
    with pytest.raises(NotAuthenticatedError):
        registry.connect(Bearer(token))


@pytest.mark.parametrize(
    "header",
    [
        {"jwk": {"kty": "oct", "k": "eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg"}},
        {"jku": "http://127.0.0.1:1/keys"},
        {"x5u": "http://127.0.0.1:1/certificate"},
        {"kid": "../../../../dev/null"},
        {"kid": "' OR 1=1 --"},
        {"kid": ""},
    ],
    ids=str,
)
def test_a_key_in_the_token_is_never_used(registry, header) -> None:
    """Headers that bring or name a key change nothing: only ours verify."""
    with pytest.raises(NotAuthenticatedError):
        registry.connect(forged(registry, header=header, secret=b"x" * 32))
    assert registry.connect(forged(registry, header=header)).principal.name == "ann"


def test_a_changed_token_is_refused(registry) -> None:
    """Every character of the payload and the signature counts."""
    token = forged(registry).value
    head, payload, signature = token.split(".")
    for broken in (
        f"{head}.{payload}.{signature[:-4]}AAAA",
        f"{head}.{payload}.",
        f"{head}.{payload[:-2]}.{signature}",
        f"{head}..{signature}",
    ):
        with pytest.raises(NotAuthenticatedError):
            registry.connect(Bearer(broken))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_rubbish_is_refused_and_nothing_else(registry, head, payload, signature) -> None:
    """Whatever is sent, the only exception is the refusal."""
    with pytest.raises(NotAuthenticatedError):
        registry.connect(Bearer(f"{head}.{payload}.{signature}"))


def test_deep_json_is_refused_like_any_rubbish(registry) -> None:
    """A parser that gives up is a refusal."""
    deep = base64.urlsafe_b64encode(b"[" * 100_000).rstrip(b"=").decode()
    with pytest.raises(NotAuthenticatedError):
        registry.connect(Bearer(f"{deep}.{deep}.x"))


def test_a_token_ends_with_what_it_was_issued_for(registry) -> None:
    """It does not outlive the credentials that it was exchanged for."""
    accounts = registry.session(registry.admin()).accounts
    _, secret = accounts.create_token("ann", "ci", lifetime=timedelta(minutes=5))
    ann = registry.connect(Password("ann", secret)).principal
    token = registry.issue(ann, audience="conan", lifetime=HOUR)
    said = jwt.decode(token, options={"verify_signature": False})
    assert said["exp"] - said["iat"] <= 300
    assert said["tok"] == ann.token_id


class Directory:
    """An authenticator that knows people without accounts."""

    @hookimpl
    def repocore_authenticate(self, credentials):
        match credentials:
            case Password(name, "directory"):
                return Principal(name=name, groups=frozenset({"staff"}), via="directory")


@pytest.fixture
def with_directory(tmp_path) -> Iterator[Registry]:
    with repocore.open_registry(settings=Settings(data=tmp_path), plugins=[Directory()]) as opened:
        yield opened


def test_login_of_somebody_without_an_account(with_directory) -> None:
    """Name and groups are those of the login; an account of that name that is disabled ends it."""
    bob = with_directory.connect(Password("bob", "directory")).principal
    token = Bearer(with_directory.issue(bob, audience="conan", lifetime=HOUR))
    session = with_directory.connect(token)
    assert (session.principal.name, session.principal.groups) == ("bob", {"staff"})
    accounts = with_directory.session(with_directory.admin()).accounts
    accounts.add("bob", groups=["team"])
    assert session.principal.groups == {"staff", "team"}
    accounts.disable("bob")
    for credentials in (token, Password("bob", "directory")):
        with pytest.raises(NotAuthenticatedError):
            _ = with_directory.connect(credentials).principal


def test_groups_of_elsewhere_go_with_a_login(with_directory) -> None:
    """An account may have some groups, and whoever proved the name others."""
    accounts = with_directory.session(with_directory.admin()).accounts
    accounts.add("cleo", groups=["team"])
    cleo = with_directory.connect(Password("cleo", "directory")).principal
    assert cleo.groups == {"staff", "team"}
    token = Bearer(with_directory.issue(cleo, audience="conan", lifetime=HOUR))
    accounts.remove_from_group("team", "cleo")
    assert with_directory.connect(token).principal.groups == {"staff"}
    accounts.remove("cleo")
    with pytest.raises(NotAuthenticatedError):
        _ = with_directory.connect(token).principal


def test_old_logins_outlive_their_key_unless_it_is_revoked(registry) -> None:
    """What an old key signed is good, the new key signs, and a revoked one verifies nothing, at
    once and in every process (T60).
    """
    ann = registry.connect(Password("ann", "right")).principal
    accounts = registry.session(registry.admin()).accounts

    def issued() -> str:
        return registry.issue(ann, audience="conan", lifetime=HOUR)

    def key_of(token: str) -> str:
        return jwt.get_unverified_header(token)["kid"]

    old = issued()
    accounts.rotate_signing_key("bearer")
    new = issued()
    assert key_of(old) != key_of(new)
    assert {registry.connect(Bearer(one)).principal.name for one in (old, new)} == {"ann"}
    with repocore.open_registry(settings=registry.settings) as other:
        assert other.connect(Bearer(old)).principal.name == "ann"
        accounts.rotate_signing_key("bearer", revoke=True)
        for server in (registry, other):
            for token in (old, new):
                with pytest.raises(NotAuthenticatedError, match="log in again"):
                    server.connect(Bearer(token)).repositories.list()
        assert other.connect(Bearer(issued())).principal.name == "ann"
    assert len(accounts.signing_keys("bearer")) == 1


def test_what_is_issued_for_one_purpose_is_redeemed_for_it_alone(registry) -> None:
    """It is no login, and a login is not that; it dies as a login does."""
    ann = registry.connect(Password("ann", "right")).principal
    token = registry.issue(ann, audience="transfer", lifetime=HOUR)
    assert registry.redeem(token, audience="transfer").name == "ann"
    for audience in ("conan", "other"):
        with pytest.raises(NotAuthenticatedError):
            registry.redeem(token, audience=audience)
    with pytest.raises(NotAuthenticatedError):
        registry.connect(Bearer(token))
    registry.session(registry.admin()).accounts.disable("ann")
    with pytest.raises(NotAuthenticatedError):
        registry.redeem(token, audience="transfer")
