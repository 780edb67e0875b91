"""From segments to a route: one tree of all templates, built once.

Werkzeug's map would do it too, at several times the cost of a request; the decision record on the
router has the numbers.  A literal segment goes before a field, a field before the rest of a path.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import attrs

from repocore.errors import PluginError
from repocore.http import Route
from repocore.registry import Session

__all__ = ["RESERVED", "Match", "Router", "route_label"]

#: First segments that no format may be called: they are the site's, or those of other protocols.
RESERVED: Final = frozenset(
    {"account", "api", "t", "get", "auth", "docs", "openapi.json", "healthz", "readyz", "metrics"}
    | {"metricsp", "health", "ui", "psm", "v1", "v2"}
)

_FIELD = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(:path)?\}\Z")
_BRACE = re.compile(r"[{}]")


@attrs.frozen
class _Place:
    """A route where it was mounted; ``address`` is None where the path says the repository."""

    route: Route[Session]
    #: Each field and the segment that is its value; the field that is the rest, and its start.
    fields: tuple[tuple[str, int], ...]
    rest: tuple[str, int] | None
    address: str | None
    #: Segments of the path that lie above the template.
    depth: int


@attrs.define
class _Node:
    """One segment of templates: the literals below it, the field, the rest, and who answers."""

    literals: dict[str, _Node] = attrs.field(factory=dict[str, "_Node"])
    field: _Node | None = None
    rest: _Node | None = None
    places: dict[str, _Place] = attrs.field(factory=dict[str, _Place])

    def below(self, segment: str) -> _Node:
        """The node of a template's next segment, made where it is not there."""
        kind = _FIELD.match(segment)
        if kind is None:
            return self.literals.setdefault(segment, _Node())
        if kind[2]:
            self.rest = self.rest or _Node()
            return self.rest
        self.field = self.field or _Node()
        return self.field


@attrs.frozen
class Match:
    """A route, the values of its fields, and the repository that it is asked for ("" is none)."""

    route: Route[Session] | None
    fields: Mapping[str, str]
    repository: str
    #: Segments of the path that lie above the template.
    depth: int
    #: The methods of the path, where the one that was asked for is not among them.
    allowed: tuple[str, ...] = ()


class Router:
    """The routes of a registry.

    ``root`` is the address of the repository that is also reached at the root.  Raises
    `PluginError` for a template that cannot be read, and where two routes could answer one path
    equally well.
    """

    def __init__(self, routes: Iterable[Route[Session]], root: str | None = None) -> None:
        self._tree = _Node()
        for route in routes:
            if route.format is None:
                self._add(route, (), "")
                continue
            if route.format in RESERVED:
                message = f"No format can be called {route.format}; the name is reserved."
                raise PluginError(message)
            self._add(route, (route.format, "{repository}"), None)
            if root is not None and root.partition("/")[0] == route.format:
                self._add(route, (), root)

    def _add(self, route: Route[Session], above: tuple[str, ...], address: str | None) -> None:
        segments = _segments(route.template)
        node = self._tree
        for segment in (*above, *segments):
            node = node.below(segment)
        if route.method in node.places:
            other = node.places[route.method].route
            message = (
                f"{route.method} {route.template} and {other.template} could answer the same "
                "path; disable the plugin of one of them."
            )
            raise PluginError(message)
        kinds = [(_FIELD.match(segment), at) for at, segment in enumerate(segments, len(above))]
        named = [(kind[1], at, kind[2]) for kind, at in kinds if kind]
        fields = tuple((name, at) for name, at, rest in named if not rest)
        rest = next(((name, at) for name, at, rest in named if rest), None)
        node.places[route.method] = _Place(route, fields, rest, address, len(above))

    def find(self, segments: tuple[str, ...], method: str) -> Match | None:
        """Who answers a path; a match without a route is a path that lacks the method."""
        place = self._straight(segments, method)
        if place is not None:
            return _match(place, segments)
        allowed: set[str] = set()
        for places in _walk(self._tree, segments):
            place = _place(places, method)
            if place is not None:
                return _match(place, segments)
            allowed.update(places)
        if not allowed:
            return None
        if "GET" in allowed:
            allowed.add("HEAD")
        return Match(None, {}, "", 0, tuple(sorted(allowed)))

    def _straight(self, segments: tuple[str, ...], method: str) -> _Place | None:
        """The place that is met without turning back once; nearly always there is one."""
        node = self._tree
        for segment in segments:
            below = node.literals.get(segment) or node.field
            if below is None:
                if node.rest is None:
                    return None
                node = node.rest
                break
            node = below
        return _place(node.places, method)


def _place(places: Mapping[str, _Place], method: str) -> _Place | None:
    return places.get(method) or (places.get("GET") if method == "HEAD" else None)


def _segments(template: str) -> tuple[str, ...]:
    if template == "/":
        return ()
    segments = tuple(template[1:].split("/"))
    fields = [_FIELD.match(segment) for segment in segments]
    names = [field[1] for field in fields if field]
    wrong = (
        not template.startswith("/")
        or "" in segments
        or len(names) != len(set(names))
        or any(field and field[2] for field in fields[:-1])
        or any(_BRACE.search(s) and not f for s, f in zip(segments, fields, strict=True))
    )
    if wrong:
        message = (
            f"{template!r} is no template: write /literal/{{field}}/{{rest:path}}, each name once, "
            "the rest last, and no slash at the end."
        )
        raise PluginError(message)
    return segments


def _match(place: _Place, segments: tuple[str, ...]) -> Match:
    fields = {name: segments[at] for name, at in place.fields}
    if place.rest is not None:
        name, at = place.rest
        fields[name] = "/".join(segments[at:])
    address = place.address
    if address is None:
        address = f"{segments[0]}/{segments[1]}"
    return Match(place.route, fields, address, place.depth)


def _walk(tree: _Node, segments: tuple[str, ...]) -> Iterator[dict[str, _Place]]:
    """What a path leads to, the most literal first.

    Each node of the tree is met once at most, however many templates look alike.
    """
    end = len(segments)
    nodes = [(tree, 0)]
    while nodes:
        node, at = nodes.pop()
        if at == end:
            if node.places:
                yield node.places
            continue
        if node.rest is not None:
            nodes.append((node.rest, end))
        if node.field is not None:
            nodes.append((node.field, at + 1))
        literal = node.literals.get(segments[at])
        if literal is not None:
            nodes.append((literal, at + 1))


def route_label(route: Route[Session]) -> str:
    """A route in numbers, lines and spans: its template, below its format; never a path."""
    return route.template if route.format is None else f"{route.format}:{route.template}"
