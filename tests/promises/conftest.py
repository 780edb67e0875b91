"""A registry over WSGI, with somebody who may do everything in its repository, and readers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import attrs
import pytest
from tests_manifest import manifest
from wsgi_calls import Answer, basic, call

import repocore
from repocore import Registry, Rule, Session
from repocore.config import Settings
from repocore_web import create_app

MAIN = "conan/main"
#: Beyond ASCII on purpose: a password is any text.
PASSWORD = "high water: März 水"


@attrs.frozen
class House:
    """The application, its registry, and how its writer signs in."""

    app: Any
    registry: Registry
    folder: Path
    writer: str
    password: str = PASSWORD

    @property
    def admin(self) -> Session:
        return self.registry.session(self.registry.admin())

    def ask(self, path: str, method: str = "GET", **fields: Any) -> Answer:
        """Somebody without a name asks; the path is that of the protocol."""
        return call(self.app, f"/{MAIN}{path}", method, **fields)

    def signed(self, path: str, method: str = "GET", **fields: Any) -> Answer:
        """The writer asks."""
        return self.ask(path, method, HTTP_AUTHORIZATION=self.writer, **fields)

    def put(self, path: str, body: bytes) -> None:
        assert self.signed(path, "PUT", body=body).status == 200

    def recipe(self, name: str, rrev: str, rest: str = "_/_") -> str:
        """Upload a whole recipe revision of ``name/1.0``; the path of its reference."""
        base = f"/v2/conans/{name}/1.0/{rest}"
        files = f"{base}/revisions/{rrev}/files"
        self.put(f"{files}/conanfile.py", f"recipe {name} {rrev}".encode())
        self.put(f"{files}/conanmanifest.txt", manifest("conanfile.py"))
        return base

    def package(self, name: str, rrev: str, prev: str, package_id: str = "pid") -> str:
        """Upload a whole package revision; the path of its package."""
        base = f"/v2/conans/{name}/1.0/_/_/revisions/{rrev}/packages/{package_id}"
        files = f"{base}/revisions/{prev}/files"
        self.put(f"{files}/conan_package.tgz", f"archive {prev}".encode())
        self.put(f"{files}/conaninfo.txt", b"[settings]\nos=Linux\n")
        self.put(f"{files}/conanmanifest.txt", manifest("lib/libz.a"))
        return base

    def json(self, path: str) -> Any:
        """What everybody reads there."""
        answer = self.ask(path)
        assert answer.status == 200, answer.text
        return json.loads(answer.body)

    def revisions(self, base: str) -> list[str]:
        """Those that are listed, newest first."""
        return [one["revision"] for one in self.json(f"{base}/revisions")["revisions"]]

    def found(self, pattern: str) -> list[str]:
        return self.json(f"/v2/conans/search?q={quote(pattern, safe='*/@')}")["results"]

    def listing(self) -> list[tuple[str, str]]:
        """Every file of the repository with its digest."""
        return [(str(file.path), file.digest) for file in self.admin.files.list(MAIN)]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One for all promises of a module: each test has names of its own."""
    folder = tmp_path_factory.mktemp("house")
    with repocore.open_registry(settings=Settings(data=folder / "data")) as registry:
        admin = registry.session(registry.admin())
        admin.repositories.create(MAIN)
        admin.accounts.add("writer", PASSWORD)
        for subject, actions in (("user:writer", ["all"]), ("*", ["read"])):
            granted = repocore.actions_of(actions)
            admin.accounts.add_rule(Rule(subject=subject, actions=granted, pattern=f"{MAIN}/**"))
        app = create_app(registry)
        login = call(
            app,
            f"/{MAIN}/v2/users/authenticate",
            HTTP_AUTHORIZATION=basic("writer", PASSWORD),
        )
        assert login.status == 200
        yield House(app, registry, folder, f"Bearer {login.text}")
