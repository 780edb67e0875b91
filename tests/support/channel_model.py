"""What a conda channel has to say after a history: dicts and conda's rules, and none of our code.

`Channel` takes the same verbs as a server, tells which status they deserve, and writes every
document as the CEPs and conda-index have it.  A stamp (CEP 47) is the server's to choose, within
the time of the upload, and has to stay; so it is learned where it is seen first.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import attrs
from channel_pool import Packaged

PATCHES = "patch_instructions.json"
SUBDIRS = ("linux-64", "noarch")
OLD, NEW = ".tar.bz2", ".conda"
STAMP = "indexed_timestamp"
FLAGS = (
    "activate.d", "binary_prefix", "deactivate.d", "post_link", "pre_link", "pre_unlink",
    "text_prefix",
)  # fmt: skip

Key = tuple[str, str]
Span = tuple[int, int]


@attrs.define
class Held:
    """What a channel has under one name: a package, or the patches of a subdir."""

    content: bytes
    #: Milliseconds within which the server has taken it.
    span: Span
    package: Packaged | None = None
    yanked: bool = False
    stamp: int | None = None


@attrs.define
class Shown:
    """A package as documents have it, after patches."""

    held: Held
    record: dict[str, Any]
    #: None: nobody knows.
    run_exports: dict[str, Any] | None
    removed: bool = False
    patched_license: tuple[Any, ...] = ()

    @property
    def package(self) -> Packaged:
        assert self.held.package is not None
        return self.held.package

    @property
    def stamp(self) -> int:
        assert self.held.stamp is not None
        return self.held.stamp


@attrs.define
class Channel:
    """A channel and its history; ``overwrite``: whether what is published can be replaced."""

    name: str
    overwrite: bool
    held: dict[Key, Held] = attrs.field(factory=dict)
    #: What was deleted, and is not there again.
    gone: set[Key] = attrs.field(factory=set)
    #: Subdirs that had something once.
    born: set[str] = attrs.field(factory=set)

    # ------------------------------------------------------------------------------- the verbs

    def upload(self, package: Packaged, span: Span, *, force: bool = False) -> int:
        return self._put((package.subdir, package.file), package.content, package, span, force)

    def patch(self, subdir: str, content: bytes, span: Span) -> int:
        return self._put((subdir, PATCHES), content, None, span, True)

    def _put(
        self, key: Key, content: bytes, package: Packaged | None, span: Span, force: bool
    ) -> int:
        found = self.held.get(key)
        if found is not None and found.content == content:
            return 409 if found.yanked else 201
        if found is not None and package is not None and not (force and self.overwrite):
            return 409
        # Listed, though what it replaces was yanked: the next index has what was uploaded.
        self.held[key] = Held(content, span, package)
        self.gone.discard(key)
        self.born.add(key[0])
        return 201

    def yank(self, keys: Iterable[Key], *, to: bool) -> int:
        wanted = set(keys)
        if not wanted <= self.held.keys():
            return 404
        for key in wanted:
            self.held[key].yanked = to
        return 200

    def delete(self, keys: Iterable[Key]) -> int:
        wanted = set(keys)
        if not wanted <= self.held.keys():
            return 404
        for key in wanted:
            del self.held[key]
            self.gone.add(key)
        return 200

    def copy_to(self, target: Channel, keys: Iterable[Key], span: Span) -> int:
        wanted = sorted(set(keys))
        if not set(wanted) <= self.held.keys():
            return 404
        if any(self.held[key].yanked for key in wanted):
            return 422
        for key in wanted:
            there, mine = target.held.get(key), self.held[key]
            if there is not None and there.content == mine.content and there.yanked:
                return 409
            kept = mine.package is not None and not target.overwrite
            if there is not None and there.content != mine.content and kept:
                return 409
        for key in wanted:
            mine = self.held[key]
            target._put(key, mine.content, mine.package, span, True)
        return 200

    # ------------------------------------------------------------------------------- documents

    def exists(self, subdir: str) -> bool:
        """Whether there are documents of the subdir; ``noarch`` has them from the beginning."""
        return subdir in self.born or subdir == "noarch"

    def _listed(self, subdir: str) -> dict[str, Held]:
        return {
            name: held
            for (where, name), held in sorted(self.held.items())
            if where == subdir and held.package is not None and not held.yanked
        }

    def learn(self, subdir: str, stamps: Mapping[str, int]) -> None:
        """Take over the stamps that were not known yet, if they can be true."""
        for name, held in self._listed(subdir).items():
            if held.stamp is None and name in stamps:
                earliest, latest = held.span
                assert earliest <= stamps[name] <= latest, (name, held.span, stamps[name])
                held.stamp = stamps[name]

    def _withdrawn(self, subdir: str) -> list[str]:
        yanked = {key for key, held in self.held.items() if held.yanked}
        return sorted(n for where, n in self.gone | yanked if where == subdir and n != PATCHES)

    def _instructions(self, subdir: str) -> dict[str, Any]:
        held = self.held.get((subdir, PATCHES))
        return {} if held is None or held.yanked else json.loads(held.content)

    def _shown(self, subdir: str, *, patched: bool = True) -> dict[str, Shown]:
        """The listed packages, by file name, after patches."""
        found: dict[str, Shown] = {}
        for name, held in self._listed(subdir).items():
            assert held.package is not None
            record = {k: v for k, v in held.package.index.items() if k not in {"arch", "platform"}}
            content = held.content
            record["md5"] = hashlib.md5(content, usedforsecurity=False).hexdigest()
            record["sha256"] = hashlib.sha256(content).hexdigest()
            record["size"] = len(content)
            found[name] = Shown(held, record, dict(held.package.run_exports))
        if patched:
            _apply(self._instructions(subdir), found)
        return found

    def repodata(self, subdir: str, *, patched: bool = True) -> dict[str, Any]:
        shown = self._shown(subdir, patched=patched)
        removed = {name for name, one in shown.items() if one.removed}
        return self._repodata(subdir, shown, removed)

    def _repodata(
        self, subdir: str, shown: Mapping[str, Shown], removed: Iterable[str]
    ) -> dict[str, Any]:
        kept = {name: one for name, one in shown.items() if not one.removed}
        info: dict[str, Any] = {"subdir": subdir}
        document: dict[str, Any] = {
            "info": info,
            "removed": sorted({*self._withdrawn(subdir), *removed}),
            "repodata_version": 1,
            **_sections(kept, lambda one: {**one.record, STAMP: one.stamp}),
        }
        if "v3" in document:
            info["repodata_revisions"] = {"v3": _revision(kept)}
        return document

    def current(self, subdir: str) -> dict[str, Any]:
        """The newest of each name, and the best of what that needs and does not find there."""
        shown = self._shown(subdir)
        kept = {name: one for name, one in shown.items() if not one.removed}
        # Of twins the newer kind, which tells the other's digest.
        newer = {n.removesuffix(NEW) for n in kept if n.endswith(NEW)}
        able = {n: o for n, o in kept.items() if n.removesuffix(OLD) not in newer}
        able = {n: o for n, o in able.items() if not _is_v3(o)}
        chosen = dict(_newest(able))
        for spec in sorted({d for one in chosen.values() for d in one.record["depends"]}):
            if not any(_fits(one.record, spec) for one in _newest(able).values()):
                fitting = [one for one in able.values() if _fits(one.record, spec)]
                best = max((_version(one) for one in fitting), default=None)
                name = spec.split()[0]
                chosen |= {
                    n: o
                    for n, o in able.items()
                    if o.record["name"] == name and _version(o) == best
                }
        found: dict[str, Shown] = {}
        for name, one in chosen.items():
            record = dict(one.record)
            if name.endswith(NEW):
                twin = kept.get(name.removesuffix(NEW) + OLD)
                record["legacy_bz2_md5"] = None if twin is None else twin.record["md5"]
            found[name] = attrs.evolve(one, record=record)
        found |= {name: one for name, one in kept.items() if _is_v3(one)}
        return self._repodata(subdir, found, [n for n, o in shown.items() if o.removed])

    def run_exports(self, subdir: str) -> dict[str, Any]:
        """Of every package, whatever patches remove (CEP 12), as version 2 changes it (CEP 21)."""
        document: dict[str, Any] = {"packages": {}, "packages.conda": {}}
        for name, one in self._shown(subdir).items():
            section = "packages.conda" if name.endswith(NEW) else "packages"
            document[section][name] = {"run_exports": one.run_exports or {}}
        return {"info": {"subdir": subdir, "version": 1}, **document}

    def shards(self, subdir: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """The index but for its digests, and the shards by name."""
        shown = self._shown(subdir)
        kept = {name: one for name, one in shown.items() if not one.removed}
        removed = {*self._withdrawn(subdir), *(n for n, o in shown.items() if o.removed)}
        shards: dict[str, dict[str, Any]] = {}
        for package in {one.record["name"] for one in kept.values()}:
            mine = {n: o for n, o in kept.items() if o.record["name"] == package}
            shard = _sections(mine, _sharded)
            if "v3" in shard:
                shard["info"] = {"repodata_revisions": {"v3": _revision(mine)}}
            own = sorted(name for name in removed if name.rsplit("-", 2)[0] == package)
            if own:
                shard["removed"] = own
            shards[package] = shard
        newest = max((one.stamp for one in kept.values()), default=0) // 1000
        info = {
            "base_url": "",
            "created_at": f"{datetime.fromtimestamp(newest, UTC):%Y-%m-%dT%H:%M:%SZ}",
            "shards_base_url": "./shards/",
            "subdir": subdir,
        }
        return {"info": info, "version": 1}, shards

    def channeldata(self) -> dict[str, Any]:
        """Of each version in a subdir the newest build speaks; the newest version has the word."""
        voices: dict[str, list[Shown]] = {}
        subdirs = {"noarch"}
        for subdir in SUBDIRS:
            kept = [one for one in self._shown(subdir).values() if not one.removed]
            subdirs |= {subdir} if kept else set()
            for one in _loudest(kept):
                voices.setdefault(one.record["name"], []).append(one)
        packages = {name: _described(sorted(some, key=_voice)) for name, some in voices.items()}
        return {"channeldata_version": 1, "packages": packages, "subdirs": sorted(subdirs)}


# ------------------------------------------------------------------------------------ conda's rules


def _is_v3(one: Shown) -> bool:
    return one.package.index.get("schema_version", 1) >= 3


def _revision(kept: Mapping[str, Shown]) -> dict[str, int]:
    stamps = [one.stamp for one in kept.values() if _is_v3(one)]
    return {"n_packages": len(stamps), "oldest": min(stamps), "newest": max(stamps)}


def _sections(kept: Mapping[str, Shown], written: Any) -> dict[str, Any]:
    document: dict[str, Any] = {"packages": {}, "packages.conda": {}}
    for name, one in kept.items():
        newer = name.endswith(NEW)
        if _is_v3(one):
            maps = document.setdefault("v3", {"conda": {}, "tar.bz2": {}})
            stem = name.removesuffix(NEW).removesuffix(OLD)
            maps["conda" if newer else "tar.bz2"][stem] = written(one)
        else:
            document["packages.conda" if newer else "packages"][name] = written(one)
    return document


def _sharded(one: Shown) -> dict[str, Any]:
    record = {**one.record, STAMP: one.stamp}
    for field in ("md5", "sha256"):
        record[field] = bytes.fromhex(record[field])
    return record if one.run_exports is None else {**record, "run_exports": one.run_exports}


def _apply(instructions: Mapping[str, Any], shown: dict[str, Shown]) -> None:
    """In the order of conda-index; what is said of the older kind is meant of its twin, too."""
    for name, fields in instructions.get("packages", {}).items():
        for meant in _both(name):
            _set(shown.get(meant), fields)
    for name, fields in instructions.get("packages.conda", {}).items():
        _set(shown.get(name), fields)
    # Once, even if both kinds are named.
    for name in shown.keys() & _all_of(instructions.get("revoke", ())):
        record = shown[name].record
        record["revoked"] = True
        record["depends"] = [*record.get("depends", []), "package_has_been_revoked"]
    for name in shown.keys() & _all_of(instructions.get("remove", ())):
        shown[name].removed = True


def _all_of(names: Iterable[str]) -> set[str]:
    return {meant for name in names for meant in _both(name)}


def _both(name: str) -> Iterator[str]:
    yield name
    if name.endswith(OLD):
        yield name.removesuffix(OLD) + NEW


def _set(one: Shown | None, fields: Mapping[str, Any]) -> None:
    if one is None:
        return
    for field, value in fields.items():
        if field == "run_exports":
            one.run_exports = value
        elif value is None:
            one.record.pop(field, None)
        else:
            one.record[field] = value
        if field == "license":
            one.patched_license = (value,)


def _version(one: Shown) -> tuple[int, ...]:
    """The pool's versions are numbers and dots."""
    return _numbers(one.record["version"])


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _newest(able: Mapping[str, Shown]) -> dict[str, Shown]:
    best: dict[str, tuple[int, ...]] = {}
    for one in able.values():
        name = one.record["name"]
        best[name] = max(best.get(name, ()), _version(one))
    return {n: o for n, o in able.items() if _version(o) == best[o.record["name"]]}


