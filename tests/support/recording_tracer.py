"""A tracer that keeps its spans, without any package; a plugin of one is below."""

from __future__ import annotations

import contextvars
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import attrs

import repocore
from repocore.ports import SpanKind

_used: contextvars.ContextVar[Recorded | None] = contextvars.ContextVar("used", default=None)


@attrs.define(eq=False)
class Recorded:
    """A span."""

    name: str
    kind: SpanKind
    attributes: dict[str, Any]
    parent: Recorded | str | None
    failed: str | None = None
    ended: int = 0

    @property
    def trace_id(self) -> str:
        if isinstance(self.parent, str):
            return self.parent.split("-")[1]
        return f"{id(self):032x}" if self.parent is None else self.parent.trace_id

    def rename(self, name: str, /) -> None:
        self.name = name

    def set(self, name: str, value: Any, /) -> None:
        self.attributes[name] = value

    def fail(self, kind: str, /) -> None:
        self.failed = kind

    def end(self) -> None:
        self.ended += 1

    def below(self, other: Recorded) -> bool:
        """Whether it is within another, at any depth."""
        above = self.parent
        while isinstance(above, Recorded):
            if above is other:
                return True
            above = above.parent
        return False


class RecordingTracer:
    """Keeps them; also the plugin that brings itself."""

    def __init__(self) -> None:
        self.spans: list[Recorded] = []
        self.closed = 0

    @repocore.hookimpl
    def repocore_tracer(self) -> RecordingTracer:
        return self

    def start(
        self,
        name: str,
        kind: SpanKind,
        attributes: Mapping[str, Any],
        parent: str | None = None,
        /,
    ) -> Recorded:
        made = Recorded(name, kind, dict(attributes), parent or _used.get())
        self.spans.append(made)
        return made

    @contextmanager
    def use(self, span: Recorded, /) -> Generator[None]:
        token = _used.set(span)
        try:
            yield
        finally:
            _used.reset(token)

    def active(self) -> bool:
        return _used.get() is not None

    def traceparent(self) -> str | None:
        used = _used.get()
        return None if used is None else f"00-{used.trace_id}-{id(used):016x}-01"

    def close(self) -> None:
        self.closed += 1

    def named(self, *names: str) -> list[Recorded]:
        return [one for one in self.spans if one.name in names]
