"""Which accounts elsewhere are which accounts here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import repocore
from repocore import (
    AccessDeniedError,
    AlreadyExistsError,
    AuditQuery,
    MissingError,
    NotAuthenticatedError,
    Principal,
    Registry,
    RejectedError,
)
from repocore.config import Settings
from repocore.registry.identities import Identities


@pytest.fixture
def registry(tmp_path: Path, database_url: str) -> Iterator[Registry]:
    """Ann and Bob, and a robot."""
    settings = Settings(data=tmp_path, catalog=database_url)
    with repocore.open_registry(settings=settings) as opened:
        room = opened.session(opened.admin()).accounts
        room.add("ann", email="ann@team.example")
        room.add("bob")
        room.add("robot", service=True)
        yield opened


@pytest.fixture
def admin(registry):
    return registry.session(registry.admin())


def test_an_identity_is_linked_listed_and_unlinked(admin):
    """And found by its provider and subject, until then."""
    made = admin.identities.link("hub", "42", "ann", {"name": "Ann"})
    assert (made.account, made.profile) == ("ann", {"name": "Ann"})
    assert admin.identities.find("hub", "42") == made
    assert admin.identities.list("ann") == admin.identities.list() == [made]
    assert admin.identities.list("bob") == []
    assert admin.identities.unlink("hub", "42") == made
    assert admin.identities.find("hub", "42") is None
    with pytest.raises(MissingError):
        admin.identities.unlink("hub", "42")


def test_each_change_is_recorded_once(admin):
    """Linking what is linked changes nothing."""
    admin.identities.link("hub", "42", "ann")
    admin.identities.link("hub", "42", "ann")
    admin.identities.use("hub", "42", {"name": "Ann"})
    admin.identities.unlink("hub", "42")
    found = [
        one.details["change"]
        for one in admin.audit.list(AuditQuery(what="ann"))
        if "identity" in one.details["change"]
    ]
    assert sorted(found) == ["identity of hub linked", "identity of hub unlinked"]


def test_what_is_said_of_it_is_kept(admin):
    """The newest, with the time of it."""
    before = admin.identities.link("hub", "42", "ann", {"name": "Ann"})
    admin.identities.use("hub", "42", {"name": "Anna"})
    after = admin.identities.find("hub", "42")
    assert after.profile == {"name": "Anna"}
    assert after.last_at >= before.last_at


def test_an_identity_has_one_account(admin):
    """Nobody takes over somebody's by linking it elsewhere."""
    admin.identities.link("hub", "42", "ann")
    with pytest.raises(AlreadyExistsError):
        admin.identities.link("hub", "42", "bob")
    assert admin.identities.find("hub", "42").account == "ann"


def test_what_is_gone_is_not_unlinked_again(admin, monkeypatch):
    """By two at once: one record."""
    found = admin.identities.link("hub", "42", "ann")
    admin.identities.unlink("hub", "42")
    monkeypatch.setattr(Identities, "_find", lambda *_: found)
    admin.identities.unlink("hub", "42")
    records = admin.audit.list(AuditQuery(what="ann"))
    assert len([one for one in records if "unlinked" in one.details["change"]]) == 1


def test_an_account_is_made_with_its_identity(admin):
    """Both or neither: nobody is locked out by an account that is theirs by name only."""
    admin.identities.make("hub", "7", "zoe", "zoe@team.example", {"name": "Zoe"})
    assert admin.identities.find("hub", "7").account == "zoe"
    assert admin.accounts.get("zoe").email == "zoe@team.example"
    with pytest.raises(AlreadyExistsError):
        admin.identities.make("hub", "8", "zoe", "", {})
    with pytest.raises(AlreadyExistsError):
        admin.identities.make("hub", "7", "zelda", "", {})
    assert admin.identities.find("hub", "8") is None
    assert "zelda" not in {account.name for account in admin.accounts.list()}
    for subject, name in (("", "x"), ("9", "a b")):
        with pytest.raises(RejectedError):
            admin.identities.make("hub", subject, name, "", {})


def test_an_account_takes_its_identities_with_it(admin):
    """Whoever gets the name next is not that person."""
    admin.identities.link("hub", "42", "ann")
    admin.accounts.remove("ann")
    admin.accounts.add("ann")
    assert admin.identities.list() == []


@pytest.mark.parametrize("subject", ["", "x" * 256, "a\nb"])
def test_a_strange_subject_is_refused(admin, subject):
    """It would not fit an index, or a line."""
    with pytest.raises(RejectedError):
        admin.identities.link("hub", subject, "ann")


def test_who_cannot_sign_in_is_not_linked(admin):
    """Nobody, and a machine."""
    with pytest.raises(MissingError):
        admin.identities.link("hub", "42", "zoe")
    with pytest.raises(RejectedError):
        admin.identities.link("hub", "42", "robot")


def test_people_see_and_unlink_their_own(registry, admin):
    """And nobody else's; linking is an administrator's."""
    admin.identities.link("hub", "42", "ann")
    ann = registry.session(Principal(name="ann", via="password"))
    bob = registry.session(Principal(name="bob", via="password"))
    assert len(ann.identities.list("ann")) == 1
    for ask in (
        ann.identities.list,
        lambda: bob.identities.list("ann"),
        lambda: bob.identities.unlink("hub", "42"),
        lambda: ann.identities.link("hub", "43", "ann"),
        lambda: ann.identities.use("hub", "42", {}),
        lambda: ann.identities.find("hub", "42"),
    ):
        with pytest.raises(AccessDeniedError):
            ask()
    with pytest.raises(NotAuthenticatedError):
        registry.session(Principal(name=None)).identities.list("ann")
    ann.identities.unlink("hub", "42")
