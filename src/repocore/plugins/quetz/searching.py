"""``/search``: packages and channels by words and filters.

``tide NOT data channel:main,edge -platform:win-64``: words are parts of the name, a filter takes
one of several values, and a minus turns it round.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

import attrs

from repocore.errors import RejectedError
from repocore.http import Request, Response
from repocore.model import Repository
from repocore.plugins.quetz.channels import readable
from repocore.plugins.quetz.contents import Package, packages_of
from repocore.plugins.quetz.packages import describe
from repocore.registry import Session

__all__ = ["Query", "channels", "packages"]

T = TypeVar("T")

_LONGEST: Final = 1000
#: More is not answered: nobody looks through it, and each of them costs a look at its files.
_MOST: Final = 500


@attrs.frozen
class Query:
    """What is looked for."""

    wanted: tuple[str, ...]
    unwanted: tuple[str, ...]
    #: The name of the filter, its values, and whether one of them has to be met, or none.
    filters: tuple[tuple[str, tuple[str, ...], bool], ...]

    @classmethod
    def parse(cls, text: str, filters: Sequence[str]) -> Query:
        """Read what somebody typed; raises `RejectedError`.  Unknown filters are passed over."""
        if len(text) > _LONGEST:
            message = f"Ask in up to {_LONGEST} characters."
            raise RejectedError(message)
        try:
            words = shlex.split(text)
        except ValueError as error:
            message = "A quotation mark is missing."
            raise RejectedError(message) from error
        wanted: list[str] = []
        unwanted: list[str] = []
        found: list[tuple[str, tuple[str, ...], bool]] = []
        into = wanted
        for word in words:
            name, colon, values = word.partition(":")
            if colon:
                plain = name.removeprefix("-")
                if plain in filters:
                    found.append((plain, tuple(values.casefold().split(",")), name == plain))
            elif word == "NOT":
                into = unwanted
            else:
                into.append(word.casefold())
                into = wanted
        return cls(tuple(wanted), tuple(unwanted), tuple(found))

    def matches(self, name: str, fields: Mapping[str, str]) -> bool:
        """Whether something of that name and with these texts is meant."""
        plain = name.casefold()
        return (
            all(word in plain for word in self.wanted)
            and not any(word in plain for word in self.unwanted)
            and all(
                any(value in fields[field].casefold() for value in values) is met
                for field, values, met in self.filters
            )
        )


def _asked(request: Request) -> str:
    text = request.query.get("q")
    if text is None:
        message = "Say what to look for: ?q=."
        raise RejectedError(message)
    return text


def packages(session: Session, request: Request) -> Response:
    """Search the packages of all channels that one may read."""
    query = Query.parse(_asked(request), ("channel", "description", "summary", "platform"))
    found: list[Package] = []
    for channel in readable(session):
        every = packages_of(session, channel).values()
        found.extend(one for one in every if query.matches(one.name, _texts(one)))
    found.sort(key=lambda one: (one.name, one.channel))
    return Response.json(
        [{**describe(session, one), "channel_name": one.channel} for one in found[:_MOST]]
    )


def _texts(one: Package) -> dict[str, str]:
    return {
        "channel": one.channel,
        "description": one.description,
        "summary": one.summary,
        "platform": ":".join(one.platforms),
    }


def channels(session: Session, request: Request) -> Response:
    """Search the channels that one may read."""
    query = Query.parse(_asked(request), ("description", "private"))
    return Response.json(
        [_channel(one) for one in readable(session) if query.matches(one.name, _facts(one))]
    )


def _facts(one: Repository) -> dict[str, str]:
    return {"description": one.description, "private": str(one.private).lower()}


def _channel(one: Repository) -> dict[str, Any]:
    return {"name": one.name, "description": one.description, "private": one.private}
