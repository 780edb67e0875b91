"""Recipes and packages as people look at them: found by a pattern, shown one by one.

Everything is asked of a session, so that each sees what they may read.
"""

from __future__ import annotations

import difflib
import heapq
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

import attrs

from repocore.errors import RejectedError, ReleaseMissingError
from repocore.model import Release, release_key
from repocore.plugins.conan.references import ConanReference, PackageReference
from repocore.plugins.conan.search import (
    check_pattern,
    info_pairs,
    info_sections,
    literal_prefix,
    reference_matcher,
)
from repocore.registry import Session

__all__ = [
    "PackageInfo",
    "PackageView",
    "RecipeView",
    "RevisionView",
    "commands",
    "default_repository",
    "find",
    "parse_info",
    "view",
]

_MAIN: Final = "conan/main"
#: How many names are told where one is not found.
_NEAR: Final = 3
#: Below that likeness a name is no typing error of another.
_ALIKE: Final = 0.6


@attrs.frozen(kw_only=True)
class PackageInfo:
    """What a conaninfo.txt says; ``requires`` are references as the client wrote them."""

    settings: Mapping[str, str]
    options: Mapping[str, str]
    requires: tuple[str, ...]
    #: Whether a client of Conan 1 made the package.
    conan1: bool


@attrs.frozen(kw_only=True)
class RevisionView:
    """A revision of a recipe or of a package, and since when it is there (UTC)."""

    revision: str
    time: datetime
    downloads: int


@attrs.frozen(kw_only=True)
class PackageView:
    """A package of a recipe revision: its revisions, newest first, and what the newest holds."""

    package_id: str
    revisions: tuple[RevisionView, ...]
    info: PackageInfo
    files: int
    bytes: int

    @property
    def downloads(self) -> int:
        """Of all revisions together."""
        return sum(one.downloads for one in self.revisions)


@attrs.frozen(kw_only=True)
class RecipeView:
    """One revision of a recipe with its packages, and the other revisions, newest first.

    ``files`` and ``bytes`` are of the recipe alone.
    """

    repository: str
    reference: str
    revision: str
    revisions: tuple[RevisionView, ...]
    files: int
    bytes: int
    packages: tuple[PackageView, ...]

    @property
    def newest(self) -> bool:
        """Whether clients that name no revision get this one."""
        return self.revision == self.revisions[0].revision

    @property
    def conan1(self) -> bool:
        """Whether all packages were made by clients of Conan 1."""
        return bool(self.packages) and all(package.info.conan1 for package in self.packages)


def parse_info(content: str) -> PackageInfo:
    """Read a conaninfo.txt of Conan 1 or 2; what is in neither's form is left out."""
    sections = info_sections(content)
    # Conan 1 writes what was required in full below another heading, with ids of packages.
    full = [line.partition(":")[0] for line in sections.get("full_requires", ())]
    return PackageInfo(
        settings=info_pairs(sections.get("settings", ())),
        options=info_pairs(sections.get("options", ())),
        requires=tuple(full or sections.get("requires", ())),
        conan1=bool(sections.get("recipe_hash")),
    )


def default_repository(session: Session) -> str:
    """The address that is meant where none is given: the only Conan repository, or conan/main.

    Raises `RejectedError` where there is no such.
    """
    found = [one.address for one in session.repositories.list() if one.format == "conan"]
    if len(found) == 1:
        return found[0]
    if _MAIN in found:
        return _MAIN
    there = f"there are {', '.join(found)}" if found else "there is none that you may read"
    message = f"Name the Conan repository that is meant; {there}."
    raise RejectedError(message)


def find(session: Session, address: str, pattern: str) -> Iterator[str]:
    """The references that a pattern means (as `reference_matcher`, case aside), in their order.

    Raises `InvalidPathError` for a pattern that no reference is as long as, and what
    ``session.releases.packages`` raises.
    """
    matches = reference_matcher(check_pattern(pattern), ignore_case=True)
    for name, version in session.releases.packages(address, prefix=literal_prefix(pattern)):
        if matches(name, version):
            yield _printed(name, version)


def _printed(name: str, full_version: str) -> str:
    return str(ConanReference.parse(f"{name}/{full_version}"))


