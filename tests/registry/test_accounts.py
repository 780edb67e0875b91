"""Accounts, tokens, rules: every change is effective at once, and secrets are kept by nobody."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta

import pytest
from argon2 import Type, extract_parameters

import repocore
from repocore import (
    AccessDeniedError,
    Action,
    AlreadyExistsError,
    ApiKey,
    Bearer,
    MissingError,
    NotAuthenticatedError,
    Password,
    Registry,
    RejectedError,
    Rule,
)
from repocore.registry import passwords

MAIN = "conan/main"
ZLIB = "zlib/1.3@_/_"
READ = frozenset({Action.READ})


#: Before tests have put a cheap one in its place.
NOBODY = passwords._NOBODY


@pytest.fixture
def other(house) -> Iterator[Registry]:
    """A second process, as far as the catalog can tell."""
    with repocore.open_registry(settings=house.settings) as registry:
        yield registry


def test_an_account_signs_in_with_its_password_and_no_other(house) -> None:
    """The right password gives the account with its groups."""
    house.admin.accounts.add("ann", "right", groups=["team"])
    session = house.registry.connect(Password("ann", "right"))
    assert (session.principal.name, session.principal.groups) == ("ann", {"team"})
    for wrong in (Password("ann", "wrong"), Password("bob", "right"), Password("ann", "")):
        with pytest.raises(NotAuthenticatedError):
            house.registry.connect(wrong)


def test_passwords_cost_what_they_should() -> None:
    """argon2id with the parameters of RFC 9106 for memory that is scarce, or more."""
    program = "from repocore.registry.passwords import hash_password; print(hash_password('x'))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    found = extract_parameters(done.stdout.strip())
    assert found.type is Type.ID
    assert extract_parameters(NOBODY) == found
    assert (found.memory_cost, found.time_cost) >= (64 << 10, 3)


def test_an_unknown_name_costs_the_work_of_a_known_one(house, monkeypatch) -> None:
    """One hash is checked in each case."""
    calls: list[object] = []
    real = passwords._hasher.verify
    monkeypatch.setattr(
        passwords,
        "_hasher",
        type(
            "Counting",
            (),
            {
                "verify": staticmethod(
                    lambda stored, given: (calls.append(stored), real(stored, given))[1]
                )
            },
        ),
    )
    house.admin.accounts.verify("nobody", "x")
    assert len(calls) == 1


def test_the_catalog_holds_no_secret(house) -> None:
    """Passwords are argon2id hashes, tokens are hashes, and a token shows its prefix only."""
    house.admin.accounts.add("ann", "plain-password")
    token, secret = house.admin.accounts.create_token("ann", "ci")
    assert re.fullmatch(r"rpc-[a-z0-9]{12}-[a-z0-9]{40}", secret)
    assert secret not in repr(token)
    with house.registry._services.catalog.snapshot() as connection:
        stored = repr(connection.exec_driver_sql("SELECT * FROM accounts").all())
        stored += repr(connection.exec_driver_sql("SELECT * FROM tokens").all())
    assert "plain-password" not in stored
    assert secret.rpartition("-")[2] not in stored
    assert "$argon2id$" in stored


def test_a_revoked_token_ends_with_the_next_request_in_every_process(house, other) -> None:
    """Neither the process that revoked it nor another one takes it again."""
    house.recipe("r1")
    house.admin.accounts.add("ann", "pw")
    house.allow("user:ann", "read", "conan/main/**")
    token, secret = house.admin.accounts.create_token("ann", "ci")
    sessions = [registry.connect(ApiKey(secret)) for registry in (house.registry, other)]
    for session in sessions:
        assert session.releases.newest(MAIN, ZLIB)[0] == "r1"
    house.admin.accounts.revoke_token(token.id)
    for session in sessions:
        with pytest.raises(NotAuthenticatedError):
            session.releases.newest(MAIN, ZLIB)


def test_a_permission_that_is_taken_away_is_gone_with_the_next_call(house, other) -> None:
    """Rules of another process count at once, on the path without a transaction too."""
    house.recipe("r1")
    rule = house.allow("user:ann", "read", "conan/main/**")
    ann = other.session(house.as_("ann").principal)
    assert ann.releases.newest(MAIN, ZLIB)[0] == "r1"
    assert rule.id is not None
    house.admin.accounts.remove_rule(rule.id)
    with pytest.raises(AccessDeniedError):
        ann.releases.newest(MAIN, ZLIB)
    with pytest.raises(AccessDeniedError):
        ann.files.stat(MAIN, "zlib/1.3/_/_/r1/export/conanfile.py")


@pytest.mark.parametrize("change", ["disable", "remove"])
def test_a_login_ends_with_its_account(house, change: str) -> None:
    """A signed token of a disabled or removed account is worth nothing."""
    house.admin.accounts.add("ann", "pw")
    ann = house.registry.connect(Password("ann", "pw"))
    login = house.registry.issue(ann.principal, audience="conan", lifetime=timedelta(hours=1))
    session = house.registry.connect(Bearer(login))
    assert session.principal.name == "ann"
    getattr(house.admin.accounts, change)("ann")
    with pytest.raises(NotAuthenticatedError):
        _ = session.principal


def test_a_login_made_with_a_token_keeps_its_scope_and_dies_with_it(house) -> None:
    """The scope of an API token goes on into the signed token that it was exchanged for."""
    house.recipe("r1")
    house.recipe("r1", reference="other/1.0/_/_")
    house.admin.accounts.add("ann", "pw")
    house.allow("user:ann", "read", "conan/main/**")
    scope = [Rule(subject="*", actions=READ, pattern="conan/main/zlib/**")]
    token, secret = house.admin.accounts.create_token("ann", "ci", rules=scope)
    ann = house.registry.connect(Password("ann", secret))
    login = house.registry.issue(ann.principal, audience="conan", lifetime=timedelta(hours=1))
    session = house.registry.connect(Bearer(login))
    assert session.releases.newest(MAIN, ZLIB)[0] == "r1"
    with pytest.raises(AccessDeniedError):
        session.releases.newest(MAIN, "other/1.0@_/_")
    house.admin.accounts.revoke_token(token.id)
    with pytest.raises(NotAuthenticatedError):
        session.releases.newest(MAIN, ZLIB)


def test_an_expired_token_is_refused(house) -> None:
    """The database's clock decides."""
    house.admin.accounts.add("ann")
    _, secret = house.admin.accounts.create_token("ann", "ci", lifetime=timedelta(microseconds=1))
    with pytest.raises(NotAuthenticatedError, match="expired"):
        house.registry.connect(ApiKey(secret))


