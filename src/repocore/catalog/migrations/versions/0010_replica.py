"""What replicas know an installation by, and how far it has followed another one.

Revision: 0010, after 0009.
"""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None
# A table that the version before has no need of.
compatible_from = "0008"


def upgrade() -> None:
    """Add the table, with its one row."""
    name = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    made = op.create_table(
        "replication",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("era", name, nullable=False),
        sa.Column("state", sa.Text(), nullable=False, server_default="{}"),
        sa.Column("promoted_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id"),
    )
    op.bulk_insert(made, [{"id": 1, "era": secrets.token_hex(16)}])
