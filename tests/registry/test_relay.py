"""Events: told after the commit, in order, until the listeners have heard them."""

from __future__ import annotations

import io
import threading
import time
from pathlib import Path

from tests_manifest import manifest

import repocore
from repocore import AccountChanged, ReleaseAdded, ReleaseRemoved, RepositoryChanged, hookimpl
from repocore.config import Settings
from repocore.registry.relay import Relay


class Listener:
    """Keeps what it hears, and fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.heard: list[object] = []
        self.failures = failures

    @hookimpl
    def repocore_event(self, event: object) -> None:
        if self.failures:
            self.failures -= 1
            message = "not now"
            raise RuntimeError(message)
        self.heard.append(event)


def publish(registry) -> None:
    session = registry.session(registry.admin())
    session.repositories.create("conan/main")
    base = "zlib/1.3/_/_/r1/export"
    session.files.put("conan/main", f"{base}/conanfile.py", io.BytesIO(b"recipe"))
    session.files.put(
        "conan/main", f"{base}/conanmanifest.txt", io.BytesIO(manifest("conanfile.py"))
    )
    session.releases.delete("conan/main", "zlib/1.3@_/_", "r1")
    session.accounts.add("ann")


KINDS = [RepositoryChanged, ReleaseAdded, ReleaseRemoved, AccountChanged]


def opened(listener: Listener, database_url: str, tmp_path: Path):
    settings = Settings(data=tmp_path, catalog=database_url)
    return repocore.open_registry(settings=settings, plugins=[listener])


def test_listeners_hear_what_is_committed_in_order(database_url: str, tmp_path: Path) -> None:
    """Each change is one event, and a draft is none."""
    listener = Listener()
    with opened(listener, database_url, tmp_path) as registry:
        publish(registry)
    assert [type(event) for event in listener.heard] == KINDS


def test_an_event_is_told_until_it_is_heard(database_url: str, tmp_path: Path) -> None:
    """A listener that fails hears the same event again, before any later one."""
    listener = Listener(failures=3)
    with opened(listener, database_url, tmp_path) as registry:
        publish(registry)
        for _ in range(500):
            registry.tell()
            if len(listener.heard) == len(KINDS):
                break
            time.sleep(0.01)
    assert [type(event) for event in listener.heard] == KINDS


def test_what_was_not_told_is_told_by_the_next(database_url: str, tmp_path: Path) -> None:
    """Events outlive the process that made them."""
    deaf = Listener(failures=1000)
    with opened(deaf, database_url, tmp_path) as registry:
        publish(registry)
    listener = Listener()
    with opened(listener, database_url, tmp_path) as registry:
        registry.tell()
    assert [type(event) for event in listener.heard] == KINDS


def test_an_event_that_nobody_can_hear_is_given_up(database_url: str, tmp_path: Path) -> None:
    """It does not hold up the later ones for ever."""
    listener = Listener(failures=20)
    with opened(listener, database_url, tmp_path) as registry:
        publish(registry)
        for _ in range(500):
            registry.tell()  # does nothing while the thread behind the registry is at it
            if len(listener.heard) == len(KINDS) - 1:
                break
            time.sleep(0.01)
    assert [type(event) for event in listener.heard] == KINDS[1:]


def test_a_relay_that_two_wake_at_once_has_one_thread(overtaken) -> None:
    """Who comes second to the lock finds the thread running."""
    ran = threading.Event()
    relay = Relay((ran.set,), 60.0)
    overtaken(relay, relay.start)
    threads = threading.active_count()
    relay.wake()
    assert ran.wait(30)
    assert threading.active_count() == threads + 1
    relay.close()
    assert threading.active_count() == threads
