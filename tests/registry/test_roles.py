"""Roles: given by whoever may, effective at once, and no more than one has oneself."""

from __future__ import annotations

import pytest

import repocore
from repocore import (
    AccessDeniedError,
    Action,
    ConflictError,
    MissingError,
    NotAuthenticatedError,
    RejectedError,
    Resource,
)
from repocore.model import Binding, Role

MAIN = "conan/main"
FILE = "zlib/1.3/_/_/r1/export/conanfile.py"
READ, WRITE = frozenset({Action.READ}), frozenset({Action.READ, Action.WRITE})


def bind(session, subject: str, role: str, pattern: str = MAIN) -> Binding:
    return session.roles.bind(Binding(subject=subject, role=role, pattern=pattern))


def may(session, action: Action, *fields: str) -> bool:
    return session.allowed(action, Resource(*(fields or ("conan", "main"))))


def test_a_role_is_held_with_the_next_request(house) -> None:
    """In another process, too; and gone as soon when it is taken back."""
    with repocore.open_registry(settings=house.settings) as other:
        ann = other.session(repocore.Principal(name="ann", via="test"))
        assert not may(ann, Action.WRITE)
        made = bind(house.admin, "user:ann", "editor")
        assert (may(ann, Action.WRITE), may(ann, Action.DELETE)) == (True, False)
        assert not may(ann, Action.READ, "conan", "other")
        house.admin.roles.unbind(made.id)
        assert not may(ann, Action.READ)


def test_giving_a_role_twice_is_giving_it_once(house) -> None:
    """The same binding comes back."""
    assert bind(house.admin, "group:dev", "viewer") == bind(house.admin, "group:dev", "viewer")
    assert len(house.admin.roles.bindings()) == 1


def test_roles_of_ones_own_mean_what_they_say_now(house) -> None:
    """A change of a role is a change for all who hold it."""
    house.admin.roles.add(Role(name="uploader", actions=WRITE, description="Uploads."))
    bind(house.admin, "user:ann", "uploader")
    ann = house.as_("ann")
    assert may(ann, Action.WRITE)
    house.admin.roles.add(Role(name="uploader", actions=READ))
    assert (may(ann, Action.WRITE), may(ann, Action.READ)) == (False, True)
    assert [one.name for one in ann.roles.list()][-2:] == ["owner", "uploader"]


def test_a_role_that_somebody_holds_is_not_removed(house) -> None:
    """The sentence says who; those that are always there stay as they are."""
    house.admin.roles.add(Role(name="uploader", actions=WRITE))
    made = bind(house.admin, "user:ann", "uploader")
    with pytest.raises(ConflictError, match="user:ann holds the role uploader"):
        house.admin.roles.remove("uploader")
    house.admin.roles.unbind(made.id)
    house.admin.roles.remove("uploader")
    with pytest.raises(MissingError):
        house.admin.roles.remove("uploader")
    for change in (
        house.admin.roles.remove,
        lambda n: house.admin.roles.add(Role(name=n, actions=READ)),
    ):
        with pytest.raises(RejectedError, match="always there"):
            change("viewer")


def test_owners_give_roles_where_they_own(house) -> None:
    """There, and nowhere else; whoever does not own gives none."""
    bind(house.admin, "user:ann", "owner")
    bind(house.admin, "user:bob", "maintainer")
    ann, bob = house.as_("ann"), house.as_("bob")
    made = bind(ann, "user:carl", "editor", "conan/main/zlib/**")
    assert may(house.as_("carl"), Action.WRITE, "conan", "main", "zlib")
    assert not may(house.as_("carl"), Action.WRITE, "conan", "main", "png")
    for session, pattern in ((bob, MAIN), (ann, "conan/other"), (ann, "conan/*"), (ann, "**")):
        with pytest.raises(AccessDeniedError):
            bind(session, "user:carl", "viewer", pattern)
    with pytest.raises(NotAuthenticatedError):
        bind(house.as_(None), "user:carl", "viewer")
    assert [one.subject for one in ann.roles.bindings()] == ["user:ann", "user:bob", "user:carl"]
    assert bob.roles.bindings() == []
    with pytest.raises(AccessDeniedError):
        bob.roles.unbind(made.id)
    ann.roles.unbind(made.id)
    assert not may(house.as_("carl"), Action.READ, "conan", "main", "zlib")


def test_nobody_gives_more_than_they_have(house) -> None:
    """Who may manage and not delete makes no maintainers."""
    house.admin.roles.add(Role(name="steward", actions=WRITE | {Action.MANAGE}))
    bind(house.admin, "user:ann", "steward")
    ann = house.as_("ann")
    bind(ann, "user:carl", "editor")
    with pytest.raises(AccessDeniedError, match="you may not delete, overwrite, promote, yank"):
        bind(ann, "user:carl", "maintainer")
    strong = bind(house.admin, "user:dora", "maintainer")
    with pytest.raises(AccessDeniedError):
        ann.roles.unbind(strong.id)


def test_an_account_that_is_removed_leaves_no_role_behind(house) -> None:
    """Whoever gets the name next begins without."""
    house.admin.accounts.add("ann", "right")
    bind(house.admin, "user:ann", "owner")
    house.admin.accounts.remove("ann")
    house.admin.accounts.add("ann", "other")
    assert house.admin.roles.bindings() == []
    assert not may(house.as_("ann"), Action.READ)


def test_a_binding_that_is_finer_than_reading_is_refused(house) -> None:
    """One index names every package of a channel."""
    with pytest.raises(RejectedError, match="finer"):
        bind(house.admin, "user:ann", "viewer", "conda/main/zlib/**")


def test_a_number_that_is_none_is_an_error(house) -> None:
    """And tells somebody without permission nothing."""
    with pytest.raises(MissingError):
        house.admin.roles.unbind(7)
    with pytest.raises(AccessDeniedError):
        house.as_("ann").roles.unbind(7)


def test_holding_a_role_is_an_event(house) -> None:
    """Listeners are told who got what, and who gave it."""
    seen = []

    class Listener:
        @repocore.hookimpl
        def repocore_event(self, event: object) -> None:
            seen.append(event)

    house.registry.close()
    with repocore.open_registry(settings=house.settings, plugins=[Listener()]) as registry:
        bind(registry.session(registry.admin()), "user:ann", "viewer")
        registry.tell()
    told = [event for event in seen if isinstance(event, repocore.RepositoryChanged)]
    assert [(one.repository, one.change) for one in told] == [
        ("conan/main", "user:ann holds viewer on conan/main")
    ]
