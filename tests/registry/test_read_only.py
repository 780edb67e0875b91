"""A registry that is read-only: nothing is changed, everything is read, and nothing is lost."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import attrs
import pytest
from tests_manifest import manifest

import repocore
from repocore import Action, ApiKey, Binding, JobState, ReadOnlyError, Registry, Rule, Session
from repocore.config import AccountSettings, RepositorySettings, Settings

BASE = "zlib/1.3/_/_/r1/export"
FILES = {"conanfile.py": b"recipe", "conanmanifest.txt": manifest("conanfile.py")}


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Of an installation with a release, an account, a token and a job that waits."""
    made = Settings(data=tmp_path, catalog=database_url)
    with repocore.open_registry(settings=made) as registry:
        admin = registry.session(registry.admin())
        admin.repositories.create("conan/main")
        for name, content in FILES.items():
            admin.files.put("conan/main", f"{BASE}/{name}", io.BytesIO(content))
        admin.accounts.add("ann", "right")
        admin.jobs.submit("gc")
    return made


def sealed(settings: Settings, **more) -> Registry:
    return repocore.open_registry(settings=attrs.evolve(settings, read_only=True, **more))


CHANGES: dict[str, Callable[[Session], object]] = {
    "put": lambda s: s.files.put("conan/main", f"{BASE}/metadata/new.txt", io.BytesIO(b"x")),
    "delete": lambda s: s.releases.delete("conan/main", "zlib/1.3@_/_", "r1"),
    "yank": lambda s: s.releases.yank("conan/main", "zlib/1.3@_/_", "r1"),
    "create": lambda s: s.repositories.create("conan/other"),
    "configure": lambda s: s.repositories.configure("conan/main", private=True),
    "add": lambda s: s.accounts.add("bob"),
    "token": lambda s: s.accounts.create_token("ann", "t"),
    "password": lambda s: s.accounts.set_password("ann", "other"),
    "rule": lambda s: s.accounts.add_rule(
        Rule(subject="*", actions=frozenset({Action.READ}), pattern="**")
    ),
    "bind": lambda s: s.roles.bind(Binding(subject="user:ann", role="viewer", pattern="**")),
    "submit": lambda s: s.jobs.submit("check"),
    "collect": lambda s: s.upkeep.collect(grace=timedelta(0)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_is_changed(settings, change) -> None:
    """Not even by the administrator; no body is read, and no record is left."""
    with sealed(settings) as registry:
        admin = registry.session(registry.admin())
        before = [record.id for record in admin.audit.list()]
        with pytest.raises(ReadOnlyError, match="read-only at the moment"):
            CHANGES[change](admin)
        assert [record.id for record in admin.audit.list()] == before
        with admin.files.open("conan/main", f"{BASE}/conanfile.py") as body:
            assert body.read() == b"recipe"


def test_a_body_is_not_read(settings) -> None:
    """Whoever sends gigabytes is told before."""
    body = io.BytesIO(b"x" * 100)
    with sealed(settings) as registry, pytest.raises(ReadOnlyError):
        registry.session(registry.admin()).files.put("conan/main", f"{BASE}/metadata/new.txt", body)
    assert body.tell() == 0


def test_people_sign_in(settings) -> None:
    """By passwords and by tokens."""
    with repocore.open_registry(settings=settings) as registry:
        secret = registry.session(registry.admin()).accounts.create_token("ann", "t")[1]
    with sealed(settings) as registry:
        assert registry.connect(repocore.Password("ann", "right")).principal.name == "ann"
        assert registry.connect(ApiKey(secret)).principal.name == "ann"


def test_jobs_wait(settings) -> None:
    """None is run, and none is lost: they are done when it is over."""
    with sealed(settings) as registry:
        assert registry.worker().claim() is None
        [job] = registry.session(registry.admin()).jobs.list()
        assert job.state is JobState.QUEUED
    with repocore.open_registry(settings=settings) as registry:
        assert registry.worker().claim() is not None


def test_what_the_settings_want_is_made_later(settings) -> None:
    """It opens all the same, and nothing of it is there."""
    more = {
        "repository": (RepositorySettings(name="new", format="conan"),),
        "account": (AccountSettings(name="robot"),),
    }
    with sealed(settings, **more) as registry:
        admin = registry.session(registry.admin())
        assert [one.address for one in admin.repositories.list()] == ["conan/main"]
        assert [one.name for one in admin.accounts.list()] == ["ann"]


class Listener:
    """Hears of repositories, if it can."""

    def __init__(self, *, deaf: bool = False) -> None:
        self.deaf = deaf
        self.heard: list[object] = []

    @repocore.hookimpl
    def repocore_event(self, event: object) -> None:
        if self.deaf:
            message = "not now"
            raise RuntimeError(message)
        self.heard.append(event)


def test_listeners_are_told_later(settings) -> None:
    """They may want to change something, which would fail until they are given up."""
    with repocore.open_registry(settings=settings, plugins=[Listener(deaf=True)]) as registry:
        registry.session(registry.admin()).repositories.create("conan/new")
    for read_only, heard in ((True, 0), (False, 1)):
        listener = Listener()
        chosen = attrs.evolve(settings, read_only=read_only)
        with repocore.open_registry(settings=chosen, plugins=[listener]) as registry:
            registry.tell()
        assert len(listener.heard) == heard
