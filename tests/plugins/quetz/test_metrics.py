"""Downloads by day, month and year."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from repocore.plugins.quetz import metrics

CHANNEL = "/metrics/channels/main"


@pytest.fixture
def fetched(quetz, tide, zlib):
    """One file was downloaded three times, the other never."""
    quetz.channel("main", "mike")
    for one in (tide, zlib):
        assert quetz.upload("main", one, "mike").status == 201
    for _ in range(3):
        assert quetz.ask(f"/get/main/noarch/{tide.file}", who=None).status == 200
    return quetz


@pytest.mark.parametrize("period", ["D", "M", "Y"])
def test_downloads_of_a_channel(fetched, tide, period) -> None:
    """Each file that was downloaded, with exact keys."""
    told = fetched.value(f"{CHANNEL}?period={period}", who=None)
    assert set(told) == {"server_timestamp", "period", "metric_name", "packages"}
    assert (told["period"], told["metric_name"]) == (period, "download")
    [(name, value)] = told["packages"].items()
    assert name == f"noarch/{tide.file}"
    [point] = value["series"]
    assert point["count"] == 3
    start = datetime.fromisoformat(point["timestamp"])
    assert start.replace(tzinfo=UTC) <= datetime.now(UTC)


def test_downloads_are_chosen(fetched) -> None:
    """By subdir, and by the first and the last day."""
    assert fetched.value(f"{CHANNEL}?platform=linux-64")["packages"] == {}
    assert fetched.value(f"{CHANNEL}?end=2020-01-01T00:00:00")["packages"] == {}
    assert len(fetched.value(f"{CHANNEL}?start=2020-01-01")["packages"]) == 1
    for query in ("period=H", "metric_name=views", "start=soon"):
        assert fetched.refused(f"{CHANNEL}?{query}")[0] == 422


def test_downloads_of_a_file(fetched, tide, zlib) -> None:
    """With their sum; none of a file that nobody fetched, 404 for one that is not there."""
    path = f"{CHANNEL}/packages/tide/versions/noarch/{tide.file}"
    told = fetched.value(f"{path}?fill_zeros=true", who=None)
    assert set(told) == {"server_timestamp", "period", "metric_name", "total", "series"}
    assert (told["total"], len(told["series"])) == (3, 1)
    path = f"{CHANNEL}/packages/zlib/versions/linux-64/{zlib.file}"
    assert (fetched.value(path)["total"], fetched.value(path)["series"]) == (0, [])
    assert fetched.refused(f"{path}x")[0] == 404


def test_gaps_are_filled() -> None:
    """From the first to the last period, and not beyond."""
    days = {date(2026, 1, 30): 1, date(2026, 2, 2): 4}
    assert list(metrics._filled(days, "D").values()) == [1, 4, 0, 0]
    months = metrics._filled({date(2026, 1, 1): 1, date(2026, 4, 1): 4}, "M")
    assert sorted(months) == [date(2026, month, 1) for month in (1, 2, 3, 4)]
    assert metrics._filled({}, "Y") == {}
