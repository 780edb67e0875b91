"""Roles, who holds them and where, and which accounts are those of machines.

Revision: 0005, after 0004.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def _name() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the tables and the column."""
    op.create_table(
        "roles",
        sa.Column("name", _name(), nullable=False),
        sa.Column("actions", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "bindings",
        sa.Column("id", _id(), nullable=False),
        sa.Column("subject", _name(), nullable=False),
        sa.Column("role", _name(), nullable=False),
        sa.Column("pattern", _name(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("subject", "role", "pattern"),
        sqlite_autoincrement=True,
    )
    service = sa.Column("service", sa.Boolean(), nullable=False, server_default=sa.false())
    op.add_column("accounts", service)
