"""``/api/v1/replica``: how far this installation is behind the one that it follows."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Self

import attrs

from repocore.http import Request, Response, Route
from repocore.model import Action
from repocore.plugins.api.answering import tagged_but
from repocore.plugins.api.describing import route
from repocore.registry import ReplicaStatus, Session

__all__ = ["ReplicaView", "routes", "show"]


@attrs.frozen(kw_only=True)
class ReplicaView:
    """How far a replica is behind, as of its last look at the primary."""

    of: Annotated[str | None, "Whom it follows; null where it is no replica."]
    promoted_at: Annotated[datetime | None, "When it became a registry of its own."]
    ok: Annotated[bool, "Whether nothing was behind."]
    whole: Annotated[bool, "Whether everything was here once."]
    behind_seconds: Annotated[int, "Since when nothing was behind."]
    records: Annotated[int, "Changes that were not here."]
    partitions: Annotated[int, "Partitions that were not even."]
    serials: Annotated[int, "How many serials they lacked."]
    missing: Annotated[int, "Contents that files name and nobody has."]
    synced_at: Annotated[datetime | None, "When it began the last look after which it was even."]
    error: Annotated[str, "What kept it from following at its last attempt."]

    @classmethod
    def of_status(cls, one: ReplicaStatus) -> Self:
        """A status as the room tells it."""
        names = {field.name for field in attrs.fields(cls)} - {"ok", "behind_seconds"}
        values = {name: getattr(one, name) for name in names}
        return cls(ok=one.ok, behind_seconds=int(one.behind.total_seconds()), **values)


def routes() -> Iterable[Route[Session]]:
    """One route of the site."""
    yield route("GET", "replica", show, Action.ADMIN, answers={200: ReplicaView})


def show(session: Session, request: Request) -> Response:
    """Tell how far this installation is behind the one that it follows."""
    found = session.replica.status(ask=False)
    return tagged_but(request, ReplicaView.of_status(found), behind_seconds=0)
