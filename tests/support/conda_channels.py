"""Channels of a live server, each for one test, and what somebody who publishes does with them."""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import re
import tarfile
import zipfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
import zstandard
from live_server import LiveServer, live_server
from old_servers import Reply
from rattler_builder import Builder, builder

import repocore
from repocore import Registry, Session
from repocore.model import Action, Rule

READ = frozenset({Action.READ})


@attrs.frozen(kw_only=True)
class Quay:
    """A channel, and an administrator's token for it."""

    server: LiveServer
    session: Session
    name: str
    token: str
    folder: Path

    @property
    def address(self) -> str:
        return f"conda/{self.name}"

    @property
    def url(self) -> str:
        return f"{self.server.address}/{self.address}"

    @property
    def builder(self) -> Builder:
        """A builder whose dependencies are in this channel; skips the test where there is none."""
        return builder(self.folder, self.url)

    def publish(self, *recipes: str, kind: str = "conda") -> list[Path]:
        """Build recipes with rattler-build and upload what they make."""
        made = [self.builder.build(recipe, kind=kind) for recipe in recipes]
        self.upload(*made)
        return made

    def upload(self, *files: Path, **options: Any) -> None:
        """Upload as rattler-build does it."""
        words = {"api_key": self.token, **options}
        self.builder.upload("prefix", self.server.address, self.name, *files, **words)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        known: bool = True,
        **fields: str,
    ) -> Reply:
        """Send one request below the channel, with the token or without."""
        signed = {"Authorization": f"Bearer {self.token}"} if known else {}
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        try:
            connection.request(method, f"/{self.address}{path}", body, {**signed, **named})
            answer = connection.getresponse()
            return Reply(answer.status, answer.read(), dict(answer.getheaders()))
        finally:
            connection.close()

    def put(self, path: str, body: bytes) -> None:
        """Upload with a plain PUT; raises AssertionError when the server refuses."""
        answer = self.ask("PUT", path, body)
        assert answer.status == 201, answer.text


@attrs.frozen(kw_only=True)
class Harbourmaster:
    """A live server, and a session of its administrator in this process, on the same data."""

    server: LiveServer
    registry: Registry
    session: Session
    token: str

    def quay(self, name: str, folder: Path, **options: Any) -> Quay:
        """Make a channel: of keyword ``private`` nobody but the administrator reads."""
        self.session.repositories.create(f"conda/{name}", **options)
        return Quay(
            server=self.server, session=self.session, name=name, token=self.token, folder=folder
        )


@contextmanager
def harbourmasters(data: Path) -> Generator[Harbourmaster]:
    """Serve a data folder whose channels everyone reads, until the block ends."""
    with live_server(data) as server, repocore.open_registry(data=data) as registry:
        session = registry.session(registry.admin())
        session.accounts.add_rule(Rule(subject="*", actions=READ, pattern="conda/**"))
        _, token = session.accounts.create_token("admin", "tests")
        yield Harbourmaster(server=server, registry=registry, session=session, token=token)


def note(name: str, version: str, text: str = "high") -> bytes:
    """A package for linux-64 that holds one text, without a builder."""
    stem = f"{name}-{version}-0"
    index = {
        "name": name,
        "version": version,
        "build": "0",
        "build_number": 0,
        "depends": [],
        "subdir": "linux-64",
    }
    content = f"{text} {version}".encode()
    entry = {
        "_path": "share/note.txt",
        "path_type": "hardlink",
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_in_bytes": len(content),
    }
    paths = {"paths": [entry], "paths_version": 1}
    info = {"info/index.json": json.dumps(index), "info/paths.json": json.dumps(paths)}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"conda_pkg_format_version": 2}))
        archive.writestr(f"pkg-{stem}.tar.zst", _tar({"share/note.txt": content}))
        members = {path: member.encode() for path, member in info.items()}
        archive.writestr(f"info-{stem}.tar.zst", _tar(members))
    return packed.getvalue()


def _tar(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, content in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return zstandard.compress(packed.getvalue())


def channel_name(test: str) -> str:
    """A channel's name for a test's."""
    return re.sub(r"[^a-z0-9]+", "-", test.lower().removeprefix("test_")).strip("-")
