"""The record of a package, in the forms that documents splice.

It is made once, when the package comes.  What a server alone knows of a package later, the time at
which it was indexed (CEP 47), is appended whenever a document is made, and is never stored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, Self, cast

import attrs
import msgpack

from repocore.model import Checksums

__all__ = [
    "ATTESTATIONS",
    "SERVERS_FIELDS",
    "STAMP",
    "Extra",
    "canonical",
    "pack_shard",
    "record_of",
    "splice_json",
    "splice_shard",
]

#: The field of a record with the time at which a server indexed it, in milliseconds (CEP 47).
STAMP: Final = "indexed_timestamp"

#: The field of a record with the sha256 of the package's attestations.
ATTESTATIONS: Final = "attestations_sha256"

#: What a record has from its server, or not at all, whatever the package says: where it lies, when
#: it came, what was found out about it.
SERVERS_FIELDS: Final = frozenset(
    {
        ATTESTATIONS,
        "channel",
        "fn",
        "legacy_bz2_md5",
        "legacy_bz2_size",
        "md5",
        "revoked",
        "run_exports",
        "sha256",
        "signatures",
        "size",
        "url",
        STAMP,
    }
)

# What ``subdir`` says better, and what is of the machine that built the package: conda-index
# leaves the same out.
_LEFT_OUT: Final = SERVERS_FIELDS | {
    "arch",
    "binstar",
    "has_prefix",
    "machine",
    "mtime",
    "operatingsystem",
    "platform",
    "repodata_revision",
    "requires_features",
    "target-triplet",
    "ucs",
}

_DIGESTS: Final = (ATTESTATIONS, "md5", "sha256")
_MICROSECONDS: Final = 1000
_STAMP_KEY: Final = bytes((0xA0 | len(STAMP),)) + STAMP.encode()  # msgpack: a string of < 32 bytes
# A key and the shortest value, which make the header count what is spliced in their place.
_PLACE: Final = len(_STAMP_KEY) + 1
_STAMPED: Final = _STAMP_KEY + b"\xcf"  # msgpack: an unsigned integer of 8 bytes follows
_NESTED: Final = (dict, list)


def _pack(value: object) -> bytes:
    # One packer for each text: they are not shared between threads.
    return cast("Any", msgpack).packb(value)


def canonical(value: object) -> bytes:
    """The one JSON text of a value: keys in order, no spaces, UTF-8 as it is.

    Raises ValueError for what JSON has no word for: NaN, infinities, half a surrogate pair.
    """
    return json.dumps(
        value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
    ).encode()


def record_of(index: Mapping[str, Any], checksums: Checksums, size: int) -> dict[str, Any]:
    """The repodata record (CEP 36) of a package with that ``info/index.json`` and those bytes.

    ``size`` is in bytes.  What is the server's to say (`SERVERS_FIELDS`) is not taken from the
    package, nor is what no client asks of a record (``arch``, ``platform`` and their like).
    """
    record = {key: value for key, value in index.items() if key not in _LEFT_OUT}
    if checksums.md5 is not None:
        record["md5"] = checksums.md5
    record["sha256"] = checksums.sha256
    record["size"] = size
    return record


def pack_shard(record: Mapping[str, Any], run_exports: Mapping[str, Any] | None) -> bytes:
    """The record as a shard has it (CEP 16, 21), for `splice_shard`: one entry is still missing.

    It is a msgpack map in the order of its keys, with digests as bytes.  ``run_exports`` is empty
    for a package that has none, and None where nobody knows.  Raises ValueError or OverflowError
    for what msgpack has no form for.
    """
    entries = dict(record)
    entries.pop(STAMP, None)
    for name in _DIGESTS:
        if name in entries:
            entries[name] = bytes.fromhex(entries[name])
    if run_exports is not None:
        entries["run_exports"] = run_exports
    ordered = _ordered(entries)
    ordered[STAMP] = None
    return _pack(ordered)[:-_PLACE]


def _ordered(entries: Mapping[str, Any]) -> dict[str, Any]:
    """The entries with the keys of all objects in order, so that equal ones are equal bytes."""
    return {
        key: _ordered_value(value) if type(value) in _NESTED else value
        for key, value in sorted(entries.items())
    }


def _ordered_value(value: Any) -> Any:
    if isinstance(value, dict):
        return _ordered(cast("dict[str, Any]", value))
    items = cast("list[Any]", value)
    return [_ordered_value(item) if type(item) in _NESTED else item for item in items]


def splice_json(record: bytes, released_at: int) -> bytes:
    """The record, a canonical JSON object, with its stamp as the last field.

    ``released_at`` is in microseconds since 1970; the stamp is in milliseconds.
    """
    comma = b"" if record == b"{}" else b","
    return b'%b%b"indexed_timestamp":%d}' % (record[:-1], comma, released_at // _MICROSECONDS)


def splice_shard(shard: bytes, released_at: int) -> bytes:
    """What `pack_shard` made, with the entry that it lacks; units as for `splice_json`."""
    return shard + _STAMPED + (released_at // _MICROSECONDS).to_bytes(8)


@attrs.frozen
class Extra:
    """What documents need of a package besides its record, ready to be spliced.

    ``shard`` is of `pack_shard`; ``run_exports`` (CEP 12) and ``channeldata`` (CEP 38) are
    canonical JSON objects.
    """

    shard: bytes
    run_exports: bytes = b"{}"
    channeldata: bytes = b"{}"

    def pack(self) -> bytes:
        """One text of bytes, that `unpack` reads."""
        return _pack([self.shard, self.run_exports, self.channeldata])

    def known_run_exports(self) -> dict[str, Any] | None:
        """The run exports that the shard has; None where nobody knows them."""
        return cast("Any", msgpack).unpackb(splice_shard(self.shard, 0)).get("run_exports")

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """Read what `pack` wrote; raises ValueError for anything else."""
        try:
            shard, run_exports, channeldata = cast("Any", msgpack).unpackb(packed)
        except (TypeError, ValueError, msgpack.UnpackException) as problem:
            message = "These are not the extra bytes of a conda package."
            raise ValueError(message) from problem
        return cls(shard, run_exports, channeldata)
