"""Rule-based machines over a whole registry, for whoever brings a storage or a catalog's database."""

from __future__ import annotations

__all__: list[str] = []
