"""How many files a repository has, where there is a limit to it.

Revision: 0004, after 0003.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; it is counted from when somebody sets a limit."""
    column = sa.Column("file_count", sa.BigInteger(), nullable=False, server_default="0")
    op.add_column("repositories", column)
