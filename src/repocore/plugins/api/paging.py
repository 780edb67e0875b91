"""Lists in pages: how many, from where, and where they go on.

A cursor is the place of the last entry that was sent, in the order of the list.  Where that order
is one of names or numbers, pages neither skip nor double what stays, whatever comes and goes
between them.  Nothing in a cursor is secret, and nothing is trusted: whoever makes one up gets a
page of what they may read.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Final, TypeVar, cast
from urllib.parse import quote, urlencode

import attrs

from repocore.errors import InvalidRequestError
from repocore.http import Request, Response
from repocore.plugins.api.answering import plain
from repocore.plugins.api.shapes import PageQuery
from repocore.registry import Session

__all__ = ["Page", "answer_page", "cursor_of", "page_of"]

T = TypeVar("T")

#: Entries of a page where nobody says how many.
_USUAL: Final = 100
_LONGEST: Final = 4096
_LARGEST: Final = 1 << 63


@attrs.frozen
class Page:
    """Which page of a list is asked for."""

    limit: int
    #: The place after which it starts; None at the beginning.
    after: tuple[Any, ...] | None


def page_of(session: Session, query: PageQuery, *kinds: type) -> Page:
    """Read which page is asked for; ``kinds`` are the types of a place in this list.

    Raises `InvalidRequestError` for a limit beyond the setting `limits.page`, and for a cursor
    that is not of this list.
    """
    most: int = session.registry.settings.limits.page
    problems: list[str] = []
    limit = min(_USUAL, most) if query.limit is None else query.limit
    if not 0 < limit <= most:
        problems.append(f"`limit` has to be a number from 1 to {most}; ask for more in pages.")
    after = None if query.cursor is None else _place(query.cursor, kinds)
    if query.cursor is not None and after is None:
        problems.append("`cursor` has to be the `next` of a page of this list; begin anew.")
    if problems:
        raise InvalidRequestError(problems=tuple(problems))
    return Page(limit, after)


def answer_page(
    request: Request,
    page: Page,
    found: Iterable[T],
    place: Callable[[T], tuple[Any, ...]],
    view: Callable[[T], Any],
    *,
    once: str | None = None,
) -> Response:
    """A page of what is found, which starts where the page does and may go on for ever."""
    taken = list(islice(found, page.limit + 1))
    items = [plain(view(one)) for one in taken[: page.limit]]
    following = cursor_of(place(taken[page.limit - 1])) if len(taken) > page.limit else None
    body: dict[str, Any] = {"items": items, "next": following}
    if once is not None:
        body[once] = items
    response = Response.json(body)
    if following is None:
        return response
    query = urlencode({**request.query, "cursor": following})
    where = f"{request.base_url}{quote(request.path, safe='/@+~')}?{query}"
    return attrs.evolve(response, headers=(*response.headers, ("Link", f'<{where}>; rel="next"')))


def cursor_of(place: tuple[Any, ...]) -> str:
    """The cursor of what comes behind a place."""
    text = json.dumps(place, ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _place(written: str, kinds: tuple[type, ...]) -> tuple[Any, ...] | None:
    if len(written) > _LONGEST or not written.isascii():
        return None
    try:
        text = base64.b64decode(written + "=" * (-len(written) % 4), altchars=b"-_", validate=True)
        value = json.loads(text)
        place = tuple(cast("list[Any]", value)) if isinstance(value, list) else ()
    except (ValueError, RecursionError):
        return None
    if len(place) != len(kinds):
        return None
    fits = all(type(one) is kind and _fits(one) for one, kind in zip(place, kinds, strict=True))
    return place if fits else None


def _fits(one: object) -> bool:
    """Whether a database can look for it."""
    if isinstance(one, str):
        return "\0" not in one and not any("\ud800" <= c <= "\udfff" for c in one)
    return isinstance(one, int) and abs(one) < _LARGEST
