"""``/api/v1/repositories/…/packages``: names, with their latest versions and how many there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Annotated

import attrs

from repocore.errors import ReleaseMissingError
from repocore.http import Request, Response, Route
from repocore.model import Action
from repocore.plugins.api.answering import tagged
from repocore.plugins.api.describing import route
from repocore.plugins.api.paging import answer_page, page_of
from repocore.plugins.api.reading import address_of, read_query
from repocore.plugins.api.shapes import Listing, PageQuery
from repocore.registry import Session

__all__ = [
    "PackageView",
    "PackagesQuery",
    "VersionView",
    "list_packages",
    "list_versions",
    "routes",
    "show",
]


@attrs.frozen(kw_only=True)
class PackageView:
    """A package: all that is published under one name."""

    name: Annotated[str, "Its name."]
    latest: Annotated[str, "Its last version, in the order of its format."]
    versions: Annotated[int, "How many versions of it one may read."]


@attrs.frozen(kw_only=True)
class VersionView:
    """A version of a package."""

    version: Annotated[str, "As its releases have it; of Conan with user and channel."]


@attrs.frozen(kw_only=True)
class PackagesQuery(PageQuery):
    """Which packages."""

    q: Annotated[str | None, "Only names with that in them, in whichever case."] = None
    prefix: Annotated[str | None, "Only names that begin with it, in whichever case."] = None


def routes() -> Iterable[Route[Session]]:
    """Three routes of the site."""
    top = "repositories/{format}/{name}/packages"
    yield route(
        "GET",
        top,
        list_packages,
        Action.READ,
        query=PackagesQuery,
        answers={200: Listing(PackageView)},
    )
    yield route("GET", f"{top}/{{package}}", show, Action.READ, answers={200: PackageView})
    yield route(
        "GET",
        f"{top}/{{package}}/versions",
        list_versions,
        Action.READ,
        query=PageQuery,
        answers={200: Listing(VersionView)},
    )


def list_packages(session: Session, request: Request) -> Response:
    """List the packages of a repository that one may read, by name."""
    session.repositories.get(address_of(request))
    query = read_query(request, PackagesQuery)
    page = page_of(session, query, str, str)
    after = (page.after[0], page.after[1]) if page.after else ("", "")
    found = _packages(session, address_of(request), query.prefix or "", after[0])
    wanted = (query.q or "").casefold()
    listed = (
        one
        for one in found
        if wanted in one.name.casefold() and (one.name.casefold(), one.name) > after
    )
    return answer_page(
        request, page, listed, lambda one: (one.name.casefold(), one.name), lambda one: one
    )


def _packages(session: Session, address: str, prefix: str, start: str) -> Iterator[PackageView]:
    """Packages by name; names that differ in case only come one after the other."""
    rows = session.releases.packages(address, prefix=prefix, start=start)
    for _, some in groupby(rows, key=lambda row: row[0].casefold()):
        alike: dict[str, list[str]] = {}
        for name, version in some:
            alike.setdefault(name, []).append(version)
        for name in sorted(alike):
            versions = alike[name]
            yield PackageView(name=name, latest=versions[-1], versions=len(versions))


def show(session: Session, request: Request) -> Response:
    """Show a package."""
    versions = list(_versions(session, request))
    if not versions:
        raise ReleaseMissingError
    name = request.fields["package"]
    return tagged(request, PackageView(name=name, latest=versions[-1], versions=len(versions)))


def list_versions(session: Session, request: Request) -> Response:
    """List the versions of a package, in the order of its format; the last is the latest."""
    session.repositories.get(address_of(request))
    page = page_of(session, read_query(request, PageQuery), str, str)
    after = page.after or ("", "")
    format_ = session.registry.formats.get(request.fields["format"])

    def place(version: str) -> tuple[str, str]:
        return ("" if format_ is None else format_.sort_key(version).hex(), version)

    found = (one for one in _versions(session, request) if place(one) > after)
    answer = answer_page(request, page, found, place, lambda one: VersionView(version=one))
    if answer.body == b'{"items": [], "next": null}' and page.after is None:
        raise ReleaseMissingError
    return answer


def _versions(session: Session, request: Request) -> Iterator[str]:
    name = request.fields["package"]
    for found, version in session.releases.packages(address_of(request), prefix=name, start=name):
        if found.casefold() != name.casefold():
            return
        if found == name:
            yield version
