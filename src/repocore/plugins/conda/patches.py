"""Repodata patches: what a channel says of its packages after they were built.

``<subdir>/patch_instructions.json`` is a release of its subdir.  Packages and their records stay
as they are: the instructions are applied whenever a document is made, and only records that they
name are read for it.  So whoever deletes the file has the records as they were.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple, cast

import attrs

from repocore.errors import InvalidPackageError
from repocore.plugins.conda.records import Extra, canonical, pack_shard
from repocore.ports import Listed, ReleaseQuery

__all__ = [
    "NOTHING",
    "PATCH_FILE",
    "PATCH_PACKAGE",
    "PATCH_SECTION",
    "Change",
    "Instructions",
    "changes",
    "instructions_of",
    "parse_instructions",
]

#: The file's name, and what its release is called and marked.
PATCH_FILE: Final = "patch_instructions.json"
PATCH_PACKAGE: Final = "repodata-patches"
PATCH_SECTION: Final = "patch"

_V1: Final = ".tar.bz2"
_V2: Final = ".conda"
#: No package has that name, so nothing that depends on it is ever installed.
_REVOKED: Final = "package_has_been_revoked"
_RUN_EXPORTS: Final = "run_exports"
_VERSIONS: Final = (1, 2)
_KEYS: Final = frozenset(
    {"patch_instructions_version", "packages", "packages.conda", "remove", "revoke"}
)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, cast("list[Any]", value)))


def _is_text_or_list(value: Any) -> bool:
    return _is_text(value) or _is_list(value)


def _is_lists(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_list, cast("dict[str, Any]", value).values()))


_Check = Callable[[Any], bool]
_TEXT: Final[tuple[_Check, str]] = (_is_text, "a text")
_LIST: Final[tuple[_Check, str]] = (_is_list, "a list of texts")
_LISTS: Final[tuple[_Check, str]] = (_is_lists, "an object of lists of texts")

#: What can be said anew: how a package fits others, and its licence.  What it is, when it came and
#: what bytes it has cannot.  null takes a field away.
_FIELDS: Final[Mapping[str, tuple[_Check, str]]] = {
    "constrains": _LIST,
    "depends": _LIST,
    "extra_depends": _LISTS,
    "features": _TEXT,
    "flags": _LIST,
    "license": _TEXT,
    "license_family": _TEXT,
    "purls": _LIST,
    "python_site_packages_path": _TEXT,  # CEP 17
    "track_features": (_is_text_or_list, "a text or a list of texts"),
}
_FIELDS_V2: Final = {**_FIELDS, _RUN_EXPORTS: _LISTS}  # CEP 21

_Fields = Mapping[str, Any]


def _all_names(of: Instructions) -> frozenset[str]:
    named = {*of.packages, *of.conda, *of.remove, *of.revoke}
    twins = {name.removesuffix(_V1) + _V2 for name in named if name.endswith(_V1)}
    return frozenset(named | twins)


@attrs.frozen
class Instructions:
    """Checked instructions; each mapping has the new fields of a file by its name."""

    packages: Mapping[str, _Fields] = attrs.field(factory=dict[str, _Fields])
    conda: Mapping[str, _Fields] = attrs.field(factory=dict[str, _Fields])
    remove: frozenset[str] = frozenset()
    revoke: frozenset[str] = frozenset()
    #: Every file that is named, or whose twin of the older kind is.
    names: frozenset[str] = attrs.field(
        init=False, default=attrs.Factory(_all_names, takes_self=True)
    )

    def removes(self, name: str) -> bool:
        """Whether the file is in no list any more."""
        return _is_in(name, self.remove)

    def fields(self, name: str) -> dict[str, Any]:
        """The new fields of a file; those of its twin of the older kind count less than its own."""
        if not name.endswith(_V2):
            return dict(self.packages.get(name, {}))
        twin = name.removesuffix(_V2) + _V1
        return {**self.packages.get(twin, {}), **self.conda.get(name, {})}

    def record(self, name: str, record: bytes) -> bytes:
        """The record of a file that is named, as canonical JSON, after it was patched."""
        fields = self.fields(name)
        fields.pop(_RUN_EXPORTS, None)  # they are in no record of repodata.json
        return canonical(self._patched(name, json.loads(record), fields))

    def _patched(self, name: str, record: dict[str, Any], fields: _Fields) -> dict[str, Any]:
        for field, value in fields.items():
            if value is None:
                record.pop(field, None)
            else:
                record[field] = value
        if _is_in(name, self.revoke):
            record["revoked"] = True
            record["depends"] = [*(record.get("depends") or ()), _REVOKED]
        return record

    def release(self, release: Listed) -> Listed:
        """A release that is named, with its record and extra bytes after they were patched."""
        extra = Extra.unpack(release.extra)
        fields = self.fields(release.name)
        record = self.record(release.name, release.record)
        exports = extra.known_run_exports()
        known = extra.run_exports
        if _RUN_EXPORTS in fields:
            exports = fields[_RUN_EXPORTS]
            known = canonical(exports or {})
        shard = pack_shard(json.loads(record), exports)
        packed = attrs.evolve(extra, shard=shard, run_exports=known).pack()
        return attrs.evolve(release, record=record, extra=packed)


NOTHING: Final = Instructions()


def _is_in(name: str, names: frozenset[str]) -> bool:
    # A name of the older kind means its twin too; one of the newer kind means itself.
    return name in names or (name.endswith(_V2) and name.removesuffix(_V2) + _V1 in names)


def instructions_of(query: ReleaseQuery) -> Instructions:
    """The instructions of the partition; `NOTHING` where it has none."""
    for chunk in query.listed([PATCH_PACKAGE]):
        for release in chunk:
            if release.section == PATCH_SECTION:
                return _parsed(release.extra)
    return NOTHING


# ------------------------------------------------------------------------------------- reading


def parse_instructions(content: bytes) -> Instructions:
    """Read ``patch_instructions.json``; raises `InvalidPackageError` with the first mistake."""
    document = _object(_parse(content), "The patch instructions are")
    unknown = sorted(document.keys() - _KEYS)
    if unknown:
        raise InvalidPackageError(f"Patch instructions have no key {unknown[0]!r}.")
    version = document.get("patch_instructions_version", _VERSIONS[0])
    if type(version) is not int or version not in _VERSIONS:
        raise InvalidPackageError("Patch instructions are of version 1 or 2.")
    return Instructions(
        packages=_entries(document, "packages", _V1, version),
        conda=_entries(document, "packages.conda", _V2, version),
        remove=_names(document, "remove"),
        revoke=_names(document, "revoke"),
    )


#: Each upload to a subdir asks for its instructions again; a large set takes longer than a shard.
_parsed = lru_cache(maxsize=2)(parse_instructions)


def _parse(content: bytes) -> Any:
    try:
        return json.loads(content, object_pairs_hook=_unique, parse_constant=_refuse)
    except InvalidPackageError:
        raise
    except (ValueError, RecursionError) as error:
        raise InvalidPackageError("The patch instructions are not JSON.") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise InvalidPackageError("An object of the patch instructions has a key twice.")
    return found


def _refuse(constant: str) -> None:
    raise InvalidPackageError(f"The patch instructions hold {constant}, which is not JSON.")


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidPackageError(f"{what} not a JSON object.")
    return cast("dict[str, Any]", value)


def _entries(
    document: Mapping[str, Any], key: str, suffix: str, version: int
) -> Mapping[str, _Fields]:
    entries = _object(document.get(key, {}), f"{key!r} of the patch instructions is")
    for name, fields in entries.items():
        if not name.endswith(suffix):
            message = f"{name!r} in {key!r} of the patch instructions does not end in {suffix}."
            raise InvalidPackageError(message)
        for field, value in _object(fields, f"The patch of {name} is").items():
            _check_field(name, field, value, version)
    return entries


def _check_field(name: str, field: str, value: Any, version: int) -> None:
    if field == _RUN_EXPORTS and version == _VERSIONS[0]:
        message = (
            f"The patch of {name} changes run_exports; that needs patch_instructions_version 2."
        )
        raise InvalidPackageError(message)
    if field not in _FIELDS_V2:
        message = (
            f"The patch of {name} changes {field!r}, which no patch can; it can change "
            f"{', '.join(_FIELDS_V2)}."
        )
        raise InvalidPackageError(message)
    check, expected = _FIELDS_V2[field]
    if value is not None and not check(value):
        raise InvalidPackageError(f"The patch of {name} has a {field} that is not {expected}.")
    try:
        canonical(value)
    except ValueError as error:
        message = f"The patch of {name} has a {field} that is not UTF-8."
        raise InvalidPackageError(message) from error


def _names(document: Mapping[str, Any], key: str) -> frozenset[str]:
    names = document.get(key, [])
    if not _is_list(names):
        raise InvalidPackageError(f"{key!r} of the patch instructions is not a list of file names.")
    odd = sorted(name for name in names if not name.endswith((_V1, _V2)))
    if odd:
        raise InvalidPackageError(f"{odd[0]!r} in {key!r} of the patch instructions is no package.")
    return frozenset(names)


# -------------------------------------------------------------------------------------- dry run


class Change(NamedTuple):
    """One field of one file; None where it has no such field.

    A file that is taken out of the index, or comes back into it, has but a change of ``removed``.
    """

    name: str
    field: str
    before: Any
    after: Any


def changes(query: ReleaseQuery, instructions: Instructions) -> Iterator[Change]:
    """What documents would say otherwise with these instructions in place of the present ones.

    In the order of packages, file names and fields; only what a partition lists can change.
    """
    present = instructions_of(query)
    named = present.names | instructions.names
    for chunk in query.listed(_packages(named)):
        for release in chunk:
            if release.name in named:
                yield from _differences(release, present, instructions)


def _packages(names: Iterable[str]) -> set[str]:
    return {name.rsplit("-", 2)[0] for name in names}


def _differences(
    release: Listed, present: Instructions, instructions: Instructions
) -> Iterator[Change]:
    gone = present.removes(release.name), instructions.removes(release.name)
    if any(gone):
        if gone[0] != gone[1]:
            yield Change(release.name, "removed", *gone)
        return
    before, after = _view(present, release), _view(instructions, release)
    for field in sorted(before.keys() | after.keys()):
        if before.get(field) != after.get(field):
            yield Change(release.name, field, before.get(field), after.get(field))


def _view(instructions: Instructions, release: Listed) -> dict[str, Any]:
    if release.name in instructions.names:
        release = instructions.release(release)
    view: dict[str, Any] = json.loads(release.record)
    view[_RUN_EXPORTS] = Extra.unpack(release.extra).known_run_exports()
    return view
