"""Our side of the comparison: channels, filled through the library or as rows, and their servers.

Half a million packages are rows only: records and digests of packages that were never written.
What is measured over them reads records, and no package but those that are uploaded meanwhile.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import sqlite3
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any

import attrs

import repocore
from benchmarks.conda_client import Channel
from benchmarks.conda_packages import SUBDIR, Package, packages
from benchmarks.servers import (
    PASSWORD,
    USER,
    Server,
    Workshop,
    free_port,
    gunicorn_command,
    nginx_command,
    started,
)
from repocore.config import load_settings
from repocore.errors import RepocoreError
from repocore.model import Checksums, FilePath
from repocore.plugins.conda.records import Extra, canonical, pack_shard, record_of
from repocore.plugins.conda.versions import version_key
from repocore.registry import Session, Upload

__all__ = ["SETTINGS", "Site", "behind_nginx", "repocore_server"]

SETTINGS = f"""\
[[rule]]
subject = "*"
actions = ["read"]
pattern = "conda/**"

[[rule]]
subject = "user:{USER}"
actions = ["read", "write"]
pattern = "conda/**"
"""
#: Rows in one statement.
_CHUNK = 5000
_TABLES = ("releases", "extras", "files", "blobs")


@attrs.frozen
class Site:
    """A data folder with a user and a token."""

    workshop: Workshop
    key: str

    @classmethod
    def create(cls, workshop: Workshop) -> Site:
        """An empty one."""
        workshop.settings.write_text(SETTINGS)
        with _opened(workshop) as session:
            session.accounts.add(USER, PASSWORD)
            _, secret = session.accounts.create_token(USER, "benchmark")
        return cls(workshop, secret)

    @property
    def environ(self) -> Mapping[str, str]:
        """What servers and commands are told of it."""
        workshop = self.workshop
        return {"REPOCORE_DATA": str(workshop.data), "REPOCORE_CONFIG": str(workshop.settings)}

    def channel(self, server: Server, name: str) -> Channel:
        """A channel as its clients see it."""
        base = f"{server.base}/conda/{name}"
        return Channel(port=server.port, name=name, key=self.key, base=base, health="/healthz")

    def put(self, name: str, contents: Mapping[str, bytes]) -> None:
        """Put packages, made whole and looked into, into a channel; make it when it is not there.

        Raises what kept the first of them out.
        """
        uploads = (
            Upload(path=FilePath.parse(path), stream=io.BytesIO(content), length=len(content))
            for path, content in contents.items()
        )
        with _opened(self.workshop) as session:
            _make(session, name)
            for _, found in session.files.put_all(f"conda/{name}", uploads):
                if isinstance(found, RepocoreError):
                    raise found

    def fill(self, name: str, count: int, names: int) -> None:
        """Have a channel with so many packages, as rows in one transaction: copies of one.

        That is put through the library, so that every column that is not mentioned here is as the
        library writes it.
        """
        first = Package(0, names)
        self.put(name, {first.path: first.content})
        data = self.workshop.data / "catalog.db"
        with contextlib.closing(sqlite3.connect(data, timeout=60)) as catalog, catalog:
            catalog.row_factory = sqlite3.Row
            catalog.execute("PRAGMA cache_size = -500000")
            rows = _Rows(catalog, name, first, count, names)
            rows.insert()


@contextlib.contextmanager
def _opened(workshop: Workshop) -> Generator[Session]:
    settings = load_settings(data=workshop.data, config=workshop.settings, environ={})
    with repocore.open_registry(settings=settings) as registry:
        yield registry.session(registry.admin())


def _make(session: Session, name: str) -> None:
    if f"conda/{name}" not in {repository.address for repository in session.repositories.list()}:
        session.repositories.create(f"conda/{name}")


@attrs.frozen
class _Rows:
    """The rows of a channel's other packages, from those of its first."""

    catalog: sqlite3.Connection
    channel: str
    first: Package
    count: int
    names: int

    def insert(self) -> None:
        [number] = self.catalog.execute(
            "SELECT id FROM repositories WHERE format = 'conda' AND name = ?", (self.channel,)
        ).fetchone()
        path, name = self.first.path, self.first.filename
        file = self._model("files", "repository_id = ? AND path = ?", number, path)
        models = {
            "releases": self._model("releases", "repository_id = ? AND name = ?", number, name),
            "extras": self._model("extras", "repository_id = ? AND name = ?", number, name),
            "files": {column: value for column, value in file.items() if column != "id"},
            "blobs": self._model("blobs", "digest = ?", file["digest"]),
        }
        source = self._changes()
        while some := list(itertools.islice(source, _CHUNK)):
            for table in _TABLES:
                self._insert(table, models[table], [changes[table] for changes in some])
        self.catalog.execute(
            "UPDATE partitions SET serial = ? WHERE repository_id = ? AND name = ?",
            (self.count, number, SUBDIR),
        )

    def _model(self, table: str, where: str, *values: Any) -> dict[str, Any]:
        return dict(self.catalog.execute(f"SELECT * FROM {table} WHERE {where}", values).fetchone())

    def _insert(
        self, table: str, model: Mapping[str, Any], changes: Sequence[Mapping[str, Any]]
    ) -> None:
        columns = ", ".join(f'"{column}"' for column in model)
        places = ", ".join("?" * len(model))
        rows = [tuple({**model, **change}.values()) for change in changes]
        self.catalog.executemany(f"INSERT INTO {table} ({columns}) VALUES ({places})", rows)

    def _changes(self) -> Iterator[dict[str, dict[str, Any]]]:
        for package in packages(1, self.count, self.names):
            yield _changed(package, len(self.first.content), self.channel)


