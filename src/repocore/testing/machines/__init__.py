"""Rule-based machines over a whole registry, for those who bring a storage or a database."""

from __future__ import annotations

__all__: list[str] = []
