"""Objects that are damaged, how far what goes round has come, and leases.

Revision: 0007, after 0006.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def _name() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the columns and the tables; the version before needs to know of neither."""
    op.add_column("blobs", sa.Column("damaged_at", sa.BigInteger()))
    op.add_column("blobs", sa.Column("damaged", _name()))
    damaged = sa.text("damaged_at IS NOT NULL")
    op.create_index(
        "blobs_damaged", "blobs", ["damaged_at"], sqlite_where=damaged, postgresql_where=damaged
    )
    op.create_table(
        "rounds",
        sa.Column("name", _name(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "leases",
        sa.Column("name", _name(), nullable=False),
        sa.Column("holder", _name(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "holder"),
        sqlite_with_rowid=False,
    )
