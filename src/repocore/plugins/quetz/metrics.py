"""``/metrics/channels``: how often files were downloaded, by day, month or year."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from repocore.errors import RejectedError
from repocore.http import Request, Response
from repocore.model import Action
from repocore.plugins.quetz.answers import no_such, permitted, query_flag
from repocore.plugins.quetz.contents import find_package, subdirs_of, versions_of
from repocore.registry import Session

__all__ = ["channel", "version"]

#: The first day of the period that a day is in.
_STARTS: Final[Mapping[str, Callable[[date], date]]] = {
    "D": lambda day: day,
    "M": lambda day: day.replace(day=1),
    "Y": lambda day: day.replace(month=1, day=1),
}
#: Points of a series, at most, where gaps are filled.
_MOST: Final = 10_000


def _period(request: Request) -> str:
    period = request.query.get("period", "D")
    if period not in _STARTS:
        message = "Downloads are counted by day; a period is D, M or Y."
        raise RejectedError(message)
    if request.query.get("metric_name", "download") != "download":
        message = "There is one metric: download."
        raise RejectedError(message)
    return period


def _bound(request: Request, name: str) -> date | None:
    written = request.query.get(name)
    if not written:
        return None
    try:
        return date.fromisoformat(written[:10])
    except ValueError as error:
        message = f"`{name}` is a time in ISO 8601, such as 2026-11-20T12:00:00."
        raise RejectedError(message) from error


def _series(
    request: Request, period: str, counted: Iterable[tuple[str, date, int]]
) -> dict[str, dict[date, int]]:
    """The counts of each file, by the first day of their period."""
    start, end = _bound(request, "start"), _bound(request, "end")
    series: defaultdict[str, defaultdict[date, int]] = defaultdict(lambda: defaultdict(int))
    for name, day, count in counted:
        if (start is None or start <= day) and (end is None or day <= end):
            series[name][_STARTS[period](day)] += count
    return {name: dict(days) for name, days in sorted(series.items())}


def _points(days: Mapping[date, int]) -> list[dict[str, Any]]:
    return [
        {"timestamp": f"{day.isoformat()}T00:00:00", "count": n} for day, n in sorted(days.items())
    ]


def _head(period: str) -> dict[str, str]:
    now = datetime.now(UTC).replace(tzinfo=None).isoformat()
    return {"server_timestamp": now, "period": period, "metric_name": "download"}


def channel(session: Session, request: Request) -> Response:
    """Count the downloads of each file: `?period=`, `?platform=`, `?start=`, `?end=`."""
    found, period = permitted(session, request, Action.READ), _period(request)
    wanted = request.query.get("platform")
    packages: dict[str, Any] = {}
    for subdir in subdirs_of(session, found):
        if wanted in {None, subdir}:
            counted = session.statistics.daily(found.address, subdir)
            for name, days in _series(request, period, counted).items():
                packages[f"{subdir}/{name}"] = {"series": _points(days)}
    return Response.json({**_head(period), "packages": packages})


def version(session: Session, request: Request) -> Response:
    """Count the downloads of one file; `?fill_zeros=true` has the days between, too."""
    found, period = permitted(session, request, Action.READ), _period(request)
    package = find_package(session, found, request.fields["package"])
    subdir, filename = request.fields["platform"], request.fields["filename"]
    names = {(one.platform, one.listed.name) for one in versions_of(session, found, package.name)}
    if (subdir, filename) not in names:
        raise no_such(f"package version {subdir}/{filename}")
    counted = [one for one in session.statistics.daily(found.address, subdir) if one[0] == filename]
    days = _series(request, period, counted).get(filename, {})
    if query_flag(request, "fill_zeros", default=False):
        days = _filled(days, period)
    points = _points(days)
    total = sum(days.values())
    return Response.json({**_head(period), "total": total, "series": points})


def _filled(days: Mapping[date, int], period: str) -> dict[date, int]:
    """With the periods in which nobody came, from the first to the last."""
    if not days:
        return {}
    filled = dict(days)
    day, last = min(days), max(days)
    while day < last and len(filled) < _MOST:
        filled.setdefault(_STARTS[period](day), 0)
        day += timedelta(days=1)
    return filled
