"""A deployment of quetz, made of plain SQL and files: what its importer finds."""

from __future__ import annotations

import bz2
import hashlib
import json
import sqlite3
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs
from channel_pool import Packaged

TABLES = """
CREATE TABLE users (id BLOB PRIMARY KEY, username VARCHAR, role VARCHAR);
CREATE TABLE profiles (name VARCHAR, avatar_url VARCHAR, user_id BLOB PRIMARY KEY);
CREATE TABLE identities (provider VARCHAR, identity_id VARCHAR, username VARCHAR, user_id BLOB,
    PRIMARY KEY (provider, identity_id));
CREATE TABLE emails (provider VARCHAR, identity_id VARCHAR, email VARCHAR UNIQUE, user_id BLOB,
    verified BOOLEAN, "primary" BOOLEAN, PRIMARY KEY (provider, identity_id, email));
CREATE TABLE channels (name VARCHAR(100) COLLATE nocase PRIMARY KEY, description VARCHAR,
    private BOOLEAN, mirror_channel_url VARCHAR, mirror_mode VARCHAR,
    channel_metadata VARCHAR DEFAULT '{}', timestamp_mirror_sync INTEGER, size BIGINT,
    size_limit BIGINT, ttl INTEGER DEFAULT 36000);
CREATE TABLE channel_members (channel_name VARCHAR, user_id BLOB, role VARCHAR,
    PRIMARY KEY (channel_name, user_id));
CREATE TABLE packages (name VARCHAR, channel_name VARCHAR, description TEXT, summary TEXT,
    channeldata VARCHAR, url VARCHAR, platforms VARCHAR, PRIMARY KEY (name, channel_name));
CREATE TABLE package_members (channel_name VARCHAR, package_name VARCHAR, user_id BLOB,
    role VARCHAR, PRIMARY KEY (channel_name, package_name, user_id));
CREATE TABLE api_keys ("key" VARCHAR PRIMARY KEY, description VARCHAR, time_created DATE,
    expire_at DATE, deleted BOOLEAN, user_id BLOB, owner_id BLOB);
CREATE TABLE package_versions (id BLOB PRIMARY KEY, channel_name VARCHAR, package_name VARCHAR,
    package_format VARCHAR, platform VARCHAR, version VARCHAR, build_string VARCHAR,
    build_number INTEGER, size BIGINT, version_order INTEGER, download_count INTEGER,
    filename VARCHAR, info VARCHAR, uploader_id BLOB, time_created DATETIME,
    time_modified DATETIME);
"""
CAME = "2024-05-06 07:08:09"


@attrs.frozen
class OldDeployment:
    """A folder with ``config.toml``, a database, and the files of channels."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, extra: str = "") -> OldDeployment:
        folder.mkdir()
        (folder / "config.toml").write_text(
            f'[sqlalchemy]\ndatabase_url = "sqlite:///./quetz.sqlite"\n{extra}'
        )
        with sqlite3.connect(folder / "quetz.sqlite") as connection:
            connection.executescript(TABLES)
        connection.close()
        return cls(folder)

    def insert(self, table: str, **values: Any) -> None:
        """One row."""
        names = ", ".join(f'"{name}"' for name in values)
        marks = ", ".join("?" * len(values))
        with sqlite3.connect(self.folder / "quetz.sqlite") as connection:
            connection.execute(
                f"INSERT INTO {table} ({names}) VALUES ({marks})", [*values.values()]
            )
        connection.close()

    def run(self, statement: str) -> None:
        """One statement."""
        with sqlite3.connect(self.folder / "quetz.sqlite") as connection:
            connection.execute(statement)
        connection.close()

    def delete(self, table: str, **equal: Any) -> None:
        """Every row with these values."""
        where = " AND ".join(f'"{name}" = ?' for name in equal)
        with sqlite3.connect(self.folder / "quetz.sqlite") as connection:
            connection.execute(f"DELETE FROM {table} WHERE {where}", [*equal.values()])
        connection.close()

    def user(self, name: str | None, role: str | None = None, provider: str = "github") -> bytes:
        """Somebody with a profile and an identity; without a name, what a key acts as."""
        number = uuid.uuid4().bytes
        self.insert("users", id=number, username=name, role=role)
        if name is not None:
            self.insert("profiles", name=name.title(), avatar_url="", user_id=number)
            subject = f"id-of-{name}"
            self.insert(
                "identities", provider=provider, identity_id=subject, username=name, user_id=number
            )
            self.insert(
                "emails",
                provider=provider, identity_id=subject, email=f"{name}@people.example",
                user_id=number, verified=True, primary=True,
            )  # fmt: skip
        return number

    def channel(self, name: str, *, private: bool = False, **more: Any) -> None:
        self.insert("channels", name=name, description=f"The {name}.", private=private, **more)
        (self.folder / "channels" / name / "noarch").mkdir(parents=True)

    def member(self, channel: str, user: bytes, role: str, package: str | None = None) -> None:
        if package is None:
            self.insert("channel_members", channel_name=channel, user_id=user, role=role)
        else:
            self.insert(
                "package_members",
                channel_name=channel, package_name=package, user_id=user, role=role,
            )  # fmt: skip

    def key(self, secret: str, user: bytes, owner: bytes | None = None, **more: Any) -> None:
        values = {"description": "ci", "time_created": "2024-01-01", "deleted": False, **more}
        self.insert("api_keys", key=secret, user_id=user, owner_id=owner or user, **values)

    def package(
        self, channel: str, one: Packaged, *, downloads: int | None = 0, file: bool = True
    ) -> None:
        """A row, and its file."""
        index = {**one.index, "sha256": one.sha256, "size": len(one.content)}
        counted = {} if downloads is None else {"download_count": downloads}
        self.insert(
            "package_versions",
            id=uuid.uuid4().bytes, channel_name=channel, package_name=one.index["name"],
            package_format="conda", platform=one.subdir, version=one.index["version"],
            build_string=one.index["build"], build_number=0, size=len(one.content),
            version_order=0, **counted, filename=one.file, info=json.dumps(index),
            time_created=CAME, time_modified=CAME,
        )  # fmt: skip
        if file:
            path = self.folder / "channels" / channel / one.subdir / one.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(one.content)

    def index(self, channel: str, packages: Iterable[Packaged]) -> None:
        """The repodata of one subdir, as it is written there."""
        packages = list(packages)
        records = {
            one.file: {
                **one.index,
                "md5": hashlib.md5(one.content, usedforsecurity=False).hexdigest(),
                "sha256": one.sha256,
                "size": len(one.content),
                "time_modified": 1714979289,
            }
            for one in packages
        }
        document = {"info": {"subdir": packages[0].subdir}, "packages": {}, "packages.conda": {}}
        for name, record in records.items():
            section = "packages.conda" if name.endswith(".conda") else "packages"
            document[section][name] = record
        text = json.dumps({**document, "repodata_version": 1}, indent=2).encode()
        folder = self.folder / "channels" / channel / packages[0].subdir
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "repodata.json").write_bytes(text)
        (folder / "repodata.json.bz2").write_bytes(bz2.compress(text))
