"""What a package may be, so that reading one never costs more than its sender paid for it."""

from __future__ import annotations

import attrs

from repocore.config import says

__all__ = ["ArchiveLimits"]

_KIB = 1024
_MIB = 1024 * _KIB
_GIB = 1024 * _MIB


def _positive(value: int) -> None:
    if value <= 0:
        raise ValueError("must be more than nothing")


def _limit(default: int, description: str) -> int:
    return attrs.field(
        default=default,
        validator=attrs.validators.gt(0),
        metadata=says(description, check=_positive),
    )


@attrs.frozen(kw_only=True)
class ArchiveLimits:
    """Bounds of one package; the largest that are known to be published stay far below each.

    Sizes are in bytes.  A package is unpacked to nowhere: its bytes are counted as they go by.
    """

    unpacked: int = _limit(32 * _GIB, "Bytes of a package once it is unpacked.")
    ratio: int = _limit(200, "Bytes that one byte of a package may unpack to, on the average.")
    allowance: int = _limit(64 * _MIB, "Bytes that a package may unpack to whatever the ratio.")
    members: int = _limit(500_000, "Files, links and folders in a package.")
    free_members: int = _limit(50_000, "Members that a package may have however small it is.")
    member_bytes: int = _limit(16, "Bytes of a package for each member that it has besides.")
    window: int = _limit(128 * _MIB, "Memory that a package may ask for to be decompressed.")
    streams: int = _limit(
        1, "Compressed streams in a row: some clients read no further than the first."
    )
    path: int = _limit(1024, "Bytes of a path in a package, or of what a link points to.")
    depth: int = _limit(100, "Folders in a path.")
    header: int = _limit(_MIB, "Bytes of what describes one member besides its path.")
    document: int = _limit(4 * _MIB, "Bytes of a file of info/ that is read.")
    listing: int = _limit(256 * _MIB, "Bytes of info/paths.json.")
    nesting: int = _limit(32, "Depth of JSON.")
