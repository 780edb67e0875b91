"""What a process remembers of access: never more than it may, never longer than it is true."""

from __future__ import annotations

import time
from datetime import timedelta

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


@pytest.mark.parametrize("hours", [-6, 6])
def test_a_clock_that_is_set_makes_nobody_remembered_for_longer(
    house, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """A secret that was verified is verified again within a minute, wherever the clock has gone;
    and at once where its time has come by the clock of this machine.
    """
    house.admin.accounts.add("ann")
    _, secret = house.admin.accounts.create_token("ann", "ci", lifetime=timedelta(hours=1))
    house.registry.connect(ApiKey(secret))
    passed, wall, ticks = 0.0, time.time, time.monotonic
    monkeypatch.setattr(time, "time", lambda: wall() + hours * 3600)
    monkeypatch.setattr(time, "monotonic", lambda: ticks() + passed)
    book, asked = house.registry._services.book, []
    ask = lambda: asked.append(1) or house.registry.admin()  # noqa: E731
    book.verify(ApiKey(secret), ask)
    assert len(asked) == (hours > 0)
    passed = access._REMEMBERED
    book.verify(ApiKey(secret), ask)
    assert len(asked) == 1 + (hours > 0)
