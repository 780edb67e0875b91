"""The class that ``[replica]`` becomes: which other installation is followed, and how."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import attrs

from repocore.config.saying import http_url, positive, says
from repocore.config.values import Secret

__all__ = ["ReplicaSettings"]


def _few(value: int) -> None:
    positive(value)
    if value > 64:  # noqa: PLR2004 - said in the message
        raise ValueError("must not be more than 64")


@attrs.frozen(kw_only=True)
class ReplicaSettings:
    """``[replica]``: follow another installation, serve reads, and refuse changes."""

    of: str | None = attrs.field(
        default=None,
        metadata=says(
            "The URL of the primary, which this installation follows; without it, it follows "
            "nobody. Begin with an empty data folder.",
            check=http_url("https://packages.example"),
        ),
    )
    token: Secret | None = attrs.field(
        default=None,
        repr=False,
        metadata=says("A token of an account there that may `replicate`, or administers."),
    )
    interval: timedelta = attrs.field(
        default=timedelta(seconds=10),
        metadata=says("How long it waits until it looks for changes again.", check=positive),
    )
    compare: timedelta = attrs.field(
        default=timedelta(hours=1),
        metadata=says(
            "How often it compares the serials of all partitions, beside those that the records "
            "of changes name.",
            check=positive,
        ),
    )
    workers: int = attrs.field(
        default=4, metadata=says("Contents that it fetches beside each other.", check=_few)
    )
    proxy: Secret | None = attrs.field(
        default=None,
        repr=False,
        metadata=says("http://[user:password@]host:port on the way there."),
    )
    ca_bundle: Path | None = attrs.field(
        default=None, metadata=says("Certificates in the place of the system's.")
    )
    allow: tuple[str, ...] = attrs.field(
        default=(),
        metadata=says(
            "Networks and hosts that need not be public, beside the primary's: those of its "
            "storage, where that sends contents itself."
        ),
    )
    timeout: timedelta = attrs.field(
        default=timedelta(seconds=60),
        metadata=says("How long the primary may be silent.", check=positive),
    )