def _changed(package: Package, size: int, channel: str) -> dict[str, dict[str, Any]]:
    """What is another one's in each table."""
    digest = hashlib.sha256(f"{channel} {package.filename}".encode()).hexdigest()
    index = {k: v for k, v in package.index.items() if k not in {"arch", "platform"}}
    record = record_of(index, Checksums(sha256=digest, md5=digest[:32]), size)
    about = canonical({"home": "https://library.example/", "timestamp": 1_700_000_000})
    serial = package.number + 1
    return {
        "releases": {
            "name": package.filename,
            "package": package.name,
            "package_key": package.name,
            "version": package.version,
            "sort_key": version_key(package.version),
            "serial": serial,
            "changed": serial,
            "record": canonical(record),
        },
        "extras": {
            "name": package.filename,
            "extra": Extra(pack_shard(record, {}), b"{}", about).pack(),
        },
        "files": {"path": package.path, "digest": digest, "release": package.filename},
        "blobs": {"digest": digest, "md5": digest[:32]},
    }


# -------------------------------------------------------------------------------------- servers


@contextlib.contextmanager
def repocore_server(site: Site) -> Generator[Server]:
    """Our server, as all contenders run: see `benchmarks.servers.gunicorn_command`."""
    server = Server(name="repocore", port=free_port())
    bind = f"127.0.0.1:{server.port}"
    command = gunicorn_command(sys.executable, "repocore_web.wsgi:application", bind)
    with started(server, [command], site.workshop, site.environ, "/healthz") as running:
        yield running


_PROXY = """
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
"""


@contextlib.contextmanager
def behind_nginx(site: Site) -> Generator[Server]:
    """One nginx before our server, before an empty application, and over a folder.

    Ours answers below ``/``, with X-Accel-Redirect for what lies in its storage; the application
    below ``/empty/``, the folder ``ceilings`` of the workshop below ``/plain/``.
    """
    workshop = site.workshop
    server = Server(name="nginx", port=free_port())
    ours, empty = workshop.folder / "ours.sock", workshop.folder / "empty.sock"
    upstreams = "".join(
        f"upstream {name} {{ server unix:{path}; keepalive 16; }}"
        for name, path in (("ours", ours), ("empty", empty))
    )
    locations = f"""
location /_blobs/ {{ internal; alias {workshop.data / "blobs"}/; }}
location /plain/ {{ alias {workshop.scratch}/; }}
location /empty/ {{ proxy_pass http://empty; {_PROXY} }}
location / {{ proxy_pass http://ours; {_PROXY} }}
"""
    (workshop.scratch / "probe").write_bytes(b"")
    commands = [
        gunicorn_command(sys.executable, "repocore_web.wsgi:application", f"unix:{ours}"),
        gunicorn_command(sys.executable, "benchmarks.apps:empty", f"unix:{empty}"),
        nginx_command(workshop, "conda", server.port, locations, upstreams),
    ]
    environ = {**site.environ, "REPOCORE__WEB__SENDFILE": "x-accel"}
    with started(server, commands, workshop, environ, "/healthz") as running:
        yield running
