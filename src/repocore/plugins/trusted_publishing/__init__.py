"""Trusted publishing: a job of a CI trades the token that its CI signed for one of ours.

No secret is kept in the CI: the job proves what it is, and gets a token for minutes that may do
what the settings say of such jobs.  The form is that of ``/api/oidc/mint_token``, as the clients of
conda channels send it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from weakref import WeakKeyDictionary

from repocore.errors import ConfigurationError, RejectedError
from repocore.http import Admits, Request, Response, Route
from repocore.markers import hookimpl
from repocore.plugins.trusted_publishing.minting import Mint
from repocore.plugins.trusted_publishing.settings import (
    PublisherSettings,
    TrustedPublishingSettings,
)
from repocore.registry import Registry, Session

__all__ = [
    "PublisherSettings",
    "TrustedPublishingSettings",
    "mint_token",
    "repocore_routes",
    "repocore_settings",
    "repocore_startup",
]

# By registry, so that two of them in one process never share keys.
_mints: WeakKeyDictionary[Registry, Mint] = WeakKeyDictionary()


@hookimpl
def repocore_settings() -> Mapping[str, type]:
    """``[plugins.trusted_publishing]``."""
    return {"trusted_publishing": TrustedPublishingSettings}


@hookimpl
def repocore_startup(registry: Registry) -> None:
    """Make the mint.  Raises `ConfigurationError` where what it needs is not installed."""
    settings: TrustedPublishingSettings = registry.plugin_settings("trusted_publishing")
    if settings.publisher and importlib.util.find_spec("cryptography") is None:
        message = "Trusted publishing needs cryptography; pip install 'repocore[oauth]'."
        raise ConfigurationError(message)
    _mints[registry] = Mint(settings.publisher, registry.tracing)


@hookimpl
def repocore_routes() -> Iterable[Route[Session]]:
    """One route of the site."""
    yield Route(
        method="POST",
        template="/api/oidc/mint_token",
        handler=mint_token,
        summary="Trade the token of a CI's job for a short-lived token: `token`; the answer is it.",
        permission=Admits.ANYONE,
    )


def mint_token(session: Session, request: Request) -> Response:
    """Trade the token of a CI's job; the body of the answer is the new token, and nothing else."""
    token = request.json("token", most=1 << 17).get("token")
    if not isinstance(token, str):
        message = "Send the token of the job as `token`."
        raise RejectedError(message)
    registry: Registry = session.registry
    return Response.text(_mints[registry].mint(registry, token, session.source))
