"""Documents, and what they are made from.

Revision: 0002, after 0001.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _name() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the tables of documents, and the columns that their makers ask for."""
    _widen()
    op.create_table(
        "extras",
        sa.Column("repository_id", _id(), nullable=False),
        sa.Column("partition", _name(), nullable=False),
        sa.Column("name", _name(), nullable=False),
        sa.Column("extra", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("repository_id", "partition", "name"),
    )
    op.create_table(
        "generations",
        sa.Column("repository_id", _id(), nullable=False),
        sa.Column("partition", _name(), nullable=False),
        sa.Column("kind", _name(), nullable=False),
        sa.Column("serial", sa.BigInteger(), nullable=False),
        sa.Column("variant", sa.Text(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("repository_id", "partition", "kind"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "documents",
        sa.Column("repository_id", _id(), nullable=False),
        sa.Column("path", _name(), nullable=False),
        sa.Column("partition", _name(), nullable=False),
        sa.Column("kind", _name(), nullable=False),
        sa.Column("immutable", sa.Boolean(), nullable=False),
        sa.Column("digest", _name(), nullable=False),
        sa.Column("generation", _name(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("superseded_at", sa.BigInteger(), nullable=True),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("repository_id", "path"),
    )
    _index()


def _widen() -> None:
    op.add_column(
        "repositories", sa.Column("options", sa.Text(), nullable=False, server_default="{}")
    )
    op.add_column("releases", sa.Column("section", sa.Text(), nullable=False, server_default=""))
    op.add_column(
        "releases", sa.Column("changed", sa.BigInteger(), nullable=False, server_default="0")
    )
    op.execute(sa.text("UPDATE releases SET changed = serial"))
    op.create_index("releases_changed", "releases", ["repository_id", "partition", "changed"])
    withdrawn = sa.text("removed_at IS NOT NULL OR yanked_at IS NOT NULL")
    op.create_index(
        "releases_withdrawn",
        "releases",
        ["repository_id", "partition", "name"],
        sqlite_where=withdrawn,
        postgresql_where=withdrawn,
    )


def _index() -> None:
    op.create_index(
        "documents_kind", "documents", ["repository_id", "partition", "kind", "immutable"]
    )
    for name, column, where in (
        ("documents_digest", "digest", sa.text("generation IS NOT NULL")),
        ("documents_superseded", "superseded_at", sa.text("superseded_at IS NOT NULL")),
    ):
        op.create_index(name, "documents", [column], sqlite_where=where, postgresql_where=where)
