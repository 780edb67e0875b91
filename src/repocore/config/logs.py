"""The classes that ``[logs]`` and ``[tracing]`` become: what is told of requests and jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from repocore.config.saying import http_url, says, some
from repocore.config.values import Secret

__all__ = ["LogSettings", "TracingSettings"]

_LEVELS: Final = ("debug", "info", "warning", "error", "critical")


def _no_headers() -> dict[str, Secret]:
    return {}


def _format(value: str) -> None:
    if value not in {"text", "json"}:
        raise ValueError('expected "text" (for people) or "json" (an object a line)')


def _level(value: str) -> None:
    if value not in _LEVELS:
        message = f"expected one of {', '.join(_LEVELS)}"
        raise ValueError(message)


def _share(value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError("expected a share between 0 and 1")


@attrs.frozen(kw_only=True)
class LogSettings:
    """``[logs]``: what a server writes down."""

    format: str = attrs.field(
        default="text",
        metadata=says("text for people, or json: one object a line.", check=_format),
    )
    level: str = attrs.field(
        default="warning",
        metadata=says(
            "What is written from there on: debug, info, warning, error, critical.", check=_level
        ),
    )
    access: bool = attrs.field(
        default=False,
        metadata=says("Whether each request has a line on stdout, as with `serve --access-log`."),
    )
    send_request_id: bool = attrs.field(
        default=False,
        metadata=says(
            "Whether other servers that are asked on behalf of a request are sent its id, as "
            "X-Request-ID."
        ),
    )


@attrs.frozen(kw_only=True)
class TracingSettings:
    """``[tracing]``: spans for OpenTelemetry."""

    endpoint: str | None = attrs.field(
        default=None,
        metadata=says(
            "The collector that spans are sent to, by OTLP over HTTP; without one there are none.",
            check=http_url("http://collector.example:4318"),
        ),
    )
    service_name: str = attrs.field(
        default="repocore", metadata=says("What the collector is told that this is.", check=some)
    )
    sample: float = attrs.field(
        default=1.0,
        metadata=says(
            "The share of requests and jobs that are traced, from 0 to 1; what a trusted proxy "
            "traces is, and what it does not is not.",
            check=_share,
        ),
    )
    headers: Mapping[str, Secret] = attrs.field(
        factory=_no_headers,
        metadata=says("Header fields that the collector wants, such as the key of an account."),
    )
    propagate: bool = attrs.field(
        default=False,
        metadata=says(
            "Whether other servers that are asked are told of the trace, as traceparent."
        ),
    )
