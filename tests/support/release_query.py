"""Releases of a conda channel in memory, as an upload leaves them, and documents decoded again."""

from __future__ import annotations

import bz2
import json
from collections.abc import Mapping
from typing import Any

import msgpack
import zstandard
from hypothesis import strategies as st

from repocore.model import Repository
from repocore.plugins.conda.patches import PATCH_FILE, PATCH_PACKAGE, PATCH_SECTION
from repocore.plugins.conda.records import Extra, canonical, pack_shard
from repocore.ports import Listed
from repocore.testing.documents import Documents, MemoryReleases

SECTIONS = {"conda": "packages.conda", "tar.bz2": "packages"}
#: Microseconds; the second package comes a second later.
FIRST = 1_700_000_000_000_000


def channel(**options: Any) -> MemoryReleases:
    """A channel without packages."""
    return MemoryReleases(Repository(format="conda", name="main", options=options))


def released(
    name: str,
    version: str = "1.0",
    build: str = "h0_0",
    *,
    kind: str = "conda",
    at: int = FIRST,
    v3: bool = False,
    run_exports: Mapping[str, Any] | None = None,
    channeldata: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Listed:
    """A release as an upload leaves it; keywords are fields of its record."""
    file = f"{name}-{version}-{build}.{kind}"
    digits = f"{abs(hash_of(file)):064x}"[-64:]
    record = {
        "name": name,
        "version": version,
        "build": build,
        "build_number": 0,
        "depends": [],
        "subdir": "noarch",
        "md5": digits[:32],
        "sha256": digits,
        "size": 1000,
        **fields,
    }
    shard = pack_shard(record, run_exports or {})
    extra = Extra(shard, canonical(run_exports or {}), canonical(channeldata or {}))
    section = f"v3.{kind}" if v3 else SECTIONS[kind]
    return Listed(file, name, version, section, at, canonical(record), extra.pack())


def hash_of(text: str) -> int:
    """A number that stands for a text."""
    return int.from_bytes(text.encode(), "big") % (2**256 - 189)


def patch(instructions: Mapping[str, Any] | bytes, at: int = FIRST) -> Listed:
    """The release of patch instructions."""
    content = instructions if isinstance(instructions, bytes) else canonical(instructions)
    return Listed(PATCH_FILE, PATCH_PACKAGE, "1", PATCH_SECTION, at, b"{}", content)


def stamped(release: Listed) -> dict[str, Any]:
    """The record that every document must show."""
    return {**json.loads(release.record), "indexed_timestamp": release.released_at // 1000}


def decoded(documents: Documents, path: str) -> Any:
    """What a document says, by its encoding."""
    content = {**documents.mutable, **documents.immutable}[path]
    if path.endswith(".zst"):
        content = zstandard.ZstdDecompressor().decompress(content)
    if path.endswith(".bz2"):
        content = bz2.decompress(content)
    return msgpack.unpackb(content) if ".msgpack" in path else json.loads(content)


def shards(documents: Documents, subdir: str = "noarch") -> dict[str, Any]:
    """Every shard that the index names."""
    index = decoded(documents, f"{subdir}/repodata_shards.msgpack.zst")
    return {
        name: decoded(documents, f"{subdir}/shards/{digest.hex()}.msgpack.zst")
        for name, digest in index["shards"].items()
    }


def readable(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record of a shard as repodata has it: digests in hex, and no run exports."""
    found = {key: value for key, value in record.items() if key != "run_exports"}
    return {key: v.hex() if isinstance(v, bytes) else v for key, v in found.items()}


@st.composite
def releases(draw: st.DrawFn, *, patches: bool = True) -> list[Listed]:
    """Releases with names of their own, of few packages; at times with patches among them."""
    found: dict[str, Listed] = {}
    for _ in range(draw(st.integers(0, 8))):
        one = released(
            draw(st.sampled_from(["a", "b", "python", "lib-c"])),
            draw(st.sampled_from(["1.0", "1.1", "2.0a1"])),
            draw(st.sampled_from(["h0_0", "py312_1"])),
            kind=draw(st.sampled_from(["conda", "tar.bz2"])),
            at=FIRST + draw(st.integers(0, 5)) * 700_000,
            v3=draw(st.sampled_from([False, False, True])),
            depends=draw(st.lists(st.sampled_from(["a", "b >=1.1", "python 1.*", "none"]))),
            run_exports=draw(st.sampled_from([None, {"weak": ["a"]}])),
            channeldata=draw(
                st.sampled_from([{}, {"summary": "tides", "timestamp": 9}, {"timestamp": 5}])
            ),
        )
        found[one.name] = one
    if patches and found and draw(st.booleans()):
        named = draw(st.sampled_from(sorted(found)))
        made: dict[str, Any] = {"patch_instructions_version": 2}
        key = "packages.conda" if named.endswith(".conda") else "packages"
        made[key] = {named: {"depends": ["c"], "run_exports": {"strong": ["a"]}}}
        other = draw(st.sampled_from(sorted(found)))
        made[draw(st.sampled_from(["remove", "revoke"]))] = [other]
        found[PATCH_FILE] = patch(made)
    return list(found.values())
