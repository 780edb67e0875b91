"""The metadata and the column types that all tables share."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, MetaData, Text

__all__ = ["METADATA", "Id", "Name"]

METADATA = MetaData()

# Order by bytes on both databases: ranges are how prefixes are asked, and must mean the same.
Name = Text().with_variant(Text(collation="C"), "postgresql")
# SQLite gives row numbers to INTEGER keys only.
Id = BigInteger().with_variant(Integer(), "sqlite")
