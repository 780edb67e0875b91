"""Lines for people and for programs: whole, alone, and without a secret."""

from __future__ import annotations

import json
import logging
import re
import sys

import pytest
from hypothesis import given, strategies as st

from repocore.logs import ContextFilter, JsonFormatter, Note, TextFormatter, enter, leave

FORMATTERS = [TextFormatter(), JsonFormatter()]
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"


def written(formatter, message, *args, fields=None, secrets=(), error=None, **more) -> str:
    """A line as a handler of ours writes it."""
    info = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("repocore.lab", logging.ERROR, __file__, 1, message, args, info)
    vars(record).update(more)
    token = enter(Note(dict(fields or {}), lambda: secrets))
    try:
        ContextFilter().filter(record)
    finally:
        leave(token)
    return formatter.format(record)


def raised(text) -> ValueError:
    try:
        raise ValueError(text)
    except ValueError as error:
        return error


def test_json_is_one_object_a_line():
    """With the time in UTC, the level, the logger, the message and what is going on."""
    line = written(JsonFormatter(), "it is %s", "ü", fields={"request_id": "1", "status": 200})
    assert line.isascii()
    said = json.loads(line)
    assert re.fullmatch(TIME, said.pop("time"))
    assert isinstance(said.pop("process"), int)
    assert said == {
        "level": "error",
        "logger": "repocore.lab",
        "message": "it is ü",
        "request_id": "1",
        "status": 200,
        "thread": "MainThread",
    }


def test_text_is_for_people():
    """What is going on stands behind the message; what has spaces in it is quoted."""
    line = written(TextFormatter(), "it is", fields={"request_id": "1", "a": "b c", "none": None})
    assert re.fullmatch(rf'{TIME} ERROR repocore.lab: it is request_id=1 a="b c" none=-', line)


def test_time_is_that_of_the_record():
    """In UTC, with microseconds also where there are none."""
    line = json.loads(written(JsonFormatter(), "x", created=1_700_000_000.0))
    assert line["time"] == "2023-11-14T22:13:20.000000Z"


@pytest.mark.parametrize("formatter", FORMATTERS, ids=["text", "json"])
@given(st.text(), st.text())
def test_no_message_forges_a_line(formatter, message, field):
    """Whatever a client sends: one line that begins as ours do, and no control character."""
    error = raised(f"{message}\n2026-01-01T00:00:00Z ERROR forged")
    line = written(formatter, "%s", message, fields={"path": field}, error=error)
    first, *more = line.split("\n")
    assert first.isprintable()
    assert all(one.startswith("  | ") and one.isprintable() for one in more)
    if isinstance(formatter, JsonFormatter):
        assert not more
        values = json.loads(line)
        said = [value for value in values.values() if isinstance(value, str)]
        assert all(one.isprintable() for value in said for one in value.split("\n"))


@pytest.mark.parametrize("formatter", FORMATTERS, ids=["text", "json"])
def test_secrets_are_nowhere(formatter):
    """Neither in the message, in a field, in a cause, in a note nor in the stack."""
    try:
        try:
            raise KeyError("GET https://canary-1@upstream.example/t/canary-2/x")
        except KeyError as cause:
            cause.add_note("Cookie: canary-3")
            raise ValueError("Authorization: Basic canary-4") from cause
    except ValueError as error:
        line = written(
            formatter,
            "sent %s",
            "colour-canary",
            fields={"query": "?token=canary-5", "agent": "colour-canary"},
            secrets=["colour-canary"],
            error=error,
            stack_info="password=canary-6",
        )
    # The lines of this file that a traceback shows are its own.
    shown = [one for one in line.replace("\\n", "\n").split("\n") if "raise " not in one]
    assert "canary" not in "\n".join(shown)
    assert "KeyError" in line


def test_traceback_is_a_member_of_its_own():
    """Also that which comes with a message of the adapter."""
    said = json.loads(written(JsonFormatter(), "it failed", error=raised("x")))
    assert said["message"] == "it failed"
    assert said["exception"].splitlines()[-1] == "ValueError: x"
    said = json.loads(written(JsonFormatter(), "it failed\n  | Traceback\n  | ValueError: x"))
    assert (said["message"], said["exception"]) == ("it failed", "Traceback\nValueError: x")


@pytest.mark.parametrize("formatter", FORMATTERS, ids=["text", "json"])
def test_a_message_that_does_not_fit_its_arguments_is_a_message(formatter, capsys):
    """logging would write both to stderr, arguments and all."""
    line = written(formatter, "%d of %d", "rpc-canary")
    assert "%d of %d" in line
    assert "canary" not in line + capsys.readouterr().err


def test_lines_have_an_end():
    """A message, a field and a traceback of a megabyte are cut."""
    much = "x" * (1 << 20)
    line = written(JsonFormatter(), much, fields={"agent": much}, error=raised(much))
    assert len(line) < 1 << 17
    assert sys.getsizeof(line) < 1 << 18
