"""``/api/v1/statistics``: how much there is, and how much it is used."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Self

import attrs

from repocore.errors import NotAuthenticatedError
from repocore.http import Admits, Request, Response, Route
from repocore.model import Action
from repocore.plugins.api.answering import tagged
from repocore.plugins.api.describing import route
from repocore.plugins.api.reading import address_of
from repocore.registry import Session, Usage

__all__ = ["StatisticsView", "UsageView", "everything", "of_repository", "routes"]


@attrs.frozen(kw_only=True)
class UsageView:
    """The numbers of a repository, or of several together."""

    repository: Annotated[str | None, "Its address; null for several together."]
    recipes: Annotated[int, "Packages by name and version."]
    packages: Annotated[int, "What hangs on them, as the binary packages of Conan do."]
    releases: Annotated[int, "Every revision of either."]
    files: Annotated[int, "Files, those of unfinished uploads too."]
    bytes: Annotated[int, "Bytes of all files."]
    stored: Annotated[int, "The same with equal content counted once."]
    downloads: Annotated[int, "Downloads, those of what was deleted since too."]
    last_used: Annotated[datetime | None, "When something was last downloaded."]

    @classmethod
    def of(cls, usage: Usage) -> Self:
        """The numbers as they were counted."""
        return cls(**attrs.asdict(usage))


@attrs.frozen(kw_only=True)
class StatisticsView:
    """Repositories, and all of them together; what they share counts once."""

    repositories: Annotated[tuple[UsageView, ...], "Each that one manages."]
    total: Annotated[UsageView, "All of these together."]


def routes() -> Iterable[Route[Session]]:
    """Two routes of the site."""
    yield route("GET", "statistics", everything, Admits.ACCOUNTS, answers={200: StatisticsView})
    yield route(
        "GET",
        "repositories/{format}/{name}/statistics",
        of_repository,
        Action.MANAGE,
        answers={200: UsageView},
    )


def everything(session: Session, request: Request) -> Response:
    """Count what is in the repositories that one manages."""
    if session.principal.anonymous:
        raise NotAuthenticatedError
    report = session.statistics.usage()
    view = StatisticsView(
        repositories=tuple(UsageView.of(one) for one in report.repositories),
        total=UsageView.of(report.total),
    )
    return tagged(request, view)


def of_repository(session: Session, request: Request) -> Response:
    """Count what is in a repository, and how much it is used."""
    [usage] = session.statistics.usage(address_of(request)).repositories
    return tagged(request, UsageView.of(usage))