def test_an_account_may_care_for_itself_and_for_nobody_else(house) -> None:
    """It sets its password and makes its tokens; others are an administrator's."""
    house.admin.accounts.add("ann", "old")
    house.admin.accounts.add("bob", "pw")
    ann = house.as_("ann")
    ann.accounts.set_password("ann", "new")
    token, _ = ann.accounts.create_token("ann", "mine")
    assert [one.id for one in ann.accounts.tokens("ann")] == [token.id]
    for refused in (
        lambda: ann.accounts.set_password("bob", "x"),
        lambda: ann.accounts.create_token("bob", "x"),
        ann.accounts.list,
        lambda: ann.accounts.verify("bob", "pw"),
        lambda: house.as_("bob").accounts.revoke_token(token.id),
    ):
        with pytest.raises(AccessDeniedError):
            refused()
    house.registry.connect(Password("ann", "new"))


def test_bad_names_doubles_and_strangers_are_refused(house) -> None:
    """Each with an error of its own."""
    accounts = house.admin.accounts
    accounts.add("ann")
    with pytest.raises(AlreadyExistsError):
        accounts.add("ann")
    for name in ("", "a b", "../x", "anonymous", "a\n"):
        with pytest.raises(RejectedError):
            accounts.add(name)
    for missing in (
        lambda: accounts.get("bob"),
        lambda: accounts.remove("bob"),
        lambda: accounts.add_to_group("team", "bob"),
        lambda: accounts.create_token("bob", "x"),
        lambda: accounts.remove_rule(12345),
        lambda: accounts.revoke_token(12345),
    ):
        with pytest.raises(MissingError):
            missing()


