"""Plugins that raise, take all memory, or never come back: theirs fails, and nothing else (T62)."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests_manifest import manifest
from wsgi_calls import basic, call

import repocore
from repocore import JobState, Registry, hookimpl
from repocore.config import JobSettings, Settings
from repocore.ports import JobHandler
from repocore_web import create_app

MAIN = "conan/main"
PATH = "zlib/1.3/_/_/r1/export/conanfile.py"
TARGET = f"/{MAIN}/v2/conans/zlib/1.3/_/_/revisions/r1/files/conanfile.py"


def breaks() -> None:
    raise RuntimeError("secret-of-a-plugin")


def hogs() -> None:
    bytearray(1 << 62)


def recurses() -> None:
    recurses()


WAYS = [breaks, hogs, recurses]


class Bad:
    """Does something bad in one hook, once it is armed."""

    def __init__(self, hook: str, work: Callable[[], object]) -> None:
        self.hook, self.work, self.armed = hook, work, False

    def _called(self, hook: str) -> None:
        if self.armed and hook == self.hook:
            self.work()

    @hookimpl(tryfirst=True)
    def repocore_authenticate(self, registry: Registry, credentials: Any) -> None:
        self._called("authenticate")

    @hookimpl(tryfirst=True)
    def repocore_authorize(self, registry: Registry, principal: Any) -> None:
        self._called("authorize")

    @hookimpl
    def repocore_validate(self, session: Any, path: Any) -> None:
        self._called("validate")

    @hookimpl
    def repocore_event(self, registry: Registry, event: Any) -> None:
        self._called("event")

    @hookimpl
    def repocore_volatile(self, registry: Registry) -> bool:
        return True  # nothing of what it says is remembered


def opened(data: Path, bad: object) -> Registry:
    registry = repocore.open_registry(settings=Settings(data=data), plugins=[bad])
    session = registry.session(registry.admin())
    session.repositories.create(MAIN)
    session.accounts.add("ann", "right")
    rule = repocore.Rule(
        subject="user:ann", actions=repocore.actions_of(["all"]), pattern="conan/**"
    )
    session.accounts.add_rule(rule)
    return registry


def put(app: Any) -> Any:
    return call(app, TARGET, "PUT", body=b"x", HTTP_AUTHORIZATION=basic("ann", "right"))


@pytest.mark.parametrize("work", WAYS)
@pytest.mark.parametrize("hook", ["authenticate", "authorize", "validate"])
def test_a_request_fails_whose_plugin_fails(
    tmp_path: Path, hook: str, work: Callable[[], object]
) -> None:
    """By 500 that tells nothing; nothing is changed, nobody is let in, and the next one passes."""
    bad = Bad(hook, work)
    with opened(tmp_path, bad) as registry:
        app, session = create_app(registry), registry.session(registry.admin())
        bad.armed = True
        answer = put(app)
        assert answer.status == 500
        assert "secret-of-a-plugin" not in answer.text
        bad.armed = False
        assert list(session.files.list(MAIN)) == []
        assert session.upkeep.check(read_data=True).ok
        assert put(app).status in {200, 201}


def test_who_listens_and_fails_holds_up_nobody(tmp_path: Path) -> None:
    """What it was told of is done, and it is told again."""
    told, again = threading.Event(), threading.Event()

    def fails() -> None:
        told.set()
        breaks()

    def until(event: threading.Event) -> bool:
        # The registry tells by itself as well; who comes second tells nothing.
        return any(registry.tell() or event.wait(0.1) for _ in range(600))

    bad = Bad("event", fails)
    with opened(tmp_path, bad) as registry:
        bad.armed = True
        registry.session(registry.admin()).repositories.create("conan/other")
        assert until(told)
        assert put(create_app(registry)).status in {200, 201}
        bad.work = again.set
        assert until(again)


def test_a_plugin_that_hangs_hangs_alone(tmp_path: Path) -> None:
    """Others upload and read meanwhile; it holds no lock, of the catalog above all."""
    inside, released = threading.Event(), threading.Event()

    def hangs() -> None:
        bad.armed = False  # this one only
        inside.set()
        assert released.wait(60)

    bad = Bad("validate", hangs)
    with opened(tmp_path, bad) as registry, ThreadPoolExecutor(1) as pool:
        app, session = create_app(registry), registry.session(registry.admin())
        bad.armed = True
        hanging = pool.submit(put, app)
        assert inside.wait(30)
        other = PATH.replace("/r1/", "/r2/")
        session.files.put(MAIN, other, io.BytesIO(b"other"))
        listing = io.BytesIO(manifest("conanfile.py"))
        session.files.put(MAIN, other.replace("conanfile.py", "conanmanifest.txt"), listing)
        with session.files.open(MAIN, other) as stream:
            assert stream.read() == b"other"
        session.upkeep.collect()
        assert session.upkeep.check(read_data=True).ok
        assert not hanging.done()
        released.set()
        assert hanging.result().status in {200, 201}


@pytest.mark.parametrize("work", WAYS)
def test_a_job_that_fails_fails_alone(tmp_path: Path, work: Callable[[], object]) -> None:
    """It says so; the worker goes on with the next one."""

    class Jobs:
        @hookimpl
        def repocore_jobs(self) -> dict[str, JobHandler[Any]]:
            def run(*_told: Any) -> str:
                work()
                raise AssertionError

            return {"bad": JobHandler(run=run, summary="Is bad.", attempts=1)}

    settings = Settings(data=tmp_path, jobs=JobSettings(attempts=1))
    with repocore.open_registry(settings=settings, plugins=[Jobs()]) as registry:
        jobs = registry.session(registry.admin()).jobs
        bad, good = jobs.submit("bad"), jobs.submit("gc")
        registry.run_jobs()
        assert jobs.wait(bad.id).state is JobState.FAILED
        assert jobs.wait(good.id).state is JobState.DONE
