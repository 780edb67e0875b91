"""Webhooks: events are sent to other servers, signed, until these have taken them.

An event is sent as CloudEvents 1.0 in structured JSON, and signed by the rules of Standard
Webhooks: ``webhook-id``, ``webhook-timestamp`` and ``webhook-signature``, an HMAC with SHA-256 over
both and the body.  Each delivery is a job, with the attempts of jobs; redirects are not followed,
and only addresses that are public, or allowed by the settings, are connected to.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import attrs

from repocore.config import Secret, http_url, says
from repocore.errors import (
    ConfigurationError,
    JobError,
    UpstreamRefusedError,
    UpstreamUnavailableError,
)
from repocore.markers import hookimpl
from repocore.model import Event, JobFinished, JobSubmitted, Pattern, Payload, Resource
from repocore.model.decisions import compiled
from repocore.model.events import event_name, event_subject
from repocore.ports import JobHandler, Progress
from repocore.registry import Registry, Session, Tracing, UpstreamClient

__all__ = [
    "HookSettings",
    "WebhookSettings",
    "Webhooks",
    "repocore_jobs",
    "repocore_settings",
    "repocore_startup",
    "sign",
]

_KIND: Final = "webhook"
_SHORTEST: Final = 20
_ATTEMPTS: Final = 12
_TAKEN: Final = range(200, 300)
#: Who says so wants no more of them.
_GONE: Final = 410


def _long(value: str) -> None:
    if len(value) < _SHORTEST:
        raise ValueError(f"a secret has at least {_SHORTEST} characters")


def _name(value: str) -> None:
    if not value.isidentifier():
        raise ValueError("a name is of letters, digits and _, and begins with a letter")


def _different(value: tuple[HookSettings, ...]) -> None:
    if len({hook.name for hook in value}) < len(value):
        raise ValueError("two have the same name")


def _known(value: tuple[str, ...]) -> None:
    unknown = sorted(set(value) - _EVENTS)
    if unknown:
        raise ValueError(f"there is no event {unknown[0]}; there are {', '.join(sorted(_EVENTS))}")


_EVENTS: Final = frozenset(event_name(kind) for kind in Event.__args__)


@attrs.frozen(kw_only=True)
class HookSettings:
    """A ``[[plugins.webhooks.hook]]``: who is told of what."""

    name: str = attrs.field(metadata=says("Its name, in the list of jobs.", check=_name))
    url: Secret = attrs.field(
        repr=False,
        metadata=says(
            "Where it is sent; it is not shown anywhere.",
            check=http_url("https://builds.example/hooks"),
        ),
    )
    secret: Secret = attrs.field(
        repr=False, metadata=says("What it is signed with; the receiver has it too.", check=_long)
    )
    events: tuple[str, ...] = attrs.field(
        default=(),
        metadata=says("The kinds of events, such as release.added; without any all.", check=_known),
    )
    pattern: str = attrs.field(
        default="**",
        metadata=says(
            "Of which repositories, as in a rule; events of none are sent with ** only.",
            check=Pattern.compile,
        ),
    )
    ca_bundle: Path | None = attrs.field(
        default=None, metadata=says("Certificates in the place of the system's.")
    )
    proxy: Secret | None = attrs.field(
        default=None,
        repr=False,
        metadata=says("http://[user:password@]host:port on the way there."),
    )
    allow: tuple[str, ...] = attrs.field(
        default=(), metadata=says("Networks and names of hosts that need not be public.")
    )
    timeout: float = attrs.field(
        default=10.0, metadata=says("Seconds in which the receiver has taken it.")
    )


def _none() -> tuple[HookSettings, ...]:
    return ()


@attrs.frozen(kw_only=True)
class WebhookSettings:
    """``[plugins.webhooks]``."""

    hook: tuple[HookSettings, ...] = attrs.field(
        factory=_none, metadata=says("Who is told of what.", check=_different)
    )


@hookimpl
def repocore_settings() -> Mapping[str, type]:
    """``[plugins.webhooks]``."""
    return {"webhooks": WebhookSettings}


@hookimpl
def repocore_startup(registry: Registry) -> None:
    """Listen, where somebody wants to be told."""
    settings: WebhookSettings = registry.plugin_settings("webhooks")
    if settings.hook:
        registry.plugins.register(Webhooks(settings.hook), name=f"{__name__}.listener")


@hookimpl
def repocore_jobs() -> Mapping[str, JobHandler[Session]]:
    """One kind; its jobs are submitted by the listener."""
    return {
        _KIND: JobHandler(
            run=_deliver, summary="Send an event to whom the settings name.", attempts=_ATTEMPTS
        )
    }


class Webhooks:
    """Queues a delivery of each event for each hook that wants it."""

    def __init__(self, hooks: tuple[HookSettings, ...]) -> None:
        for hook in hooks:
            _client(hook)  # what cannot be is told at the start
        self._hooks = hooks

    @hookimpl
    def repocore_event(self, registry: Registry, event: Event, number: int, at: datetime) -> None:
        """Queue it; each time with the same id, so that a receiver can tell a repetition."""
        if isinstance(event, (JobSubmitted, JobFinished)) and event.kind == _KIND:
            return  # to tell of a delivery would never end
        jobs = registry.session(registry.admin(), source="webhooks").jobs
        for hook in self._hooks:
            if _wants(hook, event):
                told = _cloud_event(registry, event, f"{number}-{at.timestamp():.6f}", at)
                payload: dict[str, Any] = {"hook": hook.name, "event": told}
                jobs.submit(_KIND, payload, key=f"{hook.name}:{told['id']}")


def _wants(hook: HookSettings, event: Event) -> bool:
    if hook.events and event_name(type(event)) not in hook.events:
        return False
    address = getattr(event, "repository", None)
    if address is None:
        return hook.pattern == "**"
    format_, name = address.split("/", 1)
    pattern = compiled(hook.pattern)
    covered = pattern.covers(format_, name)
    if covered is not None:
        return covered
    package, version = getattr(event, "package", None), getattr(event, "version", None)
    resource = Resource(format_, name, package, version if package else None)
    return pattern.matches(resource)


def _cloud_event(registry: Registry, event: Event, number: str, at: datetime) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": number,
        "source": registry.settings.web.public_url or "/",
        "type": f"repocore.{event_name(type(event))}",
        "subject": event_subject(event),
        "time": at.isoformat(),
        "datacontenttype": "application/json",
        "data": attrs.asdict(event),
    }


def _client(hook: HookSettings, tracing: Tracing | None = None) -> UpstreamClient:
    return UpstreamClient(
        proxy=hook.proxy,
        ca_bundle=hook.ca_bundle,
        timeout=hook.timeout,
        allow=hook.allow,
        most=0,
        tracing=tracing,
    )


def sign(secret: str, number: str, timestamp: int, body: bytes) -> str:
    """The signature of Standard Webhooks: ``v1,`` and the HMAC over id, time and body in base64."""
    signed = f"{number}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(secret.encode(), signed, hashlib.sha256)).decode()


def _deliver(session: Session, payload: Payload, progress: Progress) -> str:
    settings: WebhookSettings = session.registry.plugin_settings("webhooks")
    hook = next((one for one in settings.hook if one.name == payload.get("hook")), None)
    if hook is None:
        raise ConfigurationError(f"There is no webhook {payload.get('hook')} in the settings.")
    event: Any = payload["event"]
    body = json.dumps(event, ensure_ascii=False).encode()
    now = int(time.time())
    fields = {
        "Content-Type": "application/cloudevents+json; charset=utf-8",
        "webhook-id": str(event["id"]),
        "webhook-timestamp": str(now),
        "webhook-signature": sign(hook.secret, str(event["id"]), now, body),
    }
    progress.check()
    try:
        status = _client(hook, session.registry.tracing).post(hook.url, body, fields)
    except UpstreamRefusedError as error:  # another attempt would come to the same
        raise JobError(f"{hook.name}: {error}") from error
    if status == _GONE:
        return f"{hook.name} wants no more of it (410)."
    if status not in _TAKEN:
        message = f"{hook.name} has not taken the event: it answered {status}."
        raise UpstreamUnavailableError(message)
    return f"{hook.name} has taken {event['type']}."
