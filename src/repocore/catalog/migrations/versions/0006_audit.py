"""What was done and by whom, identities of other providers, failed attempts, and what is spent.

Revision: 0006, after 0005.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def _name() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the tables and the columns."""
    for name in ("rules", "repositories"):
        column = sa.Column(name, sa.BigInteger(), nullable=False, server_default="0")
        op.add_column("access", column)
    _add_signing_in()
    _add_audit()
    if op.get_bind().dialect.name == "sqlite":
        # Records name tokens by their number: one that is gone is never given again.
        numbered = {"sqlite_autoincrement": True}
        with op.batch_alter_table("tokens", recreate="always", table_kwargs=numbered):
            pass


def _add_signing_in() -> None:
    op.create_table(
        "identities",
        sa.Column("provider", _name(), nullable=False),
        sa.Column("subject", _name(), nullable=False),
        sa.Column("account_id", _id(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("provider", "subject"),
        sqlite_with_rowid=False,
    )
    op.create_index("identities_account", "identities", ["account_id"])
    op.create_table(
        "spent",
        sa.Column("purpose", _name(), nullable=False),
        sa.Column("value", _name(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("purpose", "value"),
        sqlite_with_rowid=False,
    )
    op.create_index("spent_until", "spent", ["until"])
    op.create_table(
        "attempts",
        sa.Column("key", _name(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("blocked_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
        sqlite_with_rowid=False,
    )
    op.create_index("attempts_last", "attempts", ["last_at"])


def _add_audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", _id(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("who", _name(), nullable=False),
        sa.Column("via", sa.Text(), nullable=False),
        sa.Column("token_id", _id()),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("kind", _name(), nullable=False),
        sa.Column("what", _name(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("before", sa.Text()),
        sa.Column("after", sa.Text()),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("audit_who", "audit", ["who", "id"])
    op.create_index("audit_what", "audit", ["what", "id"])
    op.create_table(
        "seals",
        sa.Column("last", _id(), nullable=False),
        sa.Column("first", _id(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.Text(), nullable=False),
        sa.Column("sealed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("last"),
        sqlite_with_rowid=False,
    )
