"""What is going on here: the request or the job that a line of the log, or a span, belongs to.

It is held by a context variable, so each thread has its own; what a thread does on behalf of a
request is run by `carried`.
"""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Any, Final, ParamSpec, TypeVar

__all__ = ["ContextFilter", "Note", "carried", "current", "enter", "leave", "noted", "request_id"]

P = ParamSpec("P")
R = TypeVar("R")


def _none() -> Iterable[str]:
    return ()


class Note:
    """Fields that go on every line, and the secrets that go on none; asked for once there is one.

    The fields may grow while it lasts: who asks is known only once the credentials were read.
    """

    __slots__ = ("fields", "secrets")

    def __init__(
        self, fields: dict[str, Any], secrets: Callable[[], Iterable[str]] = _none
    ) -> None:
        self.fields = fields
        self.secrets = secrets


_NOTHING: Final = Note({})
_current: contextvars.ContextVar[Note] = contextvars.ContextVar("repocore", default=_NOTHING)


def current() -> Note:
    """What is going on here; without fields where nothing was noted.  Do not change that one."""
    return _current.get()


def enter(note: Note) -> contextvars.Token[Note]:
    """Note what begins here; `leave` takes the answer."""
    return _current.set(note)


def leave(token: contextvars.Token[Note]) -> None:
    """Go back to what was noted before."""
    _current.reset(token)


@contextmanager
def noted(**fields: Any) -> Generator[None]:
    """Have each line of the block carry these fields, besides those from around it."""
    around = _current.get()
    token = _current.set(Note({**around.fields, **fields}, around.secrets))
    try:
        yield
    finally:
        _current.reset(token)


def request_id() -> str | None:
    """The id of the request that is being answered here; None outside of one."""
    return _current.get().fields.get("request_id")


def carried(function: Callable[P, R]) -> Callable[P, R]:
    """The function, to be called once in another thread as if it were called here."""
    context = contextvars.copy_context()

    def call(*args: P.args, **more: P.kwargs) -> R:
        return context.run(function, *args, **more)

    return call


class ContextFilter(logging.Filter):
    """Puts on each record what is going on, as ``repocore_fields``, and ``request_id``, which is
    ``-`` outside of a request; for handlers of an application that has formats of its own.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through."""
        note = _current.get()
        own: Mapping[str, Any] = getattr(record, "repocore_fields", {})
        record.repocore_fields = {**note.fields, **own}
        record.repocore_secrets = note.secrets
        record.request_id = note.fields.get("request_id", "-")
        return True
