"""``/api/v1/repositories``: list, create, show, change and delete them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Self

import attrs

from repocore.errors import PluginError, PreconditionFailedError
from repocore.http import Admits, Request, Response, Route
from repocore.model import Action, Policy, Repository, Resource, split_address
from repocore.plugins.api.answering import require_match, tagged
from repocore.plugins.api.describing import route
from repocore.plugins.api.paging import answer_page, page_of
from repocore.plugins.api.reading import (
    address_of,
    merged,
    read_body,
    read_changes,
    read_query,
)
from repocore.plugins.api.shapes import Listing, PageQuery
from repocore.registry import Session

__all__ = [
    "NewRepository",
    "PolicyBody",
    "PolicyView",
    "RepositoriesQuery",
    "RepositoryChanges",
    "RepositoryView",
    "change",
    "create",
    "delete",
    "list_repositories",
    "routes",
    "show",
]

#: How often a change is tried on what somebody else has just changed.
_TRIES: Final = 10


@attrs.frozen(kw_only=True)
class PolicyBody:
    """What a repository is to allow; null leaves it to its format or to the settings."""

    overwrite: Annotated[
        bool | None, "Whether published files may be replaced by those who hold `overwrite`."
    ] = None
    max_size: Annotated[int | None, "Bytes of the largest file."] = None
    quota: Annotated[int | None, "Bytes of all files together."] = None
    max_files: Annotated[int | None, "How many files it may have."] = None


@attrs.frozen(kw_only=True)
class PolicyView(PolicyBody):
    """What a repository allows; null leaves it to its format or to the settings."""


@attrs.frozen(kw_only=True)
class RepositoryView:
    """A repository."""

    address: Annotated[str, "Its name in rules and URLs: `format/name`."]
    format: Annotated[str, "What it holds, for example conda."]
    name: Annotated[str, "Its name among those of its format."]
    mode: Annotated[str, "Where its content comes from."]
    description: Annotated[str, "A line for people."]
    private: Annotated[bool, "Whether the rules of the site stop at its door."]
    policy: Annotated[PolicyView, "What it allows."]
    options: Annotated[
        Mapping[str, Any] | None, "What its format makes of it; null for who may not manage it."
    ]
    created_at: Annotated[datetime | None, "When it was made."]
    url: Annotated[str, "What package clients are given."]

    @classmethod
    def of(cls, session: Session, request: Request, one: Repository) -> Self:
        """A repository as somebody sees it."""
        manages = session.allowed(Action.MANAGE, Resource(one.format, one.name))
        return cls(
            address=one.address,
            format=one.format,
            name=one.name,
            mode=one.mode.value,
            description=one.description,
            private=one.private,
            policy=PolicyView(
                overwrite=one.policy.overwrite,
                max_size=one.policy.max_size,
                quota=one.policy.quota,
                max_files=one.policy.max_files,
            ),
            options=one.options if manages else None,
            created_at=one.created_at,
            url=f"{request.base_url}/{one.address}",
        )


@attrs.frozen(kw_only=True)
class RepositoriesQuery(PageQuery):
    """Which repositories."""

    format: Annotated[str | None, "Only those of a format."] = None


@attrs.frozen(kw_only=True)
class NewRepository:
    """A repository that is to be."""

    address: Annotated[str, "`format/name`, for example conda/main."]
    description: Annotated[str, "A line for people."] = ""
    private: Annotated[bool, "Whether the rules of the site stop at its door."] = False
    policy: Annotated[PolicyBody, "What it allows."] = PolicyBody()
    options: Annotated[Mapping[str, Any], "What its format makes of it."] = attrs.field(
        factory=dict[str, Any]
    )


@attrs.frozen(kw_only=True)
class RepositoryChanges:
    """What is to change of a repository; what is not sent stays, null asks for the default."""

    description: Annotated[str | None, "A line for people."] = None
    private: Annotated[bool, "Whether the rules of the site stop at its door."] = False
    policy: Annotated[PolicyBody | None, "What it allows."] = None
    options: Annotated[Mapping[str, Any] | None, "What its format makes of it."] = None


def routes() -> Iterable[Route[Session]]:
    """Five routes of the site."""
    one = "repositories/{format}/{name}"
    listed = {200: Listing(RepositoryView)}
    yield route(
        "GET",
        "repositories",
        list_repositories,
        Admits.READERS,
        query=RepositoriesQuery,
        answers=listed,
    )
    yield route(
        "POST",
        "repositories",
        create,
        Action.CREATE,
        body=NewRepository,
        answers={201: RepositoryView},
        errors={PluginError: 422},
    )
    yield route("GET", one, show, Action.READ, answers={200: RepositoryView})
    yield route(
        "PATCH",
        one,
        change,
        Action.MANAGE,
        body=RepositoryChanges,
        answers={200: RepositoryView},
    )
    yield route("DELETE", one, delete, Action.ADMIN, answers={204: None})


def list_repositories(session: Session, request: Request) -> Response:
    """List the repositories of which one may read something, by address."""
    query = read_query(request, RepositoriesQuery)
    page = page_of(session, query, str)
    after = page.after[0] if page.after else ""
    found = _after(session, after, page.limit + 1)
    if query.format is not None:
        found = (one for one in found if one.format == query.format)
    return answer_page(
        request,
        page,
        found,
        lambda one: (one.address,),
        lambda one: RepositoryView.of(session, request, one),
    )


def _after(session: Session, after: str, size: int) -> Iterable[Repository]:
    while page := session.repositories.page(after=after, limit=size):
        yield from page
        after = page[-1].address


def create(session: Session, request: Request) -> Response:
    """Make an empty repository."""
    wanted = read_body(request, NewRepository)
    made = session.repositories.create(
        wanted.address,
        description=wanted.description,
        private=wanted.private,
        policy=Policy(**attrs.asdict(wanted.policy)),
        options=wanted.options,
    )
    answer = tagged(request, RepositoryView.of(session, request, made), 201)
    where = ("Location", f"{request.base_url}/api/v1/repositories/{made.address}")
    return attrs.evolve(answer, headers=(*answer.headers, where))


def show(session: Session, request: Request) -> Response:
    """Show a repository of which one may read something."""
    found = session.repositories.get(address_of(request))
    return tagged(request, RepositoryView.of(session, request, found))


def change(session: Session, request: Request) -> Response:
    """Change what is sent of a repository, and keep the rest (RFC 7396)."""
    address = address_of(request)
    session.require(Action.MANAGE, Resource(*split_address(address)))
    sent = read_changes(request, RepositoryChanges)
    for left in reversed(range(_TRIES)):
        old = session.repositories.get(address)
        require_match(request, lambda seen=old: RepositoryView.of(session, request, seen))
        try:
            new = session.repositories.configure(address, expected=old, **_changes(old, sent))
        except PreconditionFailedError:
            # Without a condition it is merged with what is there now.
            if request.headers.get("If-Match") is not None or not left:
                raise
        else:
            return tagged(request, RepositoryView.of(session, request, new))
    raise PreconditionFailedError


def _changes(old: Repository, sent: Mapping[str, Any]) -> dict[str, Any]:
    changes = dict(sent)
    if "description" in sent:
        changes["description"] = sent["description"] or ""
    if "policy" in sent:
        given = sent["policy"]
        policy = Policy() if given is None else attrs.evolve(old.policy, **given)
        changes["policy"] = policy
    if "options" in sent:
        given = sent["options"]
        changes["options"] = {} if given is None else merged(old.options, given)
    return changes


def delete(session: Session, request: Request) -> Response:
    """Delete a repository with all it holds."""
    address = address_of(request)
    session.require(Action.ADMIN, Resource(*split_address(address)))

    def current() -> RepositoryView:
        return RepositoryView.of(session, request, session.repositories.get(address))

    require_match(request, current)
    session.repositories.delete(address)
    return Response(204)
