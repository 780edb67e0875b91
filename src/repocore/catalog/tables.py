"""Every table and index of the catalog.

::

    repositories ─┬─ partitions ─┬─ releases ─┐   extras: more bytes of a release
                  │              └─ generations ── documents: what is derived from releases
                  └─ files ───────────────────┘   files.(partition, release) names a release
                       └── digest → blobs         blobs.(digest, generation) names a stored object
    accounts ─┬─ tokens                           access.version: bumped by every change of
              └─ groups                           repositories, accounts, groups, tokens, rules,
                                                  roles
    rules · roles · bindings · keys · downloads · events · access

Times are whole microseconds since 1970 (UTC) by the database's clock.  A release is a *draft*
while ``released_at`` is null, a *tombstone* once ``removed_at`` is set, *visible* otherwise.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    and_,
    false,
    or_,
    text,
)

__all__ = [
    "METADATA",
    "access",
    "accounts",
    "bindings",
    "blobs",
    "documents",
    "downloads",
    "events",
    "extras",
    "files",
    "generations",
    "groups",
    "job_output",
    "jobs",
    "keys",
    "partitions",
    "releases",
    "repositories",
    "roles",
    "rules",
    "schedules",
    "tokens",
]

METADATA = MetaData()

# Order by bytes on both databases: ranges are how prefixes are asked, and must mean the same.
_Name = Text().with_variant(Text(collation="C"), "postgresql")
# SQLite gives row numbers to INTEGER keys only.
_Id = BigInteger().with_variant(Integer(), "sqlite")

repositories = Table(
    "repositories",
    METADATA,
    Column("id", _Id, primary_key=True),
    Column("format", _Name, nullable=False),
    Column("name", _Name, nullable=False),
    Column("mode", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("private", Boolean, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("options", Text, nullable=False, server_default="{}"),
    # As the bytes, counted only where there is a limit to it.
    Column("file_count", BigInteger, nullable=False, server_default="0"),
    Index("repositories_address", "format", "name", unique=True),
)

partitions = Table(
    "partitions",
    METADATA,
    Column("repository_id", _Id, primary_key=True),
    Column("name", _Name, primary_key=True),
    Column("serial", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

releases = Table(
    "releases",
    METADATA,
    Column("repository_id", _Id, primary_key=True),
    Column("partition", _Name, primary_key=True),
    Column("name", _Name, primary_key=True),
    Column("package", Text, nullable=False),
    Column("package_key", _Name, nullable=False),
    Column("version", Text, nullable=False),
    Column("sort_key", LargeBinary, nullable=False),
    Column("parent", _Name),
    Column("serial", BigInteger, nullable=False),
    Column("touched_at", BigInteger),
    Column("released_at", BigInteger),
    Column("yanked_at", BigInteger),
    Column("removed_at", BigInteger),
    Column("record", LargeBinary, nullable=False),
    Column("section", Text, nullable=False, server_default=""),
    # The partition's serial when it last came, changed or went.
    Column("changed", BigInteger, nullable=False, server_default="0"),
    sqlite_with_rowid=False,
)
_visible = and_(releases.c.released_at.is_not(None), releases.c.removed_at.is_(None))
_listed = and_(_visible, releases.c.yanked_at.is_(None), releases.c.parent.is_(None))
Index("releases_order", releases.c.repository_id, releases.c.partition, releases.c.serial)
Index(
    "releases_package",
    releases.c.repository_id,
    releases.c.package_key,
    releases.c.sort_key,
    releases.c.package,
    releases.c.version,
    sqlite_where=_listed,
    postgresql_where=_listed,
)
Index("releases_changed", releases.c.repository_id, releases.c.partition, releases.c.changed)
_withdrawn = or_(releases.c.removed_at.is_not(None), releases.c.yanked_at.is_not(None))
Index(
    "releases_withdrawn",
    releases.c.repository_id,
    releases.c.partition,
    releases.c.name,
    sqlite_where=_withdrawn,
    postgresql_where=_withdrawn,
)
Index(
    "releases_parent",
    releases.c.repository_id,
    releases.c.parent,
    sqlite_where=releases.c.parent.is_not(None),
    postgresql_where=releases.c.parent.is_not(None),
)
Index(
    "releases_draft",
    releases.c.touched_at,
    sqlite_where=releases.c.released_at.is_(None),
    postgresql_where=releases.c.released_at.is_(None),
)

# Apart from the releases, so that whoever reads all records does not read these, too.
extras = Table(
    "extras",
    METADATA,
    Column("repository_id", _Id, primary_key=True),
    Column("partition", _Name, primary_key=True),
    Column("name", _Name, primary_key=True),
    Column("extra", LargeBinary, nullable=False),
)

generations = Table(
    "generations",
    METADATA,
    Column("repository_id", _Id, primary_key=True),
    Column("partition", _Name, primary_key=True),
    Column("kind", _Name, primary_key=True),
    Column("serial", BigInteger, nullable=False),
    Column("variant", Text, nullable=False),
    Column("made_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# A small document lies in its row, a large one in the storage, where its generation is set.
documents = Table(
    "documents",
    METADATA,
    Column("repository_id", _Id, primary_key=True),
    Column("path", _Name, primary_key=True),
    Column("partition", _Name, nullable=False),
    Column("kind", _Name, nullable=False),
    Column("immutable", Boolean, nullable=False),
    Column("digest", _Name, nullable=False),
    Column("generation", _Name),
    Column("size", BigInteger, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("superseded_at", BigInteger),
    Column("content", LargeBinary),
    Index("documents_kind", "repository_id", "partition", "kind", "immutable"),
)
Index(
    "documents_digest",
    documents.c.digest,
    sqlite_where=documents.c.generation.is_not(None),
    postgresql_where=documents.c.generation.is_not(None),
)
Index(
    "documents_superseded",
    documents.c.superseded_at,
    sqlite_where=documents.c.superseded_at.is_not(None),
    postgresql_where=documents.c.superseded_at.is_not(None),
)

blobs = Table(
    "blobs",
    METADATA,
    Column("digest", _Name, primary_key=True),
    Column("generation", _Name, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha1", _Name, index=True),
    Column("md5", _Name),
    Column("stored_at", BigInteger),
    Column("touched_at", BigInteger, nullable=False),
    Column("deleting", Boolean, nullable=False),
    sqlite_with_rowid=False,
)

files = Table(
    "files",
    METADATA,
    Column("id", _Id, primary_key=True),
    Column("repository_id", _Id, nullable=False),
    Column("path", _Name, nullable=False),
    Column("digest", _Name, nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
    Column("partition", _Name),
    Column("release", _Name),
    Column("media_type", Text, nullable=False),
    Column("mutable", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    Index("files_path", "repository_id", "path", unique=True),
    Index("files_release", "repository_id", "partition", "release"),
)

downloads = Table(
    "downloads",
    METADATA,
    Column("repository_id", _Id, primary_key=True),
    Column("partition", _Name, primary_key=True),
    Column("release", _Name, primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

access = Table(
    "access",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("version", BigInteger, nullable=False),
)

accounts = Table(
    "accounts",
    METADATA,
    Column("id", _Id, primary_key=True),
    Column("name", _Name, nullable=False, unique=True),
    Column("password_hash", Text),
    Column("email", Text, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("service", Boolean, nullable=False, server_default=false()),
)

groups = Table(
    "groups",
    METADATA,
    Column("name", _Name, primary_key=True),
    Column("account_id", _Id, ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    sqlite_with_rowid=False,
)

tokens = Table(
    "tokens",
    METADATA,
    Column("id", _Id, primary_key=True),
    Column("account_id", _Id, ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("prefix", _Name, nullable=False, unique=True),
    Column("secret_hash", Text, nullable=False),
    Column("rules", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("last_used_at", BigInteger),
    Column("revoked_at", BigInteger),
)

rules = Table(
    "rules",
    METADATA,
    Column("id", _Id, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("tier", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("actions", Text, nullable=False),
    Column("pattern", Text, nullable=False),
    Column("effect", Text, nullable=False),
)

roles = Table(
    "roles",
    METADATA,
    Column("name", _Name, primary_key=True),
    Column("actions", Text, nullable=False),
    Column("description", Text, nullable=False),
    sqlite_with_rowid=False,
)

bindings = Table(
    "bindings",
    METADATA,
    Column("id", _Id, primary_key=True),
    Column("subject", _Name, nullable=False),
    Column("role", _Name, nullable=False),
    Column("pattern", _Name, nullable=False),
    UniqueConstraint("subject", "role", "pattern"),
    sqlite_autoincrement=True,
)

keys = Table(
    "keys",
    METADATA,
    Column("id", _Id, primary_key=True),
    Column("purpose", _Name, nullable=False, index=True),
    Column("secret", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("retired_at", BigInteger),
)

events = Table(
    "events",
    METADATA,
    Column("id", _Id, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
)

# ------------------------------------------------------------------------------------------ jobs

jobs = Table(
    "jobs",
    METADATA,
    Column("id", _Id, primary_key=True),
    Column("kind", _Name, nullable=False),
    Column("payload", Text, nullable=False),
    Column("key", _Name),
    Column("state", _Name, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("run_after", BigInteger, nullable=False),
    # Made anew for each claim: who lost a job cannot write to it any more.
    Column("worker", Text),
    Column("heartbeat_at", BigInteger),
    Column("cancelling", Boolean, nullable=False),
    Column("total", BigInteger),
    Column("done", BigInteger, nullable=False),
    Column("message", Text, nullable=False),
    Column("outcome", Text),
    Column("error", Text),
    Column("created_by", _Name, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),
    Column("finished_at", BigInteger),
    Index("jobs_state", "state", "run_after"),
    Index("jobs_created_by", "created_by", "id"),
    # A number that somebody has noted never means another job.
    sqlite_autoincrement=True,
)
Index(
    "jobs_key",
    jobs.c.kind,
    jobs.c.key,
    unique=True,
    sqlite_where=text("state = 'queued'"),
    postgresql_where=text("state = 'queued'"),
)

job_output = Table(
    "job_output",
    METADATA,
    Column("job_id", _Id, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("text", Text, nullable=False),
    sqlite_with_rowid=False,
)

schedules = Table(
    "schedules",
    METADATA,
    Column("name", _Name, primary_key=True),
    Column("rhythm", Text, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
