"""Quetz's API over WSGI, and people of each server role."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from channel_pool import Packaged, package
from gate import Gate
from wsgi_calls import Answer, basic, call

import repocore
from repocore import Registry, Session
from repocore.config import PluginSettings, Settings
from repocore.model import Binding
from repocore.plugins.quetz.server_roles import OWN_ROLES
from repocore.plugins.quetz.settings import QuetzSettings
from repocore_web import create_app

PASSWORD = "high-water"
PEOPLE = ("olga", "mara", "mike", "nick", "nora")


@attrs.frozen
class Quetz:
    """The application, and what its clients do."""

    app: Any
    registry: Registry

    @property
    def admin(self) -> Session:
        return self.registry.session(self.registry.admin())

    def ask(
        self,
        path: str,
        method: str = "GET",
        body: object = None,
        who: str | None = "olga",
        **fields: Any,
    ) -> Answer:
        """As somebody; None is a stranger."""
        if who is not None:
            fields = {"HTTP_AUTHORIZATION": basic(who, PASSWORD), **fields}
        if body is not None:
            fields["body"] = body if isinstance(body, bytes) else json.dumps(body).encode()
        return call(self.app, path, method, **fields)

    def value(self, path: str, method: str = "GET", body: object = None, who="olga") -> Any:
        """What was answered, if it was no refusal."""
        answer = self.ask(path, method, body, who)
        assert answer.status in {200, 201}, (answer.status, answer.text)
        return json.loads(answer.body)

    def refused(self, path: str, method: str = "GET", body: object = None, who="nora") -> Any:
        """(status, detail) of a refusal."""
        answer = self.ask(path, method, body, who)
        told = json.loads(answer.body)
        assert set(told) == {"detail"}
        return answer.status, told["detail"]

    def channel(self, name: str, who: str = "olga", **fields: Any) -> None:
        """Make a channel, public if not said otherwise."""
        self.value("/api/channels", "POST", {"name": name, "private": False, **fields}, who)

    def upload(self, channel: str, one: Packaged, who: str = "olga") -> Answer:
        target = f"/api/channels/{channel}/upload/{one.file}?force=False&sha256={one.sha256}"
        return self.ask(target, "POST", one.content, who)


@pytest.fixture
def settings() -> QuetzSettings:
    return QuetzSettings()


@pytest.fixture
def quetz(tmp_path: Path, settings: QuetzSettings) -> Iterator[Quetz]:
    """Olga owns the server, Mara maintains it, Mike is a member, Nick and Nora are nothing."""
    plugins = PluginSettings(tables={"quetz": attrs.asdict(settings)})
    made = Settings(data=tmp_path, storage=f"memory://{uuid.uuid4().hex}", plugins=plugins)
    with repocore.open_registry(settings=made, plugins=(Gate(),)) as registry:
        admin = registry.session(registry.admin())
        for name in PEOPLE:
            admin.accounts.add(name)
        for role in OWN_ROLES.values():
            admin.roles.add(role)
        for name, role, pattern in (
            ("olga", "owner", "**"),
            ("mara", "owner", "conda/**"),
            ("mike", "quetz-creator", "conda/**"),
        ):
            admin.roles.bind(Binding(subject=f"user:{name}", role=role, pattern=pattern))
        admin.accounts.add_rule(
            repocore.Rule(subject="*", actions=repocore.actions_of(["read"]), pattern="conda/**")
        )
        yield Quetz(create_app(registry), registry)


@pytest.fixture(scope="session")
def tide() -> Packaged:
    return package("noarch", "tide-1.0-0.conda", depends=["zlib >=1.3"])


@pytest.fixture(scope="session")
def zlib() -> Packaged:
    return package("linux-64", "zlib-1.3-0.conda")
