"""How the queue reaches the database of the catalog."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, Final

from psycopg.conninfo import conninfo_to_dict

from repocore.config import Settings

__all__ = ["connection_options"]

_DRIVER: Final = re.compile(r"^postgresql(\+\w+)?://")


def connection_options(settings: Settings) -> dict[str, Any]:
    """What the driver is told: the catalog's URL, and before that what ``[postgres]`` bounds.

    A pooler of transactions is sent no time-outs, as it would refuse them.
    """
    wanted = settings.postgres
    given: dict[str, Any] = dict(conninfo_to_dict(_DRIVER.sub("postgresql://", settings.catalog)))
    silence = wanted.keepalive + wanted.keepalive_count * wanted.keepalive_interval
    options: dict[str, Any] = {
        "connect_timeout": max(1, round(wanted.connect_timeout.total_seconds())),
        "keepalives_idle": max(1, round(wanted.keepalive.total_seconds())),
        "keepalives_interval": max(1, round(wanted.keepalive_interval.total_seconds())),
        "keepalives_count": wanted.keepalive_count,
        "tcp_user_timeout": _millis(silence),
        "application_name": wanted.application_name,
    }
    if wanted.transaction_pooling:
        options["prepare_threshold"] = None
    else:
        bounds = f"-c statement_timeout={_millis(wanted.statement_timeout)}"
        bounds += f" -c lock_timeout={_millis(wanted.lock_timeout)}"
        options["options"] = f"{bounds} {given.pop('options', '')}".strip()
    return {**options, **given}


def _millis(length: timedelta) -> int:
    return round(length.total_seconds() * 1000)
