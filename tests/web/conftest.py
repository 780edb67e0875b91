"""A registry over WSGI, with an account that may do everything in its one repository."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from gate import Gate
from tests_manifest import manifest
from wsgi_calls import Answer, basic, call

import repocore
from repocore import Registry, Rule, Session
from repocore.config import LimitSettings, Settings, WebSettings
from repocore_web import create_app

MAIN = "conan/main"
RECIPE = f"/{MAIN}/v2/conans/zlib/1.3/_/_/revisions/r1"


@attrs.frozen
class Site:
    """An application, its registry, and how its writer signs in."""

    app: Any
    registry: Registry
    writer: str = basic("writer", "high-water")

    @property
    def admin(self) -> Session:
        return self.registry.session(self.registry.admin())

    def call(self, target: str, method: str = "GET", **fields: Any) -> Answer:
        return call(self.app, target, method, **fields)

    def signed(self, target: str, method: str = "GET", **fields: Any) -> Answer:
        return call(self.app, target, method, HTTP_AUTHORIZATION=self.writer, **fields)

    def allow(self, subject: str, actions: str, pattern: str = f"{MAIN}/**") -> None:
        granted = repocore.actions_of(actions.split(","))
        self.admin.accounts.add_rule(Rule(subject=subject, actions=granted, pattern=pattern))

    def publish(self, name: str = "zlib") -> None:
        base = f"{name}/1.3/_/_/r1/export"
        for file, content in (
            ("conanfile.py", b"0123456789"),
            ("conanmanifest.txt", manifest("conanfile.py")),
        ):
            self.admin.files.put(MAIN, f"{base}/{file}", io.BytesIO(content))

    def listing(self) -> list[tuple[str, str]]:
        return [(str(file.path), file.digest) for file in self.admin.files.list(MAIN)]


Opener = Callable[..., Site]


@pytest.fixture
def open_site(tmp_path: Path) -> Iterator[Opener]:
    """Open a site with these settings of ``[web]``, ``[limits]`` and these plugins."""
    opened: list[Registry] = []

    def make(
        web: WebSettings | None = None,
        limits: LimitSettings | None = None,
        plugins: tuple[object, ...] = (),
    ) -> Site:
        settings = Settings(
            data=tmp_path / "data", web=web or WebSettings(), limits=limits or LimitSettings()
        )
        registry = repocore.open_registry(settings=settings, plugins=(Gate(), *plugins))
        opened.append(registry)
        site = Site(create_app(registry), registry)
        site.admin.repositories.create(MAIN)
        site.admin.accounts.add("writer")
        site.allow("user:writer", "all")
        return site

    yield make
    for registry in opened:
        registry.close()


@pytest.fixture
def site(open_site: Opener) -> Site:
    return open_site()
