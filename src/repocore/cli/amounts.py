"""Sizes and times as people read them."""

from __future__ import annotations

from datetime import datetime
from typing import Final

__all__ = ["day", "minute", "size"]

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
#: From here on one decimal would be rounded to the next unit's 1.
_NEXT: Final = 1024 - 0.05


def size(count: int) -> str:
    """So many bytes, with one decimal: ``512 B``, ``3.4 MiB``."""
    amount, power = float(count), 0
    while amount >= _NEXT and power < len(_UNITS) - 1:
        amount, power = amount / 1024, power + 1
    return f"{amount:.1f} {_UNITS[power]}" if power else f"{count} B"


def day(time: datetime | None) -> str:
    """The day, in UTC; a dash where there is none."""
    return "-" if time is None else time.date().isoformat()


def minute(time: datetime) -> str:
    """The day and the minute, in UTC."""
    return f"{time:%Y-%m-%d %H:%M}"