def test_a_name_that_is_given_again_brings_no_old_grants(house) -> None:
    """Rules of a removed account go with it."""
    house.admin.accounts.add("ann")
    house.allow("user:ann", "read", "conan/main/**")
    house.admin.accounts.remove("ann")
    house.admin.accounts.add("ann")
    assert house.admin.accounts.rules() == ()


def test_groups_give_what_their_rules_say(house) -> None:
    """Membership counts with the next request, and leaving too."""
    house.recipe("r1")
    house.admin.accounts.add("ann", "pw")
    house.allow("group:team", "read", "conan/main/**")
    ann = house.registry.connect(Password("ann", "pw"))
    with pytest.raises(AccessDeniedError):
        ann.releases.newest(MAIN, ZLIB)
    house.admin.accounts.add_to_group("team", "ann")
    assert house.admin.accounts.groups() == {"team": {"ann"}}
    assert ann.releases.newest(MAIN, ZLIB)[0] == "r1"
    house.admin.accounts.remove_from_group("team", "ann")
    with pytest.raises(AccessDeniedError):
        ann.releases.newest(MAIN, ZLIB)


def test_a_new_signing_key_keeps_old_logins(house, other) -> None:
    """After a rotation new tokens have the new key, and old ones are still verified."""
    house.admin.accounts.add("ann", "pw")
    ann = house.registry.connect(Password("ann", "pw")).principal
    hour = timedelta(hours=1)
    old = house.registry.issue(ann, audience="conan", lifetime=hour)
    house.admin.accounts.rotate_signing_key("bearer")
    new = house.registry.issue(ann, audience="conan", lifetime=hour)
    for login in (old, new):
        assert other.connect(Bearer(login)).principal.name == "ann"
    assert len(house.admin.accounts.signing_keys("bearer")) == 2


def test_accounts_are_listed_by_name(house, reader) -> None:
    """With their groups, and to administrators only."""
    for name in ("cleo", "ann", "bob"):
        house.admin.accounts.add(name, groups=["team"])
    found = [(account.name, account.groups) for account in house.admin.accounts.list()]
    assert found == [(name, {"team"}) for name in ("ann", "bob", "cleo")]
    with pytest.raises(AccessDeniedError):
        reader.accounts.list()


def test_a_secret_is_told_from_what_only_looks_like_one(house) -> None:
    """No token of ours is nobody's; one with our form and wrong letters is refused."""
    accounts = house.admin.accounts
    accounts.add("ann")
    token, secret = accounts.create_token("ann", "ci")
    assert accounts.find_token(secret) == token
    assert accounts.find_token("rpc-but-no-token") is None
    last = "a" if secret[-1] != "a" else "b"
    strange = f"rpc-{'x' * 12}-{'y' * 40}"
    for wrong in (secret[:-1] + last, strange):
        with pytest.raises(NotAuthenticatedError):
            accounts.find_token(wrong)


def test_nobody_removes_or_disables_themselves(house) -> None:
    """The last administrator would be gone; the application itself may do it."""
    house.admin.accounts.add("ann")
    house.allow("user:ann", "all", "**")
    mine = house.as_("ann").accounts
    for attempt in (lambda: mine.remove("ann"), lambda: mine.disable("ann")):
        with pytest.raises(repocore.ConflictError, match="another administrator"):
            attempt()
    mine.configure("ann")
    house.admin.accounts.disable("ann")
    house.admin.accounts.remove("ann")


def test_the_number_of_a_token_is_never_given_again(house) -> None:
    """Records of changes name tokens by it."""
    house.admin.accounts.add("ann")
    first, _ = house.admin.accounts.create_token("ann", "first")
    house.admin.accounts.remove("ann")
    house.admin.accounts.add("bob")
    second, _ = house.admin.accounts.create_token("bob", "second")
    assert second.id > first.id
