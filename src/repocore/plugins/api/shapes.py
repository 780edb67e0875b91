"""Shapes: attrs classes that say what a request may hold, and what an answer does.

The meaning of a field stands beside its type: ``name: Annotated[str, "Its name."]``.  Requests are
read by them, answers are made of them, and the description of the API is written from them.
"""

from __future__ import annotations

import types
from functools import cache
from typing import Annotated, Any, Union, cast, get_args, get_origin, get_type_hints

import attrs

__all__ = ["Listing", "Member", "PageQuery", "members", "name_of"]


@attrs.frozen(kw_only=True)
class Member:
    """A field of a shape."""

    name: str
    #: Its type, without None.
    type: Any
    #: Whether null may stand there.
    nullable: bool
    #: What it means, in a sentence.
    help: str
    #: Whether it has to be sent.
    required: bool
    default: Any


@attrs.frozen
class Listing:
    """The shape of one page of a list: ``items``, and the cursor of the ``next`` page or null."""

    item: type
    #: The name under which the items stood before there were pages, and still stand.
    once: str | None = None


@attrs.frozen(kw_only=True)
class PageQuery:
    """Which page of a list."""

    limit: Annotated[
        int | None, "How many entries at most; the setting `limits.page` is its bound."
    ] = None
    cursor: Annotated[str | None, "Where to go on: the `next` of the page before, as it is."] = None


def name_of(kind: type) -> str:
    """What a shape is called in the description of the API."""
    return kind.__name__.removesuffix("View")


@cache
def members(kind: type) -> tuple[Member, ...]:
    """The fields of a shape, in order."""
    hints = get_type_hints(kind, include_extras=True)
    return tuple(_member(field, hints[field.name]) for field in attrs.fields(cast("Any", kind)))


def _member(field: attrs.Attribute[Any], hint: Any) -> Member:
    help_ = ""
    if get_origin(hint) is Annotated:
        hint, help_ = get_args(hint)[:2]
    nullable = False
    if get_origin(hint) in {Union, types.UnionType}:
        nullable = type(None) in get_args(hint)
        [hint] = [one for one in get_args(hint) if one is not type(None)]
    default = field.default
    if isinstance(default, attrs.Factory):  # pyright: ignore[reportArgumentType]
        default = cast("Any", default).factory()
    return Member(
        name=field.alias or field.name,
        type=hint,
        nullable=nullable,
        help=help_,
        required=default is attrs.NOTHING,
        default=None if default is attrs.NOTHING else default,
    )
