"""From segments to a route: one dict on the repository, then a small tree a format.

Werkzeug's map would do it too, at several times the cost a request; the decision record has the
numbers.  A literal segment goes before a field, a field before the rest of a path.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import attrs

from repocore.errors import PluginError
from repocore.http import Route
from repocore.registry import Session

__all__ = ["Match", "Router"]


@attrs.define
class _Node:
    """One segment of templates: the literals below it, the field, the rest, and who answers."""

    literals: dict[str, _Node] = attrs.field(factory=dict[str, "_Node"])
    field: _Node | None = None
    rest: _Node | None = None
    #: By method: the route, and the names of its fields in order.
    routes: dict[str, tuple[Route[Session], tuple[str, ...]]] = attrs.field(
        factory=dict[str, tuple[Route[Session], tuple[str, ...]]]
    )


@attrs.frozen
class Match:
    """A route, the values of its fields, and the repository that it is asked for ("" is none)."""

    route: Route[Session] | None
    fields: Mapping[str, str]
    repository: str
    #: Segments of the path that lie above the template.
    depth: int
    #: The methods of the path, for those that are not among them.
    allowed: tuple[str, ...] = ()


class Router:
    """The routes of a registry.

    ``root`` is the address of the repository that is also reached at the root.  Raises
    `PluginError` where two routes could answer one path equally well.
    """

    def __init__(self, routes: Iterable[Route[Session]], root: str | None = None) -> None:
        self._formats: dict[str, _Node] = {}
        self._site = _Node()
        self._root = root
        for route in routes:
            tree = self._site
            if route.format is not None:
                tree = self._formats.setdefault(route.format, _Node())
            _add(tree, route)

    def find(self, segments: tuple[str, ...], method: str) -> Match | None:
        """Who answers a path; a match without a route is a path that lacks the method."""
        if len(segments) > 2 and (tree := self._formats.get(segments[0])):  # noqa: PLR2004 - format/name
            address = f"{segments[0]}/{segments[1]}"
            found = _find(tree, segments, 2, method, address)
            if found is not None:
                return found
        found = _find(self._site, segments, 0, method, "")
        if found is None and self._root is not None:
            tree = self._formats.get(self._root.partition("/")[0])
            if tree is not None:
                found = _find(tree, segments, 0, method, self._root)
        return found


def _add(tree: _Node, route: Route[Session]) -> None:
    node = tree
    names: list[str] = []
    for segment in route.template.strip("/").split("/") if route.template != "/" else ():
        if segment.startswith("{") and segment.endswith(":path}"):
            names.append(segment[1:-6])
            node.rest = node.rest or _Node()
            node = node.rest
        elif segment.startswith("{"):
            names.append(segment[1:-1])
            node.field = node.field or _Node()
            node = node.field
        else:
            node = node.literals.setdefault(segment, _Node())
    if route.method in node.routes:
        other = node.routes[route.method][0]
        message = (
            f"Two routes answer {route.method} {route.template} ({other.template}); "
            "disable one of their plugins."
        )
        raise PluginError(message)
    node.routes[route.method] = (route, tuple(names))


def _find(
    tree: _Node, segments: tuple[str, ...], depth: int, method: str, address: str
) -> Match | None:
    allowed: set[str] = set()
    for node, values in _walk(tree, segments, depth):
        found = node.routes.get(method) or (node.routes.get("GET") if method == "HEAD" else None)
        if found is not None:
            route, names = found
            return Match(route, dict(zip(names, values, strict=True)), address, depth)
        allowed.update(node.routes)
    if not allowed:
        return None
    if "GET" in allowed:
        allowed.add("HEAD")
    return Match(None, {}, address, depth, tuple(sorted(allowed)))


def _walk(
    node: _Node, segments: tuple[str, ...], at: int
) -> Iterator[tuple[_Node, tuple[str, ...]]]:
    """The nodes with routes that a path leads to, the most literal first, with the field values."""
    if at == len(segments):
        if node.routes:
            yield node, ()
        return
    segment = segments[at]
    literal = node.literals.get(segment)
    if literal is not None:
        yield from _walk(literal, segments, at + 1)
    if node.field is not None:
        for found, values in _walk(node.field, segments, at + 1):
            yield found, (segment, *values)
    if node.rest is not None and node.rest.routes:
        yield node.rest, ("/".join(segments[at:]),)
