"""``/metrics``: whoever may look reads what is going on, and no label names anybody."""

from __future__ import annotations

import re
from datetime import timedelta

import attrs
import pytest
from wsgi_calls import basic

from repocore import JobState
from repocore.catalog import statistics
from repocore.config import WebSettings
from repocore.errors import ConfigurationError, StorageError
from repocore.registry import Health
from repocore_web import create_app, metrics

WATCHED = WebSettings(metrics=True, metrics_from=("192.0.2.0/24",))
LINE = re.compile(r"(\w+)(?:\{(.*)\})? ([0-9.e+-]+|NaN)\Z")


@pytest.fixture
def watched(open_site):
    return open_site(web=WATCHED)


def numbers(site, **fields) -> dict[tuple[str, str], float]:
    """Every sample, by its name and its labels."""
    answer = site.call("/metrics", **{"REMOTE_ADDR": "192.0.2.7", **fields})
    assert answer.status == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=")
    found = {}
    for line in answer.text.splitlines():
        if not line.startswith("#"):
            name, labels, value = LINE.match(line).groups()
            found[name, labels or ""] = float(value)
    return found


def test_requests_are_counted_by_their_routes(watched) -> None:
    """By method and status, too; what no route answers is one more."""
    for path in ("/healthz", "/healthz", "/no/such/thing/at/all", "/healthz?a=%00"):
        watched.call(path)
    watched.call("/healthz", "BREW")
    found = numbers(watched)
    total = "repocore_requests_total"
    assert found[total, 'method="GET",route="/healthz",status="200"'] == 2
    assert found[total, 'method="GET",route="none",status="404"'] == 1
    assert found[total, 'method="other",route="none",status="405"'] == 1
    assert found["repocore_request_seconds_count", 'route="/healthz"'] == 3
    assert found["repocore_response_bytes_total", 'route="/healthz"'] >= 2 * len("ok\n")
    assert found["repocore_requests_open", ""] == 1  # the one that asks


def test_what_fails_is_counted_and_ends(watched, monkeypatch) -> None:
    """As 500, also where the answer itself cannot be begun."""

    def fail(*_args, **_more):
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(watched.app._sender, "send", fail)
        with pytest.raises(ZeroDivisionError):
            watched.call("/healthz")
    found = numbers(watched)
    assert found["repocore_requests_total", 'method="GET",route="/healthz",status="500"'] == 1
    assert found["repocore_requests_open", ""] == 1


def test_labels_name_nobody(watched) -> None:
    """Neither repositories, packages nor people, whatever is asked for."""
    for path in ("/conda/secret/noarch/tide-1-0.conda", "/api/v1/accounts/olga", "/t/hush/x/y"):
        watched.call(path, HTTP_AUTHORIZATION=basic("mallory", "x"))
    text = str(numbers(watched))
    assert not re.search("secret|tide|olga|mallory|hush", text)


def test_the_backlog_is_told(watched) -> None:
    """Jobs that are due, and those that are running."""
    watched.admin.jobs.submit("check")
    watched.admin.jobs.submit("gc", delay=timedelta(days=1))
    found = numbers(watched)
    assert found["repocore_jobs", 'state="queued"'] == 2
    assert found["repocore_jobs", 'state="running"'] == 0
    assert found["repocore_job_wait_seconds", ""] > 0
    assert found["repocore_events_pending", ""] == 0
    backlog = watched.admin.statistics.backlog()
    assert backlog.jobs == {JobState.QUEUED: 2, JobState.RUNNING: 0}


def test_without_a_catalog_there_are_the_numbers_of_requests(watched, monkeypatch) -> None:
    """Also where it has gone only now, and nobody has noticed."""
    watched.call("/healthz")
    total = "repocore_requests_total", 'method="GET",route="/healthz",status="200"'

    def gone(*_arguments):
        raise StorageError

    known = Health(catalog=False, storage=True, waiting=0, wait=timedelta())
    for where, name, value in (
        (watched.registry, "health", lambda: known),
        (statistics, "backlog", gone),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(where, name, value)
            found = numbers(watched)
        assert found[total] == 1
        assert ("repocore_events_pending", "") not in found
    assert ("repocore_events_pending", "") in numbers(watched)


def test_no_address_is_let_in_by_itself(open_site) -> None:
    """Not even that of the machine: everybody has it whom a proxy lets through."""
    closed = open_site(web=WebSettings(metrics=True))
    assert closed.call("/metrics", REMOTE_ADDR="127.0.0.1").status == 401


def test_whoever_may_not_look_is_refused(watched) -> None:
    """Elsewhere it takes an administrator."""
    assert watched.call("/metrics", REMOTE_ADDR="198.51.100.1").status == 401
    assert watched.signed("/metrics", REMOTE_ADDR="198.51.100.1").status == 404
    watched.allow("user:writer", "admin", "**")
    assert watched.signed("/metrics", REMOTE_ADDR="198.51.100.1").status == 200


def test_who_is_behind_a_proxy_is_not_the_proxy(open_site) -> None:
    """What a trusted proxy says of its client counts."""
    web = attrs.evolve(WATCHED, trusted_proxies=("192.0.2.1",))
    site = open_site(web=web)
    fields = {"REMOTE_ADDR": "192.0.2.1", "HTTP_X_FORWARDED_FOR": "198.51.100.1"}
    assert site.call("/metrics", **fields).status == 401


def test_without_the_setting_there_is_nothing(site) -> None:
    """And nothing is counted."""
    assert site.call("/metrics").status == 404
    assert site.app._metrics is None


def test_what_is_not_installed_is_named(site, monkeypatch) -> None:
    """With what to install."""

    def missing(name: str):
        raise ImportError(name)

    registry = site.registry
    monkeypatch.setattr(registry, "settings", attrs.evolve(registry.settings, web=WATCHED))
    monkeypatch.setattr(metrics.importlib, "import_module", missing)
    with pytest.raises(ConfigurationError, match=r"pip install 'repocore\[server\]'"):
        create_app(registry)
