"""Shapes as JSON Schema (2020-12), as OpenAPI 3.1 has it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, get_args, get_origin

import attrs

from repocore.plugins.api.answering import plain
from repocore.plugins.api.shapes import Listing, Member, members, name_of

__all__ = ["Schemas"]

_SCALARS: Final[Mapping[Any, dict[str, Any]]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    datetime: {"type": "string", "format": "date-time"},
}


class Schemas:
    """The schemas of a description: each shape stands in it once, under its name.

    Two shapes of one name raise `ValueError`.
    """

    def __init__(self) -> None:
        self._kinds: dict[str, Any] = {}
        self._made: dict[str, dict[str, Any]] = {}

    @property
    def made(self) -> Mapping[str, dict[str, Any]]:
        """The schemas by name, of what was asked for and what stands in it."""
        return dict(sorted(self._made.items()))

    def of(self, kind: Any) -> dict[str, Any]:
        """The schema of a type; of a shape it is a reference."""
        if isinstance(kind, Listing):
            return self._listing(kind)
        if get_origin(kind) is not None:
            # What is in it stands last: a tuple has dots behind that.
            items = [one for one in get_args(kind) if one is not ...]
            return self._several(get_origin(kind), items[-1])
        if attrs.has(kind):
            return self._reference(kind, name_of(kind), self._object)
        if kind in _SCALARS:
            return dict(_SCALARS[kind])
        return {"type": "string", "enum": [one.value for one in kind]}

    def _several(self, origin: Any, item: Any) -> dict[str, Any]:
        if origin is tuple:
            return {"type": "array", "items": self.of(item)}
        free = item is Any
        return {"type": "object", "additionalProperties": True if free else self.of(item)}

    def changes(self, kind: type) -> dict[str, Any]:
        """The schema of a merge patch on a shape: each field may be left out."""
        return self._reference(kind, name_of(kind), self._patch)

    def field(self, member: Member) -> dict[str, Any]:
        """The schema of a field, with what it means and what it is where it is not sent."""
        schema = self.of(member.type)
        if member.nullable:
            schema = _nullable(schema)
        if member.help:
            schema["description"] = member.help
        if not member.required and member.default not in (None, {}, ()):
            schema["default"] = plain(member.default)
        return schema

    def _reference(self, kind: Any, name: str, make: Any) -> dict[str, Any]:
        if self._kinds.setdefault(name, kind) is not kind:
            message = f"Two shapes of the API are called {name}."
            raise ValueError(message)
        if name not in self._made:
            self._made[name] = {}  # a shape may hold itself
            self._made[name] = make(kind)
        return {"$ref": f"#/components/schemas/{name}"}

    def _object(self, kind: type) -> dict[str, Any]:
        fields = members(kind)
        # Answers always have all of their fields.
        answer = kind.__name__.endswith("View")
        required = [one.name for one in fields if one.required or answer]
        return {**self._properties(kind), **({"required": required} if required else {})}

    def _patch(self, kind: type) -> dict[str, Any]:
        made = self._properties(kind)
        for property_ in made["properties"].values():
            property_.pop("default", None)
        return made

    def _properties(self, kind: type) -> dict[str, Any]:
        text = (kind.__doc__ or "").strip()
        return {
            "type": "object",
            "description": text,
            "properties": {one.name: self.field(one) for one in members(kind)},
            "additionalProperties": False,
        }

    def _listing(self, kind: Listing) -> dict[str, Any]:
        items = {"type": "array", "items": self.of(kind.item)}
        cursor = {"type": ["string", "null"], "description": "The cursor of the next page."}
        properties: dict[str, Any] = {"items": items, "next": cursor}
        if kind.once is not None:
            properties[kind.once] = {**items, "deprecated": True}
        return {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    made = {**schema, "type": [schema["type"], "null"]}
    if "enum" in made:
        made["enum"] = [*made["enum"], None]
    return made
