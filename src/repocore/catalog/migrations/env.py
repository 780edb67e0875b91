"""What Alembic runs: our tables, on the connection that `run.upgrade` hands over."""

from __future__ import annotations

from alembic import context

from repocore.catalog.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
