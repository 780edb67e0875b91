"""A server for Conan 1 clients: ours, or the original that the same tests are proved against."""

from __future__ import annotations

import itertools
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import attrs
from live_server import LiveServer, live_server
from old_conan import Conan1
from old_servers import USERS, old_server, write_conf


@attrs.define
class House:
    """A running server, and clients of one mode that know it as the remote `house`."""

    python: Path
    folder: Path
    url: str
    revisions: bool
    _numbers: itertools.count[int] = attrs.field(factory=itertools.count)

    def client(self, user: str | None = None, **remotes: str) -> Conan1:
        """A client in a new home, signed in as a user or nobody; keywords are more remotes."""
        home = self.folder / f"home{next(self._numbers)}"
        known = {"house": self.url, **remotes}
        client = Conan1(self.python, home, known, self.revisions)
        if user:
            client.login(user, USERS[user])
        return client

    def revision(self, revisions: list[str]) -> list[str]:
        """What this mode shows of some revisions: without revisions there is one, 0."""
        return revisions if self.revisions else ["0"]


def houses() -> list[str]:
    """Which servers: REPOCORE_CONAN1_SERVERS, `ours` and `original`, separated by colons."""
    return os.environ.get("REPOCORE_CONAN1_SERVERS", "ours").split(os.pathsep)


@contextmanager
def house(
    kind: str, python: Path, folder: Path, *, revisions: bool, token_seconds: int | None = None
) -> Generator[House]:
    """Serve until the block ends: everyone reads all but `hidden`, `writer` and `admin` write."""
    if kind == "original":
        home = folder / "original"
        minutes = 120 if token_seconds is None else token_seconds / 60
        write_conf(home, jwt_expire_minutes=str(minutes))
        with old_server(python, home) as asker:
            yield House(python, folder, asker.address, revisions)
        return
    with live_server(folder / "ours", token_seconds=token_seconds) as running:
        furnish(running)
        yield House(python, folder, running.remote, revisions)


def furnish(server: LiveServer) -> None:
    """The users of the tests, and what each may do."""
    for user in ("writer", "reader"):
        server.add_user(user, USERS[user])
    server.deny("*", "read", "conan/main/hidden/**")
    server.allow("user:admin", "read", "conan/main/hidden/**")
    server.allow("user:writer", "write,overwrite,delete", "conan/main/**")
