"""Lines of a log: for people, or one JSON object each for programs."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import attrs

from repocore.logs.redacting import hide, printable, redact

__all__ = ["JsonFormatter", "TextFormatter"]

_MARGIN: Final = "  | "
#: Characters of a message, of a traceback and of any other text; the rest of it is cut.
_MESSAGE: Final = 1 << 14
_TRACEBACK: Final = 1 << 16
_TEXT: Final = 1 << 10


@attrs.frozen
class _Said:
    """A record, ready to be written."""

    time: str
    message: str
    #: What went wrong, in lines; empty where nothing did.
    failure: tuple[str, ...]
    fields: Mapping[str, Any]


class _Formatter(logging.Formatter):
    def _read(self, record: logging.LogRecord) -> _Said:
        secrets = tuple(getattr(record, "repocore_secrets", tuple)())
        # What the web adapter has to say of a failure comes with it, under a margin.
        first, *rest = _message(record).split(f"\n{_MARGIN}")
        lines = _clean("\n".join(rest) + _failure(record), secrets, _TRACEBACK)
        fields: Mapping[str, Any] = getattr(record, "repocore_fields", {})
        return _Said(
            time=_time(record.created),
            message="\n".join(_clean(first, secrets, _MESSAGE)),
            failure=tuple(lines),
            fields={name: _field(value, secrets) for name, value in fields.items()},
        )


class TextFormatter(_Formatter):
    """A time (UTC), a level, a logger, a message, and then what is going on, as ``name=value``.

    Further lines of a message or a traceback have a margin, so that none looks like a line of its
    own.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The lines of a record, redacted."""
        said = self._read(record)
        message, *more = said.message.split("\n")
        pairs = "".join(f" {name}={_quoted(value)}" for name, value in said.fields.items())
        first = f"{said.time} {record.levelname} {record.name}: {message}{pairs}"
        return f"\n{_MARGIN}".join((first, *more, *said.failure))


class JsonFormatter(_Formatter):
    """One JSON object a line, of ASCII only; where there is a traceback it is one member of it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record, redacted."""
        said = self._read(record)
        line: dict[str, Any] = {
            "time": said.time,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": said.message,
            **said.fields,
            "process": record.process,
            "thread": printable(str(record.threadName)),
        }
        if said.failure:
            line["exception"] = "\n".join(said.failure)
        return json.dumps(line)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - logging would write the arguments to stderr as they are
        return str(record.msg)


def _failure(record: logging.LogRecord) -> str:
    text = ""
    if record.exc_info and record.exc_info[0] is not None:
        text = "".join(traceback.format_exception(*record.exc_info))
    return f"{text}{record.stack_info or ''}"


def _clean(text: str, secrets: Iterable[str], most: int) -> list[str]:
    if len(text) > most:
        text = f"{text[:most]}…"
    return [redact(line) for line in hide(text, secrets).splitlines()]


def _field(value: Any, secrets: Iterable[str]) -> Any:
    if value is None or isinstance(value, int | float):
        return value
    return " ".join(_clean(str(value), secrets, _TEXT))


def _quoted(value: Any) -> str:
    text = "-" if value is None else str(value)
    return text if text and not set(text) & {" ", '"', "="} else json.dumps(text)


def _time(seconds: float) -> str:
    # RFC 3339; microseconds also where there are none, so that lines sort as texts.
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"
