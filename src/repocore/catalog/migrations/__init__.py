"""The catalog's history, as Alembic revisions."""
