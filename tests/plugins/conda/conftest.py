"""A channel over WSGI, and those who publish to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from channel_pool import Packaged, package
from gate import Gate
from wsgi_calls import Answer, basic, call

import repocore
from repocore import Registry, Rule, Session, Tier, actions_of
from repocore.config import Settings
from repocore_web import create_app

MAIN = "conda/main"


@attrs.frozen
class Quayside:
    """The application of a registry with a channel, and a writer who may do everything in it."""

    app: Any
    registry: Registry

    @property
    def admin(self) -> Session:
        return self.registry.session(self.registry.admin())

    def call(self, target: str, method: str = "GET", **fields: Any) -> Answer:
        """As a stranger."""
        return call(self.app, target, method, **fields)

    def signed(self, target: str, method: str = "GET", who: str = "writer", **fields: Any):
        """As somebody who signed in."""
        sent = {"HTTP_AUTHORIZATION": basic(who, "high-water"), **fields}
        return call(self.app, target, method, **sent)

    def put(self, one: Packaged, who: str = "writer", query: str = "") -> Answer:
        target = f"/{MAIN}/{one.path}{query}"
        return self.signed(target, "PUT", who, body=one.content)

    def repodata(self, subdir: str = "noarch") -> dict[str, Any]:
        return json.loads(self.signed(f"/{MAIN}/{subdir}/repodata.json").body)

    def names(self, subdir: str = "noarch") -> list[str]:
        found = self.repodata(subdir)
        return sorted([*found["packages"], *found["packages.conda"]])

    def allow(self, subject: str, actions: str, pattern: str = f"{MAIN}/**") -> Rule:
        """A rule of the channel, or for everyone one of the site."""
        return self.admin.accounts.add_rule(
            Rule(
                subject=subject,
                actions=actions_of(actions.split(",")),
                pattern=pattern,
                tier=Tier.SITE if subject == "*" else Tier.REPOSITORY,
            )
        )


@pytest.fixture(scope="module")
def opened(deployment: Settings) -> Iterator[Registry]:
    with repocore.open_registry(settings=deployment, plugins=(Gate(),)) as registry:
        yield registry


@pytest.fixture
def channel(opened: Registry) -> Iterator[Quayside]:
    """An empty channel that everyone may read, and the writer change."""
    session = opened.session(opened.admin())
    session.repositories.create(MAIN)
    made = Quayside(create_app(opened), opened)
    rules = [made.allow("*", "read"), made.allow("user:writer", "read,write,overwrite,delete")]
    yield made
    for rule in session.accounts.rules():
        session.accounts.remove_rule(rule.id or 0)
    assert rules
    session.repositories.delete(MAIN)


@pytest.fixture(scope="session")
def zlib() -> Packaged:
    return package("linux-64", "zlib-1.3-0.conda")


@pytest.fixture(scope="session")
def tide() -> Packaged:
    return package("noarch", "tide-1.0-0.conda", depends=["zlib >=1.3"])
