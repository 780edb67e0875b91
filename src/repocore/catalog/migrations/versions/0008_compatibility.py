"""Which versions of repocore may use the tables.

Revision: 0008, after 0007.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None
# Older code does not read this note, and so the question is not asked of it.
compatible_from = "0008"


def upgrade() -> None:
    """Add the note, in one row."""
    made = op.create_table(
        "compatibility",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("compatible_from", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.bulk_insert(made, [{"id": 1, "compatible_from": compatible_from}])
