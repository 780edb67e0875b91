"""A primary that serves on loopback, and replicas that follow it."""

from __future__ import annotations

import io
import socketserver
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import attrs
from sqlalchemy import select
from static_channel import package
from tests_manifest import manifest

import repocore
from repocore import Action, Registry, Rule, Session
from repocore.catalog import Catalog, tables
from repocore.config import ReplicaSettings, Settings
from repocore_web import create_app

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 64


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""


@contextmanager
def served(application: Application) -> Generator[str]:
    """The URL at which an application is served until the block ends."""
    with make_server("127.0.0.1", 0, application, _Server, _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@attrs.define
class Pair:
    """A primary, and what a replica is told of it."""

    primary: Registry
    url: str
    secret: str
    folder: Path
    #: Where replicas have their catalogs.
    catalog: str = "sqlite:///catalog.db"
    _stack: ExitStack = attrs.field(factory=ExitStack)

    @property
    def admin(self) -> Session:
        return self.primary.session(self.primary.admin())

    def settings(self, name: str = "replica", **more: Any) -> Settings:
        """Those of a replica; ``more`` are fields of ``[replica]``."""
        told = {"of": self.url, "token": self.secret, "workers": 2, **more}
        return Settings(
            data=self.folder / name, catalog=self.catalog, replica=ReplicaSettings(**told)
        )

    def replica(self, name: str = "replica", **more: Any) -> Registry:
        """An opened replica, which is closed at the end."""
        opened = repocore.open_registry(settings=self.settings(name, **more))
        return self._stack.enter_context(opened)

    def sync(self, replica: Registry, *, full: bool = False) -> Any:
        """Seal what there is, as the primary's server does by itself, and take it over."""
        self.admin.audit.seal()
        return replica.session(replica.admin()).replica.sync(full=full)

    def close(self) -> None:
        """Close every replica."""
        self._stack.close()

    # -------------------------------------------------------------------------- what is put there

    def recipe(self, rrev: str, name: str = "zlib", content: bytes = b"") -> None:
        base = f"{name}/1.3/_/_/{rrev}/export"
        self.put("conan/main", f"{base}/conanfile.py", content or b"recipe " + rrev.encode())
        self.put("conan/main", f"{base}/conanmanifest.txt", manifest("conanfile.py"))

    def package(self, rrev: str, prev: str, name: str = "zlib") -> None:
        base = f"{name}/1.3/_/_/{rrev}/package/pid/{prev}"
        self.put("conan/main", f"{base}/conan_package.tgz", b"archive " + prev.encode())
        self.put("conan/main", f"{base}/conaninfo.txt", b"[settings]\nos=Linux\n")
        self.put("conan/main", f"{base}/conanmanifest.txt", manifest("lib/libz.a"))

    def conda(self, name: str) -> None:
        file = f"{name}-1.0-0.tar.bz2"
        self.put("conda/main", f"noarch/{file}", package(file)[0])

    def put(self, address: str, path: str, content: bytes) -> None:
        self.admin.files.put(address, path, io.BytesIO(content))


@contextmanager
def pair(folder: Path, catalog: str, **more: Any) -> Generator[Pair]:
    """A primary with two repositories that everyone may read, and an account that may replicate."""
    settings = Settings(data=folder / "primary", catalog=catalog, **more)
    with repocore.open_registry(settings=settings) as registry:
        admin = registry.session(registry.admin())
        for address in ("conan/main", "conda/main"):
            admin.repositories.create(address)
        admin.accounts.add("mirror", service=True)
        allowed = frozenset({Action.REPLICATE})
        admin.accounts.add_rule(Rule(subject="user:mirror", actions=allowed, pattern="**"))
        secret = admin.accounts.create_token("mirror", "replica")[1]
        with served(create_app(registry)) as url, ExitStack() as stack:
            yield Pair(registry, url, secret, folder, stack=stack)


#: What each installation has for itself.
OWN = {
    "files": {"id"},
    "tokens": {"last_used_at"},
    "identities": {"last_at", "profile"},
    "repositories": {"bytes", "file_count"},
    "releases": {"touched_at"},
}
COPIED = (
    "repositories", "partitions", "releases", "extras", "files", "accounts", "groups",
    "tokens", "rules", "roles", "bindings", "identities", "audit", "seals",
)  # fmt: skip


#: All that is left of a release that was deleted, and maybe begun again.
LEFT = {"repository_id", "partition", "name", "serial", "changed", "removed_at"}


def rows(registry: Registry, name: str) -> set[str]:
    """The rows of a table, as a replica has to have them: what can be seen, and tombstones."""
    catalog: Catalog = registry._services.catalog
    r = tables.releases
    with catalog.snapshot() as connection:
        found = connection.execute(select(tables.METADATA.tables[name])).mappings().all()
        seen = r.c.released_at.is_not(None) & r.c.removed_at.is_(None)
        named = select(r.c.repository_id, r.c.partition, r.c.name).where(seen)
        visible = {tuple(row) for row in connection.execute(named)}
    own = OWN.get(name, set())
    kept = [row for row in found if _copied(name, row, visible)]
    gone = LEFT if name == "releases" else set()
    return {
        str(sorted((k, v) for k, v in row.items() if k in (gone if _is_gone(row) else row)))
        for row in ({k: v for k, v in one.items() if k not in own} for one in kept)
    }


def _is_gone(row: Any) -> bool:
    return row.get("removed_at") is not None


def _copied(name: str, row: Any, visible: set[Any]) -> bool:
    """Whether a row is one for replicas: drafts are nobody's business."""
    if name == "partitions":
        return row["serial"] > 0
    if name == "releases":
        return _is_gone(row) or row["released_at"] is not None
    if name in {"files", "extras"} and row["partition"] is not None:
        of = row["release"] if name == "files" else row["name"]
        return (row["repository_id"], row["partition"], of) in visible
    return True


def differences(primary: Registry, replica: Registry) -> dict[str, tuple[set[str], set[str]]]:
    """What only the one has, and only the other; by table."""
    found: dict[str, tuple[set[str], set[str]]] = {}
    for name in COPIED:
        ours, theirs = rows(primary, name), rows(replica, name)
        if ours != theirs:
            found[name] = (ours - theirs, theirs - ours)
    return found


def contents(registry: Registry, address: str) -> dict[str, bytes]:
    """Every visible file by path, with its bytes."""
    session = registry.session(registry.admin())
    found: dict[str, bytes] = {}
    for file in session.files.list(address):
        with session.files.open(address, file.path) as stream:
            found[str(file.path)] = stream.read()
    return found
