"""What people write for a secret, a length of time and a size."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Any, Final

import attrs

__all__ = [
    "Secret",
    "Spelled",
    "Table",
    "parse_duration",
    "parse_size",
    "write_duration",
    "write_size",
]


class Secret(str):
    """A text that came from the environment or a file of its own, and is not shown by ``repr``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret('***')"


@attrs.frozen
class Spelled:
    """A number or truth value of the environment: what TOML reads in it, and how it is spelled.

    Where a setting is a text, ``REPOCORE__…=42`` means the text ``42``.
    """

    value: Any
    text: str


class Table(dict[str, Any]):
    """A plugin's table, and the folder which the paths in it are relative to."""

    folder: str | None = None


_SECONDS: Final = {
    "ms": 0.001,
    "s": 1,
    "min": 60,
    "m": 60,
    "h": 3600,
    "d": 86400,
    "w": 604800,
}
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d|w)\s*")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kMGTP]?)(i?)B?\s*", re.IGNORECASE)
_POWERS: Final = " KMGTP"


def parse_duration(written: float | str) -> timedelta:
    """Read ``"24h"``, ``"1h 30m"``, ``"7d"`` or a number of seconds; raises `ValueError`."""
    message = 'expected a length of time such as "30s", "24h" or "7d"'
    if isinstance(written, str):
        if _NUMBER.fullmatch(written.strip()):
            seconds = float(written)
        elif _DURATION.fullmatch(written):
            parts = _PART.findall(written)
            seconds = math.fsum(float(number) * _SECONDS[unit] for number, unit in parts)
        else:
            raise ValueError(message)
    else:
        seconds = written
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(message)
    try:
        return timedelta(seconds=seconds)
    except OverflowError:
        raise ValueError(message) from None


def parse_size(written: int | str) -> int:
    """Read ``"10 GiB"``, ``"500 MB"`` or a number of bytes; raises `ValueError`."""
    message = 'expected a size such as "10 GiB", "500 MB" or a number of bytes'
    if isinstance(written, int):
        if written < 0:
            raise ValueError(message)
        return written
    match = _SIZE.fullmatch(written)
    if not match or (match[3] and not match[2]):
        raise ValueError(message)
    if not match[2] and "." in match[1]:
        raise ValueError(message)
    power = _POWERS.index(match[2].upper() or " ")
    factor = (1024 if match[3] else 1000) ** power
    whole, _, rest = match[1].partition(".")
    # Floats hold no 16 digits, a size may: the fraction alone is rounded.
    return int(whole) * factor + (int(rest) * factor // 10 ** len(rest) if rest else 0)


def write_duration(span: timedelta) -> str:
    """The shortest spelling that `parse_duration` reads as the same length."""
    microseconds = span // timedelta(microseconds=1)
    for unit in ("w", "d", "h", "m", "s"):
        step = _SECONDS[unit] * 1_000_000
        if microseconds and microseconds % step == 0:
            return f"{microseconds // step:.0f}{unit}"
    return f"{microseconds // 1_000_000}.{microseconds % 1_000_000:06}s" if microseconds else "0s"


def write_size(size: int) -> str:
    """The shortest spelling that `parse_size` reads as the same size, to people's taste."""
    for power in range(5, 0, -1):
        if size and size % 1024**power == 0:
            return f"{size // 1024**power} {_POWERS[power]}iB"
    return f"{size} B"