def view(session: Session, address: str, text: str) -> RecipeView:
    """Look at ``reference[#rrev]``, in its newest revision where none is named.

    Raises `ReleaseMissingError` with names that are near, and `InvalidPathError` for what cannot
    be a reference.
    """
    written, _, wanted = text.partition("#")
    if "/" not in written:
        raise _missing(session, address, written, written)
    reference = ConanReference.parse(written)
    revisions = _revisions(session, address, reference.partition)
    if not revisions:
        raise _missing(session, address, str(reference), reference.name)
    rrev = wanted or revisions[0].revision
    if rrev not in {one.revision for one in revisions}:
        known = ", ".join(one.revision for one in revisions[:_NEAR])
        message = f"{reference} has no revision {rrev}; it has {known}."
        raise ReleaseMissingError(message)
    files = session.releases.files(address, reference.partition, rrev)
    hanging = session.releases.children(address, reference.partition, rrev)
    packages = [_package(session, address, one) for one in hanging]
    return RecipeView(
        repository=address,
        reference=str(reference),
        revision=rrev,
        revisions=revisions,
        files=len(files),
        bytes=sum(file.size for file in files),
        packages=tuple(packages),
    )


def _revisions(session: Session, address: str, partition: str) -> tuple[RevisionView, ...]:
    counts = session.statistics.downloads(address, partition)
    return tuple(
        RevisionView(
            revision=name,
            time=time,
            downloads=counts[name].count if name in counts else 0,
        )
        for name, time in session.releases.names(address, partition)
    )


def _package(session: Session, address: str, newest: Release) -> PackageView:
    files = session.releases.files(address, newest.partition, newest.name)
    return PackageView(
        package_id=PackageReference.parse(newest.partition).package_id,
        revisions=_revisions(session, address, newest.partition),
        info=parse_info(json.loads(newest.record).get("conaninfo", "")),
        files=len(files),
        bytes=sum(file.size for file in files),
    )


def _missing(session: Session, address: str, text: str, name: str) -> ReleaseMissingError:
    near = _other_versions(session, address, name) or _alike(session, address, name)
    guess = f"; did you mean {_either(near)}?" if near else "."
    return ReleaseMissingError(f"There is no recipe {text} in {address}{guess}")


def _other_versions(session: Session, address: str, name: str) -> list[str]:
    """The last versions of a recipe of that name, newest first."""
    listed = session.releases.packages(address, prefix=name)
    wanted = name.casefold()
    last: list[str] = []
    for found, version in listed:
        if found.casefold() == wanted:
            last = [*last[-_NEAR + 1 :], _printed(found, version)]
    return last[::-1]


def _alike(session: Session, address: str, name: str) -> list[str]:
    """The names most like it; looks at all of them, and keeps few."""
    matcher = difflib.SequenceMatcher(b=name.casefold())

    def likeness(other: str) -> float:
        matcher.set_seq1(other.casefold())
        # The cheap bounds first: most names are like nothing.
        if min(matcher.real_quick_ratio(), matcher.quick_ratio()) < _ALIKE:
            return 0.0
        return matcher.ratio()

    measured = ((likeness(other), other) for other in _names(session, address))
    best = heapq.nlargest(_NEAR, (one for one in measured if one[0] >= _ALIKE))
    return [other for _, other in best]


def _names(session: Session, address: str) -> Iterator[str]:
    before = None
    for name, _ in session.releases.packages(address):
        if name != before:
            yield name
        before = name


def _either(names: list[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


def commands(recipe: RecipeView, remote: str) -> tuple[str, ...]:
    """What a client is told to install, download and remove what is shown.

    ``remote`` is the name that the client gave the server.  A recipe whose packages are all of
    Conan 1 gets that client's words.
    """
    reference = ConanReference.parse(recipe.reference)
    if recipe.conan1:
        # It takes a reference without an @ for a path.
        old = recipe.reference if "@" in recipe.reference else f"{recipe.reference}@"
        return tuple(
            f"conan {verb} {old} -r {remote}" for verb in ("install", "download", "remove")
        )
    named = release_key(str(reference), recipe.revision)
    wanted = str(reference) if recipe.newest else named
    return (
        f"conan install --requires={wanted} -r {remote}",
        f'conan download "{named}:*" -r {remote}',
        f'conan remove "{named}" -r {remote}',
    )
