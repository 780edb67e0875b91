"""Repositories, releases, files, documents, and the blobs that they name."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    and_,
    or_,
)

from repocore.catalog.tables.names import METADATA, Id, Name

__all__ = [
    "blobs",
    "documents",
    "downloads",
    "extras",
    "files",
    "generations",
    "partitions",
    "releases",
    "repositories",
]

repositories = Table(
    "repositories",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("format", Name, nullable=False),
    Column("name", Name, nullable=False),
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
    Column("repository_id", Id, primary_key=True),
    Column("name", Name, primary_key=True),
    Column("serial", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

releases = Table(
    "releases",
    METADATA,
    Column("repository_id", Id, primary_key=True),
    Column("partition", Name, primary_key=True),
    Column("name", Name, primary_key=True),
    Column("package", Text, nullable=False),
    Column("package_key", Name, nullable=False),
    Column("version", Text, nullable=False),
    Column("sort_key", LargeBinary, nullable=False),
    Column("parent", Name),
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
    Column("repository_id", Id, primary_key=True),
    Column("partition", Name, primary_key=True),
    Column("name", Name, primary_key=True),
    Column("extra", LargeBinary, nullable=False),
)

generations = Table(
    "generations",
    METADATA,
    Column("repository_id", Id, primary_key=True),
    Column("partition", Name, primary_key=True),
    Column("kind", Name, primary_key=True),
    Column("serial", BigInteger, nullable=False),
    Column("variant", Text, nullable=False),
    Column("made_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# A small document lies in its row, a large one in the storage, where its generation is set.
documents = Table(
    "documents",
    METADATA,
    Column("repository_id", Id, primary_key=True),
    Column("path", Name, primary_key=True),
    Column("partition", Name, nullable=False),
    Column("kind", Name, nullable=False),
    Column("immutable", Boolean, nullable=False),
    Column("digest", Name, nullable=False),
    Column("generation", Name),
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
    Column("digest", Name, primary_key=True),
    Column("generation", Name, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha1", Name, index=True),
    Column("md5", Name),
    Column("stored_at", BigInteger),
    Column("touched_at", BigInteger, nullable=False),
    Column("deleting", Boolean, nullable=False),
    # When the object of the generation before this one, ``damaged``, was found to be damaged.
    Column("damaged_at", BigInteger),
    Column("damaged", Name),
    sqlite_with_rowid=False,
)
Index(
    "blobs_damaged",
    blobs.c.damaged_at,
    sqlite_where=blobs.c.damaged_at.is_not(None),
    postgresql_where=blobs.c.damaged_at.is_not(None),
)

files = Table(
    "files",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("repository_id", Id, nullable=False),
    Column("path", Name, nullable=False),
    Column("digest", Name, nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
    Column("partition", Name),
    Column("release", Name),
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
    Column("repository_id", Id, primary_key=True),
    Column("partition", Name, primary_key=True),
    Column("release", Name, primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
