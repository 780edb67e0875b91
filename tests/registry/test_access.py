"""What a process remembers of access: never more than it may, never longer than it is true."""

from __future__ import annotations

import pytest

import repocore
from repocore import Action, ApiKey, Resource, Rule
from repocore.registry import access

ZLIB = Resource("conan", "main", "zlib", "1.3@_/_")


def test_a_change_is_loaded_once_by_all_who_meet_it(house, overtaken, monkeypatch) -> None:
    """Who waited while another loaded the change takes what that one loaded."""
    book = house.registry._services.book
    ann = house.as_("ann")
    assert not ann.allowed(Action.READ, ZLIB)
    rule = Rule(subject="user:ann", actions=frozenset({Action.READ}), pattern="conan/main/**")
    with repocore.open_registry(settings=house.settings) as other:
        other.session(other.admin()).accounts.add_rule(rule)
    version = house.registry._services.catalog.hot.version()
    loads: list[object] = []
    load = book._load
    monkeypatch.setattr(book, "_load", lambda *_: loads.append(load()) or loads[-1])
    overtaken(book, lambda: book.at(version))
    assert ann.allowed(Action.READ, ZLIB)
    assert len(loads) == 1


def test_verified_secrets_are_bounded(house, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many tokens are in use, no more than so many are remembered, and all are good."""
    monkeypatch.setattr(access, "_MOST", 3)
    house.admin.accounts.add("ann")
    secrets = [house.admin.accounts.create_token("ann", f"ci{n}")[1] for n in range(5)]
    for secret in secrets * 2:
        assert house.registry.connect(ApiKey(secret)).principal.name == "ann"
        assert 1 <= len(house.registry._services.book.known.verified) <= 3
