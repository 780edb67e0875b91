"""Which jobs another queue runs.

Revision: 0009, after 0008.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None
# Older code takes any job that is queued; the task finds it taken, or done, and lets it be.
compatible_from = "0008"

_UNHANDED = "NOT handed AND (state IN ('queued', 'running') OR task IS NOT NULL)"


def upgrade() -> None:
    """Add two columns with defaults, and an index of the few rows that are to be handed over."""
    op.add_column("jobs", sa.Column("task", sa.BigInteger()))
    handed = sa.Column("handed", sa.Boolean(), nullable=False, server_default=sa.false())
    op.add_column("jobs", handed)
    op.create_index(
        "jobs_unhanded",
        "jobs",
        ["id"],
        sqlite_where=sa.text(_UNHANDED),
        postgresql_where=sa.text(_UNHANDED),
    )
