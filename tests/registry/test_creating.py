"""Repositories of people: who may create owns what they made, and nothing outlives it."""

from __future__ import annotations

import pytest

from repocore import (
    AccessDeniedError,
    Action,
    AlreadyExistsError,
    NotAuthenticatedError,
    Principal,
    Resource,
    Rule,
    Tier,
)
from repocore.model import Binding, Role

CREATE = frozenset({Action.CREATE})


@pytest.fixture
def maker(house):
    """A session of somebody who may create channels."""
    house.admin.roles.add(Role(name="maker", actions=CREATE))
    house.admin.roles.bind(Binding(subject="user:ann", role="maker", pattern="conda/**"))
    return house.registry.session(Principal(name="ann", via="test"))


def test_who_creates_owns(house, maker) -> None:
    """With everything that owning means, and the record says who it is."""
    maker.repositories.create("conda/anns", private=True)
    assert all(maker.allowed(action, Resource("conda", "anns")) for action in Action)
    record = next(iter(house.admin.audit.list()))
    assert record.after is not None
    assert (record.what, record.after["owner"]) == ("conda/anns", "user:ann")
    maker.repositories.delete("conda/anns")


def test_creating_is_no_more_than_that(house, maker) -> None:
    """Not elsewhere, not over what is there, and not without a name."""
    with pytest.raises(AccessDeniedError):
        maker.repositories.create("conan/anns")
    house.admin.repositories.create("conda/taken")
    with pytest.raises(AlreadyExistsError):
        maker.repositories.create("conda/taken")
    assert not maker.allowed(Action.READ, Resource("conda", "taken"))
    house.admin.accounts.add_rule(Rule(subject="*", actions=CREATE, pattern="conda/*"))
    with pytest.raises(NotAuthenticatedError):
        house.registry.session(Principal(name=None)).repositories.create("conda/nobodys")


def test_an_administrator_owns_nothing_by_creating(house) -> None:
    """They may do everything without it."""
    house.admin.repositories.create("conda/plain")
    assert house.admin.roles.bindings() == []


def test_what_names_a_repository_goes_with_it(house) -> None:
    """Whoever makes one of that name later does not let in those of the one before (T28)."""
    admin = house.admin
    admin.repositories.create("conda/a_b")
    admin.repositories.create("conda/axb")
    read = frozenset({Action.READ})
    patterns = ("conda/a_b", "conda/a_b/**", "conda/a_b/zlib", "conda/axb", "conda/*", "conda/a_bc")
    for pattern in patterns:
        actions = frozenset({Action.WRITE}) if pattern.endswith("zlib") else read
        admin.accounts.add_rule(
            Rule(subject="user:ann", actions=actions, pattern=pattern, tier=Tier.REPOSITORY)
        )
        if pattern != "conda/a_b/zlib":
            admin.roles.bind(Binding(subject="user:ann", role="viewer", pattern=pattern))
    admin.repositories.delete("conda/a_b")
    kept = ["conda/axb", "conda/*", "conda/a_bc"]
    assert [rule.pattern for rule in admin.accounts.rules()] == kept
    assert [binding.pattern for binding in admin.roles.bindings()] == kept
    record = next(iter(admin.audit.list()))
    assert record.before is not None
    assert (record.before["rules"], record.before["bindings"]) == (3, 2)
