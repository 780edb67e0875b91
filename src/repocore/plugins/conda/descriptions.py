"""What a package says of itself, checked field by field.

A client reads the record of a package together with those of all others, and one field of a wrong
type makes some clients fail on the whole index.  So each field that a client is known to read has
the type that it is read with, or the package is refused.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, cast

from repocore.errors import InvalidPackageError
from repocore.plugins.conda.filenames import PackageFile, is_subdir
from repocore.plugins.conda.specs import bracket_form, check_spec, is_conditional

__all__ = ["check_index", "check_link", "milliseconds", "normal_run_exports", "to_revision_3"]

_INDEX: Final = "info/index.json"
_DAY: Final = 24 * 3600 * 1000
# Timestamps up to the end of the year 9999 in seconds are seconds, as old builders wrote them.
_SECONDS: Final = 253_402_300_799
_REVISION_3: Final = 3

_GROUP = re.compile(r"[a-z0-9_.+-]{1,64}\Z")
_DOTTED: Final = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*+"
_BLANK: Final = r"[ \t]*+"
_ENTRY_POINT = re.compile(
    rf"{_BLANK}([A-Za-z0-9_][A-Za-z0-9_.+-]{{0,254}}){_BLANK}="
    rf"{_BLANK}{_DOTTED}{_BLANK}:{_BLANK}{_DOTTED}{_BLANK}\Z"
)
_PATH = re.compile(r"[A-Za-z0-9_.+-]++(?:/[A-Za-z0-9_.+-]++)*+\Z")
_RUN_EXPORTS: Final = ("weak", "strong", "weak_constrains", "strong_constrains", "noarch")
_SPECS: Final = ("depends", "constrains")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, cast("list[Any]", value)))


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_path(value: Any) -> bool:
    """Where Python's packages lie below an environment (CEP 17)."""
    return isinstance(value, str) and _PATH.match(value) is not None and ".." not in value


#: What a field is, and how to say so.
_FIELDS: Final[Mapping[str, tuple[Callable[[Any], Any], str]]] = {
    "build_number": (_is_count, "a whole number"),
    "features": (_is_text, "text"),
    "flags": (_is_texts, "a list of texts"),
    "license": (_is_text, "text"),
    "license_family": (_is_text, "text"),
    "noarch": (lambda value: value in ("python", "generic", True, False), "python or generic"),
    "purls": (_is_texts, "a list of texts"),
    "python_site_packages_path": (_is_path, "a plain relative path"),
    "repodata_revision": (_is_count, "a whole number"),
    "schema_version": (_is_count, "a whole number"),
    "subdir": (lambda value: _is_text(value) and is_subdir(value), "a subdir"),
    "timestamp": (_is_count, "a whole number of milliseconds"),
    "track_features": (lambda value: _is_text(value) or _is_texts(value), "text, or a list of it"),
}


def _refused(reason: str) -> InvalidPackageError:
    return InvalidPackageError(f"{_INDEX} of the package is not usable: {reason}.")


def milliseconds(timestamp: int) -> int:
    """A timestamp of a package in milliseconds, whichever of the two units it has."""
    return timestamp if timestamp > _SECONDS else timestamp * 1000


def check_index(
    index: Mapping[str, Any], file: PackageFile, subdir: str | None, now: float | None = None
) -> None:
    """Whether ``info/index.json`` is of that file, and every client can read it.

    ``now`` is in seconds since 1970; the time of the build may be a day ahead of it.  Raises
    `InvalidPackageError`.
    """
    for name in ("name", "version", "build"):
        said, wanted = index.get(name), getattr(file, name)
        if said != wanted:
            raise _refused(f"its {name} is {str(said)[:80]!r}, and that of {file} is {wanted!r}")
    if index.get("build_number") is None:
        raise _refused("it has no build_number")
    for name, (check, words) in _FIELDS.items():
        if index.get(name) is not None and not check(index[name]):
            raise _refused(f"its {name} is not {words}")
    said = index.get("subdir")
    if None not in {subdir, said} and said != subdir:
        raise _refused(f"its subdir is {said!r}, and the package was sent to {subdir!r}")
    latest = (time.time() if now is None else now) * 1000 + _DAY
    if milliseconds(index.get("timestamp") or 0) > latest:
        raise _refused("its timestamp is in the future")
    _check_dependencies(index)


