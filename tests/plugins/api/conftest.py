"""An application with packages, and accounts that may do this and that."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from described_api import DescribedApi
from tests_manifest import manifest
from wsgi_calls import Answer, basic

import repocore
from repocore import Binding, Registry, Session
from repocore.config import LimitSettings, Settings
from repocore_web import create_app

MAIN = "conan/main"
ACCOUNTS = ("ann", "bob", "carl")


class House(DescribedApi):
    """The API of a registry, asked by name; everybody's password is ``right``."""

    def __init__(self, registry: Registry) -> None:
        super().__init__(create_app(registry))
        self.registry = registry

    @property
    def admin(self) -> Session:
        return self.registry.session(self.registry.admin())

    def send(
        self,
        path: str,
        method: str = "GET",
        body: object = None,
        who: str | None = "ann",
        **fields: Any,
    ) -> Answer:
        if who is not None:
            fields["HTTP_AUTHORIZATION"] = basic(who, "right")
        return self.ask(path, method, body, **fields)

    def value(self, *given: Any, **more: Any) -> Any:
        answer = self.send(*given, **more)
        assert answer.status in {200, 201}, answer.text
        return json.loads(answer.body)

    def problem(self, status: int, *given: Any, **more: Any) -> dict[str, Any]:
        answer = self.send(*given, **more)
        assert answer.status == status, answer.text
        return json.loads(answer.body)

    def walk(self, path: str, **more: Any) -> list[Any]:
        """Every entry of a list, page after page."""
        found, cursor = [], None
        mark = "&" if "?" in path else "?"
        for _ in range(1000):
            page = self.value(path if cursor is None else f"{path}{mark}cursor={cursor}", **more)
            found += page["items"]
            cursor = page["next"]
            if cursor is None:
                return found
        raise AssertionError("the list has no end")

    def recipe(self, reference: str, rrev: str = "r1", address: str = MAIN) -> None:
        base = f"{reference}/{rrev}/export"
        for name, content in (
            ("conanfile.py", f"{reference} {rrev}".encode()),
            ("conanmanifest.txt", manifest("conanfile.py")),
        ):
            self.admin.files.put(address, f"{base}/{name}", io.BytesIO(content))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Ann owns everything, Bob owns conan/main, Carl holds nothing; a page has 50 entries."""
    settings = Settings(data=tmp_path, limits=LimitSettings(page=50))
    with repocore.open_registry(settings=settings) as registry:
        admin = registry.session(registry.admin())
        admin.repositories.create(MAIN)
        for name in ACCOUNTS:
            admin.accounts.add(name, "right")
        admin.roles.bind(Binding(subject="user:ann", role="owner"))
        admin.roles.bind(Binding(subject="user:bob", role="owner", pattern=MAIN))
        yield House(registry)
