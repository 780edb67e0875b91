"""The relational record of what is stored, and who may touch it; all the SQL of the house.

`Catalog` opens the database and its transactions; the modules beside it hold the queries, one
noun each.
"""

from __future__ import annotations

from repocore.catalog.catalog import Catalog
from repocore.catalog.hot import Hot
from repocore.catalog.transactions import Transaction

__all__ = ["Catalog", "Hot", "Transaction"]
