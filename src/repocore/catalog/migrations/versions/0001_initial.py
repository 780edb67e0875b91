"""The first tables.

Revision: 0001, after nothing.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _name() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make every table."""
    op.create_table(
        "access",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "accounts",
        sa.Column("id", _id(), nullable=False),
        sa.Column("name", _name(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "blobs",
        sa.Column("digest", _name(), nullable=False),
        sa.Column("generation", _name(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha1", _name(), nullable=True),
        sa.Column("md5", _name(), nullable=True),
        sa.Column("stored_at", sa.BigInteger(), nullable=True),
        sa.Column("touched_at", sa.BigInteger(), nullable=False),
        sa.Column("deleting", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_blobs_sha1"), "blobs", ["sha1"], unique=False)
    op.create_table(
        "downloads",
        sa.Column("repository_id", _id(), nullable=False),
        sa.Column("partition", _name(), nullable=False),
        sa.Column("release", _name(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("repository_id", "partition", "release", "day"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "events",
        sa.Column("id", _id(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "files",
        sa.Column("id", _id(), nullable=False),
        sa.Column("repository_id", _id(), nullable=False),
        sa.Column("path", _name(), nullable=False),
        sa.Column("digest", _name(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("partition", _name(), nullable=True),
        sa.Column("release", _name(), nullable=True),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("mutable", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("files_path", "files", ["repository_id", "path"], unique=True)
    op.create_index(
        "files_release", "files", ["repository_id", "partition", "release"], unique=False
    )
    op.create_index(op.f("ix_files_digest"), "files", ["digest"], unique=False)
    op.create_table(
        "keys",
        sa.Column("id", _id(), nullable=False),
        sa.Column("purpose", _name(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("retired_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_keys_purpose"), "keys", ["purpose"], unique=False)
    op.create_table(
        "partitions",
        sa.Column("repository_id", _id(), nullable=False),
        sa.Column("name", _name(), nullable=False),
        sa.Column("serial", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("repository_id", "name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "releases",
        sa.Column("repository_id", _id(), nullable=False),
        sa.Column("partition", _name(), nullable=False),
        sa.Column("name", _name(), nullable=False),
        sa.Column("package", sa.Text(), nullable=False),
        sa.Column("package_key", _name(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("sort_key", sa.LargeBinary(), nullable=False),
        sa.Column("parent", _name(), nullable=True),
        sa.Column("serial", sa.BigInteger(), nullable=False),
        sa.Column("touched_at", sa.BigInteger(), nullable=True),
        sa.Column("released_at", sa.BigInteger(), nullable=True),
        sa.Column("yanked_at", sa.BigInteger(), nullable=True),
        sa.Column("removed_at", sa.BigInteger(), nullable=True),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("repository_id", "partition", "name"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "releases_draft",
        "releases",
        ["touched_at"],
        unique=False,
        sqlite_where=sa.text("released_at IS NULL"),
        postgresql_where=sa.text("released_at IS NULL"),
    )
    op.create_index(
        "releases_order", "releases", ["repository_id", "partition", "serial"], unique=False
    )
    op.create_index(
        "releases_package",
        "releases",
        ["repository_id", "package_key", "sort_key", "package", "version"],
        unique=False,
        sqlite_where=sa.text(
            "released_at IS NOT NULL AND removed_at IS NULL"
            " AND yanked_at IS NULL AND parent IS NULL"
        ),
        postgresql_where=sa.text(
            "released_at IS NOT NULL AND removed_at IS NULL"
            " AND yanked_at IS NULL AND parent IS NULL"
        ),
    )
    op.create_index(
        "releases_parent",
        "releases",
        ["repository_id", "parent"],
        unique=False,
        sqlite_where=sa.text("parent IS NOT NULL"),
        postgresql_where=sa.text("parent IS NOT NULL"),
    )
    op.create_table(
        "repositories",
        sa.Column("id", _id(), nullable=False),
        sa.Column("format", _name(), nullable=False),
        sa.Column("name", _name(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("private", sa.Boolean(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("repositories_address", "repositories", ["format", "name"], unique=True)
    op.create_table(
        "rules",
        sa.Column("id", _id(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("actions", sa.Text(), nullable=False),
        sa.Column("pattern", sa.Text(), nullable=False),
        sa.Column("effect", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "groups",
        sa.Column("name", _name(), nullable=False),
        sa.Column("account_id", _id(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("name", "account_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tokens",
        sa.Column("id", _id(), nullable=False),
        sa.Column("account_id", _id(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("prefix", _name(), nullable=False),
        sa.Column("secret_hash", sa.Text(), nullable=False),
        sa.Column("rules", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("prefix"),
    )
    op.execute("INSERT INTO access (id, version) VALUES (1, 1)")
