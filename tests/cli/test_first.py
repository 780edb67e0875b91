"""The first start makes what is missing, once, whatever else happens."""

from __future__ import annotations

import contextlib
import multiprocessing
from pathlib import Path

import pytest

from repocore import Action, Password, Principal, Resource, Rule, open_registry
from repocore.catalog import Catalog
from repocore.cli.first import FirstStart, first_start
from repocore.config import load_settings
from repocore.errors import NotAuthenticatedError

ANYONE = Principal(name=None)
PACKAGE = Resource("conan", "main", "zlib", "1.3")


class Crash(BaseException):
    """The end of the process, without any of its words."""


def start(
    data: Path, *, everyone_reads: bool | None = True, shown: bool = True, **environ: str
) -> FirstStart:
    """One start of a server on this folder."""
    settings = load_settings(data=data, environ=environ)
    with first_start(settings, environ) as one:
        with open_registry(settings=settings) as registry:
            one.prepare(registry, everyone_reads=everyone_reads)
        if shown:
            one.shown()
    return one


def test_empty_folder_is_furnished(tmp_path):
    """There is a repository, an administrator with a password that works, and reading for all."""
    made = start(tmp_path)
    assert made.password is not None
    assert made.password not in repr(made)
    with open_registry(tmp_path) as registry:
        session = registry.connect(Password("admin", made.password))
        session.require(Action.ADMIN, Resource())
        assert [r.address for r in session.repositories.list()] == ["conan/main", "conda/main"]
        assert registry.session(ANYONE).allowed(Action.READ, PACKAGE)
        assert not registry.session(ANYONE).allowed(Action.WRITE, PACKAGE)


def test_administrator_reaches_private_repositories(tmp_path):
    """Everything means everything, also where the site's rules stop."""
    made = start(tmp_path)
    with open_registry(tmp_path) as registry:
        registry.session(registry.admin()).repositories.create("conan/hidden", private=True)
        session = registry.connect(Password("admin", made.password or ""))
        assert session.allowed(Action.WRITE, Resource("conan", "hidden", "zlib", "1"))


def test_nobody_reads_where_others_can_reach_it(tmp_path):
    """Beyond loopback anonymous gets nothing."""
    start(tmp_path, everyone_reads=False)
    with open_registry(tmp_path) as registry:
        assert not registry.session(ANYONE).allowed(Action.READ, PACKAGE)


def test_second_start_makes_nothing(tmp_path):
    """What an operator took away stays away."""
    start(tmp_path)
    with open_registry(tmp_path) as registry:
        session = registry.session(registry.admin())
        session.accounts.remove("admin")
        for repository in session.repositories.list():
            session.repositories.delete(repository.address)
        for rule in session.accounts.rules():
            session.accounts.remove_rule(rule.id or 0)
    again = start(tmp_path)
    assert (again.made, again.password, again.unseen) == (False, None, False)
    with open_registry(tmp_path) as registry:
        session = registry.session(registry.admin())
        assert (session.accounts.list(), session.repositories.list()) == ([], [])
        assert session.accounts.rules() == ()


def test_password_of_the_environment(tmp_path):
    """REPOCORE_ADMIN_PASSWORD is the first password, and is never shown."""
    made = start(tmp_path, REPOCORE_ADMIN_PASSWORD="high-water")
    assert made.made
    assert "high-water" not in f"{made!r} {made.lines()} {made.described()}"
    start(tmp_path, REPOCORE_ADMIN_PASSWORD="another")
    with open_registry(tmp_path) as registry:
        assert registry.authenticate(Password("admin", "high-water")).name == "admin"
        with pytest.raises(NotAuthenticatedError):
            registry.authenticate(Password("admin", "another"))


def test_first_serve_after_init_opens_reading(tmp_path):
    """`init` leaves it to the first server to say who can reach it."""
    start(tmp_path, everyone_reads=None)
    with open_registry(tmp_path) as registry:
        assert not registry.session(ANYONE).allowed(Action.READ, PACKAGE)
    assert start(tmp_path).password is None
    with open_registry(tmp_path) as registry:
        assert registry.session(ANYONE).allowed(Action.READ, PACKAGE)


def test_own_rules_are_not_added_to(tmp_path):
    """Whoever has made rules before the first serve is not given one that opens reading."""
    start(tmp_path, everyone_reads=None)
    with open_registry(tmp_path) as registry:
        rule = Rule(subject="+", actions=frozenset({Action.READ}), pattern="**")
        registry.session(registry.admin()).accounts.add_rule(rule)
    start(tmp_path)
    with open_registry(tmp_path) as registry:
        assert not registry.session(ANYONE).allowed(Action.READ, PACKAGE)


def test_existing_administration_is_left_alone(tmp_path):
    """Where somebody administers already, no administrator is made."""
    with open_registry(tmp_path) as registry:
        rule = Rule(subject="user:eve", actions=frozenset(Action), pattern="**")
        registry.session(registry.admin()).accounts.add_rule(rule)
    assert not start(tmp_path).made
    with open_registry(tmp_path) as registry:
        assert registry.session(registry.admin()).accounts.list() == []


def test_unseen_password_is_told_of(tmp_path):
    """A start that ends before it shows the password is repaired by saying how to set one."""
    first = start(tmp_path, shown=False)
    assert first.password
    second = start(tmp_path)
    assert second.unseen
    assert second.password is None
    assert any("repocore user password admin" in line for line in second.lines())
    assert start(tmp_path).lines() == []


@pytest.mark.parametrize("calls", range(1, 10))
def test_crash_between_any_two_steps_is_repaired(tmp_path, monkeypatch, calls):
    """Wherever a start dies, the next one leaves one administrator, its repositories and rules."""
    left = calls
    write = Catalog.write

    def dying(self, work, *rest):
        nonlocal left
        left -= 1
        if left == 0:
            raise Crash
        return write(self, work, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(Catalog, "write", dying)
        with contextlib.suppress(Crash):
            start(tmp_path, shown=False)
    start(tmp_path, REPOCORE_ADMIN_PASSWORD="high-water")
    with open_registry(tmp_path) as registry:
        session = registry.session(registry.admin())
        assert [account.name for account in session.accounts.list()] == ["admin"]
        assert [r.address for r in session.repositories.list()] == ["conan/main", "conda/main"]
        assert len(session.accounts.rules()) == 3
        assert registry.authenticate(Password("admin", "high-water")).name == "admin"


def started_elsewhere(data: Path, found: multiprocessing.Queue) -> None:
    one = start(data)
    found.put((one.made, one.password, one.unseen))


def test_several_starts_at_once_make_one_password(tmp_path):
    """Of servers that start together on an empty folder one makes the administrator."""
    context = multiprocessing.get_context("spawn")
    found = context.Queue()
    processes = [context.Process(target=started_elsewhere, args=(tmp_path, found)) for _ in "abc"]
    for process in processes:
        process.start()
    outcomes = [found.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(60)
    assert sorted(made for made, _, _ in outcomes) == [False, False, True]
    assert len([password for _, password, _ in outcomes if password]) == 1
    assert not any(unseen for _, _, unseen in outcomes)
