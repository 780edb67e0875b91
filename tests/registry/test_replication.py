"""What replicas may ask, and who they are; the rest is in test_pulling.py."""

from __future__ import annotations

from typing import Any

import pytest

import repocore
from repocore import AccessDeniedError, Action, NotAuthenticatedError, RejectedError, Rule
from repocore.registry import Replication, Wanted

ASKING: dict[str, Any] = {
    "position": lambda room: room.position(),
    "access": lambda room: room.access(0, (), 10),
    "partitions": lambda room: room.partitions((0, ""), 10),
    "changes": lambda room: room.changes([Wanted(repository=1, partition="a", since=0)]),
    "loose_files": lambda room: room.loose_files(1, "", 10),
    "records": lambda room: room.records(0, 10),
    "is_ours": lambda room: room.is_ours(0, ""),
    "untaken": lambda room: room.untaken(0),
    "downloads": lambda room: room.downloads(0, (), 10),
    "content": lambda room: room.content("0" * 64),
    "require": lambda room: room.require(),
}


def test_each_method_is_here() -> None:
    """A new one is asked for its permission as well."""
    assert {name for name in vars(Replication) if not name.startswith("_")} == ASKING.keys()


@pytest.mark.parametrize("name", ASKING)
def test_only_who_may_replicate_asks(house, name) -> None:
    """Who may read, write and manage everything is not one of them; administrators are."""
    ask = ASKING[name]
    everything = frozenset(Action) - {Action.ADMIN, Action.REPLICATE}
    house.admin.accounts.add_rule(Rule(subject="user:eve", actions=everything, pattern="**"))
    for action, who in ((Action.REPLICATE, "mirror"), (Action.ADMIN, "boss")):
        allowed = frozenset({action})
        house.admin.accounts.add_rule(Rule(subject=f"user:{who}", actions=allowed, pattern="**"))
        try:
            ask(house.as_(who).replication)
        except repocore.FileMissingError:
            assert name == "content"
    with pytest.raises(AccessDeniedError):
        ask(house.as_("eve").replication)
    with pytest.raises(NotAuthenticatedError):
        ask(house.as_(None).replication)
    scope = (Rule(subject="*", actions=everything, pattern="**"),)
    with pytest.raises(AccessDeniedError):
        ask(house.as_("mirror", scope=scope).replication)


def test_a_repositorys_owner_does_not_replicate_the_site(house) -> None:
    """The permission is one of the whole installation: it shows hashes of everybody's passwords."""
    house.allow("user:olga", "all", "conan/main/**")
    with pytest.raises(AccessDeniedError):
        house.as_("olga").replication.position()


def test_what_is_asked_for_is_bounded(house) -> None:
    """By the limit of a page, and by the number of partitions at once."""
    room = house.admin.replication
    for ask in (
        lambda: room.partitions((0, ""), 1001),
        lambda: room.records(0, 0),
        lambda: room.changes([Wanted(repository=1, partition=str(n), since=0) for n in range(101)]),
        lambda: room.access(99, (), 10),
        lambda: room.access(0, ("x",), 10),
        lambda: room.access(1, (1, 2), 10),
    ):
        with pytest.raises(RejectedError):
            ask()


def test_secrets_that_sign_are_not_among_the_rows(house) -> None:
    """Hashes are, as they are of no use but to compare."""
    house.admin.accounts.signing_keys("bearer")
    house.admin.accounts.add("ann", "correct horse")
    page = house.admin.replication.access(0, (), 1000)
    named = {table for table, _ in page.rows}
    assert "keys" not in named
    [ann] = [row for table, row in page.rows if table == "accounts"]
    assert ann["password_hash"].startswith("$argon2")