def _fits(record: Mapping[str, Any], spec: str) -> bool:
    """The specs of the pool: a name, and after it nothing, ``>=``, ``<``, or ``1.1.*``."""
    name, _, bound = spec.partition(" ")
    version = _numbers(record["version"])
    if record["name"] != name:
        return False
    if bound.startswith(">="):
        return version >= _numbers(bound[2:])
    if bound.startswith("<"):
        return version < _numbers(bound[1:])
    if bound.endswith(".*"):
        wanted = _numbers(bound[:-2])
        return version[: len(wanted)] == wanted
    return not bound


def _voice(one: Shown) -> tuple[Any, ...]:
    package = one.package
    newer = package.file.endswith(NEW)
    return _version(one), package.index["timestamp"], package.subdir, newer, package.file


def _loudest(kept: Sequence[Shown]) -> Iterable[Shown]:
    found: dict[tuple[str, str], Shown] = {}
    for one in sorted(kept, key=_voice):
        found[one.record["name"], one.record["version"]] = one
    return found.values()


def _described(voices: Sequence[Shown]) -> dict[str, Any]:
    """What channeldata.json (CEP 38) says of a name; the voices are in order, the newest last."""
    entry: dict[str, Any] = dict.fromkeys(FLAGS, False)
    run_exports: dict[str, Any] = {}
    for one in voices:
        package = one.package
        license_ = package.about.get("license") or package.index.get("license")
        about = {**package.about, "license": license_}
        if one.patched_license:
            about["license"] = one.patched_license[0]
        entry |= {name: value for name, value in about.items() if value}
        entry |= dict.fromkeys(package.facts, True)
        if one.run_exports:
            run_exports[one.record["version"]] = one.run_exports
    return {
        **entry,
        "run_exports": run_exports,
        "subdirs": sorted({one.package.subdir for one in voices}),
        "timestamp": max(one.package.index["timestamp"] for one in voices) // 1000,
        "version": voices[-1].record["version"],
    }