def _check_dependencies(index: Mapping[str, Any]) -> None:
    for name in _SPECS:
        if name in index:
            _check_specs(name, index[name])
    _check_groups(index.get("extra_depends"))


def _check_specs(name: str, specs: Any) -> None:
    if not isinstance(specs, list):
        raise _refused(f"its {name} is not a list")
    for spec in cast("list[object]", specs):
        check_spec(spec)


def _check_groups(groups: Any) -> None:
    if groups is None:
        return
    if not isinstance(groups, dict):
        raise _refused("its extra_depends is not an object")
    for name, specs in cast("dict[str, Any]", groups).items():
        if not _GROUP.match(name):
            raise _refused(f"{name[:80]!r} of its extra_depends is no name of a group")
        _check_specs("extra_depends", specs)


def to_revision_3(index: Mapping[str, Any]) -> dict[str, Any] | None:
    """The index with the specs of repodata v3 (CEP 48), or None where it is of an older revision.

    It is of the third if it says so, or uses what only the third has (CEPs 43 to 45).  Raises
    `InvalidPackageError` for a spec that has no form there, or for a later revision.
    """
    revision = max(index.get("schema_version") or 0, index.get("repodata_revision") or 0)
    if revision > _REVISION_3:
        raise _refused(f"it is of revision {revision}, which this server does not know yet")
    specs = (spec for name in _SPECS for spec in index.get(name) or ())
    new = index.get("extra_depends") or index.get("flags") or any(map(is_conditional, specs))
    if revision < _REVISION_3 and not new:
        return None
    changed = dict(index)
    for name in _SPECS:
        if name in changed:
            changed[name] = _bracketed(changed[name])
    if changed.get("extra_depends"):
        groups = cast("dict[str, list[str]]", changed["extra_depends"])
        changed["extra_depends"] = {name: _bracketed(specs) for name, specs in groups.items()}
    return changed


def _bracketed(specs: Iterable[str]) -> list[str]:
    return [bracket_form(spec) for spec in specs]


def check_link(link: Mapping[str, Any]) -> None:
    """Whether ``info/link.json`` names programs that a client may write; `InvalidPackageError`.

    Clients make a file of each entry point's name, and write its function into it as it is.
    """
    noarch = link.get("noarch")
    if noarch is None:
        return
    if not isinstance(noarch, dict):
        message = "info/link.json of the package is not usable: its noarch is not an object."
        raise InvalidPackageError(message)
    points = cast("dict[str, Any]", noarch).get("entry_points")
    if points is not None and not _is_texts(points):
        message = "info/link.json of the package is not usable: its entry_points are not texts."
        raise InvalidPackageError(message)
    for point in cast("list[str]", points or []):
        if len(point) > 1024 or not _ENTRY_POINT.match(point):  # noqa: PLR2004
            message = (
                f"The entry point {point[:200]!r} of the package is not usable: it is written "
                "`name = module:function`, and its name is that of a file without a folder."
            )
            raise InvalidPackageError(message)


def normal_run_exports(value: Any) -> dict[str, list[str]]:
    """``info/run_exports.json`` as an object (CEP 12), empty where a package has none.

    A list is of weak ones, and so is a text alone.  Raises `InvalidPackageError`.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        value = {"weak": value}
    entries = cast("dict[str, Any]", value)
    found: dict[str, list[str]] = {}
    for kind in _RUN_EXPORTS:
        specs = entries.get(kind)
        if specs is None:
            continue
        if isinstance(specs, str):
            specs = [specs]
        if not isinstance(specs, list):
            message = f"info/run_exports.json of the package is not usable: {kind} is not a list."
            raise InvalidPackageError(message)
        found[kind] = [check_spec(spec) for spec in cast("list[object]", specs)]
    return found
