"""What is noted goes on every line of its thread, and of those that act for it."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

from repocore.logs import (
    ContextFilter,
    Note,
    carried,
    current,
    enter,
    leave,
    noted,
    request_id,
)


def test_fields_last_as_long_as_their_block():
    """Those of an inner block come on top."""
    assert request_id() is None
    with noted(request_id="1"):
        with noted(job_id=7):
            assert current().fields == {"request_id": "1", "job_id": 7}
        assert current().fields == {"request_id": "1"}
    assert current().fields == {}


def test_what_is_known_later_is_on_later_lines():
    """Who asks is found out in the middle of a request."""
    note = Note({"request_id": "1"}, lambda: ["hush"])
    token = enter(note)
    note.fields["account"] = "ann"
    assert current().fields["account"] == "ann"
    with noted(job_id=7):
        assert list(current().secrets()) == ["hush"]
    leave(token)
    assert current().fields == {}


def test_threads_are_told_apart_unless_they_act_for_one():
    """A thread of its own knows nothing; what is carried is of the request."""
    seen = []

    def look():
        seen.append(request_id())

    with noted(request_id="1"):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        with ThreadPoolExecutor(1) as pool:
            for _ in range(2):
                pool.submit(carried(look)).result()
            pool.submit(look).result()
    assert seen == [None, "1", "1", None]


def test_a_host_s_own_format_can_show_the_request():
    """By a filter on its handler; outside of a request there is a dash."""
    record = logging.makeLogRecord({"msg": "x", "repocore_fields": {"own": 1}})
    with noted(request_id="1"):
        assert ContextFilter().filter(record)
    assert (record.request_id, record.repocore_fields) == ("1", {"request_id": "1", "own": 1})
    other = logging.makeLogRecord({"msg": "x"})
    ContextFilter().filter(other)
    assert (other.request_id, other.repocore_fields) == ("-", {})
