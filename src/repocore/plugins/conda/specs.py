"""Dependencies as packages write them, and in the one form that repodata v3 has (CEPs 29, 48).

Builders go on writing ``python >=3.8`` into packages of the third revision; an index has
``python[version=">=3.8"]`` of it.  What a spec says is not changed.
"""

from __future__ import annotations

import re
from typing import Final

from repocore.errors import InvalidPackageError

__all__ = ["bracket_form", "check_spec", "is_conditional"]

_LONGEST: Final = 4096
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NEW = re.compile(r"\b(?:when|extras|flags)\s*+=")
_HEAD = re.compile(r"\s*([A-Za-z0-9_][A-Za-z0-9._-]*+)(?=[\s=<>!~]|\Z)(.*)\Z", re.DOTALL)
_EXACT = re.compile(r"=([^=<>!~,|\s]+)=([^=\s]+)\Z")
_AROUND = re.compile(r" ?([,|()]) ?|([<>=!~]) ")  # where there is one space at most
_ATOM = re.compile(r"[^,|()]+")
_COMPARED: Final = ("==", ">=", "<=", "!=", "~=", ">", "<")
_VERSION = re.compile(r"[A-Za-z0-9._+!*^$<>=~|,()-]+\Z")
_BUILD = re.compile(r"[A-Za-z0-9._+*^$|()\[\]-]+\Z")
_FIELD = re.compile(
    r"\s*([A-Za-z_]+)\s*=\s*"
    r"(?:\"([^\"]*+)\"|'([^']*+)'|\[([^\[\]]*+)\]|([^,\[\]\"'\s]++))\s*(,|\Z)"
)
_FIELDS: Final = ("version", "build", "build_number", "when", "extras", "flags")
_LISTS: Final = frozenset({"extras", "flags"})
_GROUP = re.compile(r"[^\s,\"'\[\]]{1,64}\Z")


def check_spec(spec: object) -> str:
    """Return the spec if it is a text that a client can read; else `InvalidPackageError`.

    Only what no client can take for a spec is refused: what the package depends on may be older
    than any grammar.
    """
    if not isinstance(spec, str) or not spec.strip():
        message = "A dependency in info/index.json is no text, or an empty one."
        raise InvalidPackageError(message)
    if len(spec) > _LONGEST or _CONTROL.search(spec):
        message = f"The dependency {spec[:80]!r} is too long, or has a control character."
        raise InvalidPackageError(message)
    return spec


def is_conditional(spec: str) -> bool:
    """Whether the spec says ``when``, ``extras`` or ``flags`` (CEPs 43 to 45)."""
    bracket = spec.find("[")
    return bracket >= 0 and _NEW.search(spec, bracket) is not None


def bracket_form(spec: str) -> str:
    """The spec as a bare name, or as ``name[field="value",...]`` (CEP 48).

    Raises `InvalidPackageError` for what a spec of repodata v3 may not say: a channel, a name with
    a ``*``, any field besides version, build, build_number, when, extras and flags.
    """
    head, bracket, rest = spec.partition("[")
    match = _HEAD.match(head)
    if match is None or (bracket and not rest.rstrip().endswith("]")):
        raise _refused(spec, "it is not a name, a version and a build")
    fields = _positional(match[2].strip(), spec)
    if bracket:
        _add_fields(fields, rest.rstrip()[:-1], spec)
    if not fields:
        return match[1].lower()
    ordered = (f"{name}={_value(name, fields[name])}" for name in _FIELDS if name in fields)
    return f"{match[1].lower()}[{','.join(ordered)}]"


def _refused(spec: str, reason: str) -> InvalidPackageError:
    return InvalidPackageError(f"The dependency {spec[:200]!r} cannot be in repodata v3: {reason}.")


def _positional(text: str, spec: str) -> dict[str, str]:
    if not text:
        return {}
    exact = _EXACT.match(text)
    if exact:
        version, builds = f"=={exact[1]}", [exact[2]]
    else:
        joined = _AROUND.sub(lambda match: match[1] or match[2], " ".join(text.split()))
        version, *builds = joined.split()
        version = _ATOM.sub(_compared, version)
    if not _VERSION.match(version) or len(builds) > 1:
        raise _refused(spec, "it is not a name, a version and a build")
    fields = {"version": version}
    if builds:
        if not _BUILD.match(builds[0]):
            raise _refused(spec, "its build is not usable")
        fields["build"] = builds[0]
    return fields


def _compared(match: re.Match[str]) -> str:
    """A version with the operator that stands for: 1.2 alone is exact, =1.2 is 1.2.*."""
    atom = match[0]
    if atom.startswith(_COMPARED):
        return atom
    if atom.startswith("^") or atom.endswith("*"):
        return atom.removeprefix("=")
    if atom.startswith("="):
        return f"{atom[1:]}.*"
    return f"=={atom}"


def _add_fields(fields: dict[str, str], text: str, spec: str) -> None:
    at = 0
    while at < len(text) or at == 0:
        match = _FIELD.match(text, at)
        if match is None or match[1] not in _FIELDS or match[1] in fields:
            allowed = ", ".join(_FIELDS)
            raise _refused(spec, f"its brackets hold some of {allowed}, each with a value, once")
        value = next(value for value in match.groups()[1:5] if value is not None)
        if not value.strip():
            raise _refused(spec, f"its {match[1]} is empty")
        fields[match[1]] = value.strip()
        at = match.end()
        if match[6] == "," and at == len(text):
            raise _refused(spec, "a comma stands at the end of its brackets")


def _value(name: str, value: str) -> str:
    if name in _LISTS:
        groups = [group.strip().strip("\"'") for group in value.split(",")]
        if not all(map(_GROUP.match, groups)):
            message = f"A dependency has {name} that are no names: {value[:80]!r}."
            raise InvalidPackageError(message)
        return f"[{','.join(groups)}]"
    quote = "'" if '"' in value else '"'
    return f"{quote}{value}{quote}"
