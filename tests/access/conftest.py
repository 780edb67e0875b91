"""A site with something in it that few may see, and accounts with one permission each."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
import pytest
from route_requests import SOURCE
from static_channel import package
from tests_manifest import manifest
from wsgi_calls import Answer, call

import repocore
from repocore import Action, Binding, Registry, Rule, Session
from repocore.config import Settings
from repocore.plugins.conan.paths import SourceFile
from repocore_web import create_app


@attrs.define
class Fortress:
    """The application and its registry."""

    app: Any
    registry: Registry

    @property
    def admin(self) -> Session:
        return self.registry.session(self.registry.admin())

    def token(self, account: str, *scope: Rule) -> str:
        return self.admin.accounts.create_token(account, "t", rules=list(scope) or None)[1]

    def ask(self, sample: Any, secret: str | None) -> Answer:
        fields = {} if secret is None else {"HTTP_X_API_KEY": secret}
        return call(self.app, sample.target, sample.method, **sample.fields, **fields)


def _fill(registry: Registry) -> None:
    admin = registry.session(registry.admin())
    for name in ("conan/vault", "conda/vault", "conda/open", "conan/open"):
        admin.repositories.create(name, private=True)
    for name in ("vault", "open"):
        base = "zebra/1.0/_/_/r1"
        files = {
            f"{base}/export/conanfile.py": b"recipe",
            f"{base}/export/conanmanifest.txt": manifest("conanfile.py"),
            f"{base}/package/pid/p1/conaninfo.txt": b"[settings]\n",
            f"{base}/package/pid/p1/conan_package.tgz": b"archive",
            f"{base}/package/pid/p1/conanmanifest.txt": manifest("lib/libz.a"),
        }
        for path, content in files.items():
            admin.files.put(f"conan/{name}", path, io.BytesIO(content))
        file = "tide-1.0-0.tar.bz2"
        admin.files.put(f"conda/{name}", f"noarch/{file}", io.BytesIO(package(file)[0]))
        source = SourceFile(SOURCE).path
        admin.files.put(f"conan/{name}", source, io.BytesIO(b"foo"))
    for purpose in ("conan-transfer", "bearer"):
        admin.accounts.signing_keys(purpose)  # made at the first need
    admin.accounts.add("olga")
    admin.accounts.add("eve")
    admin.accounts.add_to_group("keeper", "olga")
    admin.roles.add(repocore.Role(name="keeper", actions=frozenset({Action.READ})))
    admin.roles.bind(Binding(subject="user:olga", role="owner", pattern="**"))
    admin.jobs.submit("check")
    admin.accounts.add_rule(
        Rule(subject="user:olga", actions=frozenset(Action), pattern="conda/vault/**")
    )


@pytest.fixture(scope="module")
def fortress(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fortress]:
    with repocore.open_registry(
        settings=Settings(data=tmp_path_factory.mktemp("site"))
    ) as registry:
        _fill(registry)
        yield Fortress(create_app(registry), registry)


@pytest.fixture
def sealed(tmp_path: Path) -> Iterator[tuple[Fortress, str]]:
    """Another one that nobody can change any more, and a token of who owns everything."""
    settings = Settings(data=tmp_path)
    with repocore.open_registry(settings=settings) as registry:
        _fill(registry)
        secret = Fortress(create_app(registry), registry).token("olga")
    closed = attrs.evolve(settings, read_only=True)
    with repocore.open_registry(settings=closed) as registry:
        yield Fortress(create_app(registry), registry), secret


@pytest.fixture
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Makes another one, as it was at first."""
    with ExitStack() as stack:

        def make() -> Fortress:
            settings = Settings(data=tmp_path_factory.mktemp("site"))
            registry = stack.enter_context(repocore.open_registry(settings=settings))
            _fill(registry)
            return Fortress(create_app(registry), registry)

        yield make
