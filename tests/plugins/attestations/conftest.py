"""A channel that asks for attestations, and packages to attest."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from channel_pool import Packaged, package
from gate import Gate
from own_sigstore import ISSUER, Sigstore, sigstore, statement
from wsgi_calls import Answer, basic, call

import repocore
from repocore import Registry, Rule, Session, Tier, actions_of
from repocore.config import Settings
from repocore.config.settings import PluginSettings
from repocore_web import create_app

MAIN = "conda/main"
STRICT = "conda/strict"
SITE = "http://server.example"
EDGE = "----edge"


@attrs.frozen
class Channels:
    """A registry with channels: ``main`` verifies what comes, ``strict`` wants it, ``free`` not."""

    app: Any
    registry: Registry

    @property
    def admin(self) -> Session:
        return self.registry.session(self.registry.admin())

    def call(self, target: str, method: str = "GET", who: str = "", **fields: Any) -> Answer:
        signed = {"HTTP_AUTHORIZATION": basic(who, "high-water")} if who else {}
        return call(self.app, target, method, **signed, **fields)

    def upload(self, channel: str, *parts: tuple[str, str | bytes], name: str = "") -> Answer:
        """Send a form as the command ``upload prefix`` does; parts are (name, content)."""
        body = b""
        for part, content in parts:
            said = f'form-data; name="{part}"'
            said += f'; filename="{name}"' if part == "file" else ""
            text = content if isinstance(content, bytes) else content.encode()
            body += f"--{EDGE}\r\nContent-Disposition: {said}\r\n\r\n".encode() + text + b"\r\n"
        body += f"--{EDGE}--\r\n".encode()
        kind = f"multipart/form-data; boundary={EDGE}"
        return self.call(
            f"/api/v1/upload/{channel}", "POST", "writer", body=body, CONTENT_TYPE=kind
        )

    def send(self, channel: str, one: Packaged, *bundles: Any) -> Answer:
        """Upload a package, and then its attestations."""
        parts = [("attestation", json.dumps(bundle)) for bundle in bundles]
        return self.upload(channel, ("file", one.content), *parts, name=one.file)

    def record(self, channel: str, one: Packaged) -> dict[str, Any] | None:
        """The record of a package in its index; None where it has none."""
        text = self.call(f"/conda/{channel}/{one.subdir}/repodata.json", who="writer").body
        found = json.loads(text)
        return {**found["packages"], **found["packages.conda"]}.get(one.file)

    def downloads(self, channel: str) -> int:
        counted = self.admin.statistics.downloads(f"conda/{channel}", "noarch")
        return sum(one.count for one in counted.values())

    def files(self, channel: str) -> list[str]:
        return [str(file.path) for file in self.admin.files.list(f"conda/{channel}")]

    def allow(self, subject: str, actions: str) -> Rule:
        return self.admin.accounts.add_rule(
            Rule(
                subject=subject,
                actions=actions_of(actions.split(",")),
                pattern="conda/**",
                tier=Tier.SITE,
            )
        )

    def known(self, channel: str, one: Packaged) -> dict[str, Any]:
        """What the API tells of the attestations of a package."""
        target = f"/api/v1/repositories/conda/{channel}/attestations/{one.path}"
        answer = self.call(target, who="writer")
        assert answer.status == 200, answer.body
        return json.loads(answer.body)


def policies(root: Path) -> dict[str, Any]:
    identity = [{"issuer": ISSUER, "subject": "https://ci.example/harbour/*"}]
    asked = {"trust_root": str(root), "identity": identity}
    return {
        "policy": [
            {"pattern": f"{MAIN}/**", **asked},
            {"pattern": f"{STRICT}/**", "require": True, **asked},
        ]
    }


@pytest.fixture(scope="session")
def authority() -> Sigstore:
    return sigstore()


@pytest.fixture(scope="session")
def trust_root(authority: Sigstore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return authority.write_root(tmp_path_factory.mktemp("root"))


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory, trust_root: Path) -> Iterator[Registry]:
    pytest.importorskip("sigstore", reason="pip install 'repocore[attestations]'")
    folder: Path = tmp_path_factory.mktemp("registry")
    settings = Settings(
        data=folder,
        storage=f"memory://{uuid.uuid4().hex}",
        plugins=PluginSettings(tables={"attestations": policies(trust_root)}),
    )
    with repocore.open_registry(settings=settings, plugins=(Gate(),)) as registry:
        yield registry


@pytest.fixture
def channels(opened: Registry) -> Iterator[Channels]:
    session = opened.session(opened.admin())
    made = Channels(create_app(opened), opened)
    for name in ("main", "strict", "free"):
        session.repositories.create(f"conda/{name}")
    kept = made.allow("user:writer", "read,write,overwrite,delete")
    yield made
    session.accounts.remove_rule(kept.id or 0)
    for name in ("main", "strict", "free"):
        session.repositories.delete(f"conda/{name}")


@pytest.fixture(scope="session")
def tide() -> Packaged:
    return package("noarch", "tide-1.0-0.conda", run_exports={"weak": ["tide >=1"]})


@pytest.fixture(scope="session")
def attest(authority: Sigstore) -> Callable[..., dict[str, Any]]:
    """Attest a package as its CI does; a target may be named."""

    def make(one: Packaged, target: str | None = None, **signing: Any) -> dict[str, Any]:
        return authority.bundle(statement(one.file, one.sha256, target), **signing)

    return make
