"""``/api/v1/events``: who changed what, as the audit trail has it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, Self

import attrs

from repocore.http import Request, Response, Route
from repocore.model import Action, AuditQuery, AuditRecord
from repocore.plugins.api.answering import plain
from repocore.plugins.api.describing import route
from repocore.plugins.api.paging import answer_page, page_of
from repocore.plugins.api.reading import read_query
from repocore.plugins.api.shapes import Listing, PageQuery
from repocore.registry import Session

__all__ = ["EventView", "EventsQuery", "ExportQuery", "export", "list_events", "routes"]

_LINES = "application/x-ndjson"


@attrs.frozen(kw_only=True)
class EventView:
    """One change of state."""

    id: Annotated[int, "Its number; later ones are larger."]
    at: Annotated[datetime, "When."]
    who: Annotated[str, "The account that did it."]
    via: Annotated[str, "What proved who it is."]
    token_id: Annotated[int | None, "The token that was used."]
    source: Annotated[str, "The client's address, or `cli:` and a user of the machine."]
    kind: Annotated[str, "What happened, as in `release.added`."]
    what: Annotated[str, "What it happened to."]
    details: Annotated[Mapping[str, Any], "The fields of the event."]
    before: Annotated[Mapping[str, Any] | None, "What was there; null where nothing was."]
    after: Annotated[Mapping[str, Any] | None, "What is there now; null where nothing is."]

    @classmethod
    def of(cls, one: AuditRecord) -> Self:
        """A record of the audit trail."""
        return cls(
            id=one.id,
            at=one.at,
            who=one.origin.who,
            via=one.origin.via,
            token_id=one.origin.token_id,
            source=one.origin.source,
            kind=one.kind,
            what=one.what,
            details=one.details,
            before=one.before,
            after=one.after,
        )


@attrs.frozen(kw_only=True, slots=False)  # so that it can stand beside the other one
class ExportQuery:
    """Which events."""

    who: Annotated[str | None, "Only what an account did."] = None
    kind: Annotated[str | None, "Only one kind, as in `release.added`."] = None
    what: Annotated[str | None, "Only what happened to a thing, or to what is in it."] = None
    since: Annotated[datetime | None, "Only from a time on."] = None
    until: Annotated[datetime | None, "Only before a time."] = None


@attrs.frozen(kw_only=True)
class EventsQuery(ExportQuery, PageQuery):
    """Which events, and which page of them."""


def routes() -> Iterable[Route[Session]]:
    """Two routes of the site."""
    yield route(
        "GET",
        "events",
        list_events,
        Action.MANAGE,
        query=EventsQuery,
        answers={200: Listing(EventView)},
    )
    yield route(
        "GET",
        "events/export",
        export,
        Action.MANAGE,
        query=ExportQuery,
        answers={200: _LINES},
    )


def list_events(session: Session, request: Request) -> Response:
    """List changes, the newest first: of a repository (`?what=`) for who manages it, else all."""
    query = read_query(request, EventsQuery)
    page = page_of(session, query, int)
    wanted = _wanted(query)
    before = page.after[0] if page.after else None
    # The room has to be asked before a page is begun, and it knows who may.
    found = session.audit.list(wanted, before=before, limit=page.limit)
    more = _further(session, wanted, found, page.limit)
    return answer_page(request, page, more, lambda one: (one.id,), EventView.of)


def _further(
    session: Session, wanted: AuditQuery, found: list[AuditRecord], limit: int
) -> Iterator[AuditRecord]:
    yield from found
    if len(found) == limit:
        yield from session.audit.list(wanted, before=found[-1].id, limit=1)


def export(session: Session, request: Request) -> Response:
    """Send every change, the oldest first, a line of JSON for each."""
    found = session.audit.export(_wanted(read_query(request, ExportQuery)))
    return Response(200, _lines(found), (("Content-Type", _LINES),))


def _wanted(query: ExportQuery) -> AuditQuery:
    names = (field.name for field in attrs.fields(AuditQuery))
    return AuditQuery(**{name: getattr(query, name) for name in names})


def _lines(found: Iterator[AuditRecord]) -> Iterator[bytes]:
    for one in found:
        yield json.dumps(plain(EventView.of(one)), ensure_ascii=False).encode() + b"\n"
