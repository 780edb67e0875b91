"""Sign-in of people in a browser: with a password, and with others who say who they are.

``[[provider]]`` names the others: OpenID Connect, OAuth 2, and presets of both.  Whoever has
signed in has a session, in a cookie that no script reads; the cookie is `External` by the name
``session``, and what a trusted proxy says of somebody is one by the name ``header``.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable

from repocore.errors import NotAuthenticatedError, RejectedError
from repocore.http import Route
from repocore.markers import hookimpl
from repocore.model import Credentials, External, Principal, check_account_name
from repocore.plugins.oauth.admission import admit_named
from repocore.plugins.oauth.flows import Flows
from repocore.plugins.oauth.providers import Provider
from repocore.plugins.oauth.routes import SignInRoutes
from repocore.registry import Registry, Session

__all__ = ["repocore_authenticate", "repocore_routes", "repocore_startup"]

_opened: weakref.WeakKeyDictionary[Registry, dict[str, Provider]] = weakref.WeakKeyDictionary()


@hookimpl
def repocore_startup(registry: Registry) -> None:
    """Get ready for the providers of the settings; none is asked before somebody signs in.

    Raises `ConfigurationError` where a package for them is missing.
    """
    _opened[registry] = {
        one.name: Provider(one, registry.tracing) for one in registry.settings.provider
    }


@hookimpl
def repocore_routes(registry: Registry) -> Iterable[Route[Session]]:
    """The pages and the flows."""
    # A registry does not end before its own routes do; nothing else is kept of it.
    return SignInRoutes(registry, Flows(registry, _opened.get(registry, {}))).routes()


@hookimpl
def repocore_authenticate(registry: Registry, credentials: Credentials) -> Principal | None:
    """Whose a session is, or whom a trusted proxy names; None for what neither of them is.

    Raises `NotAuthenticatedError` for a session that has ended, and for a name that no account
    can bear.
    """
    match credentials:
        case External("session", token):
            return registry.session(registry.admin()).sign_ins.resume(token)
        case External("header", name, profile):
            return _named(registry, name, dict(profile))
        case _:
            return None


def _named(registry: Registry, name: str, profile: dict[str, str]) -> Principal:
    try:
        check_account_name(name)
        groups = [group.strip() for group in profile.get("groups", "").split(",")]
        known = frozenset(check_account_name(group) for group in groups if group)
    except RejectedError as error:
        message = "The proxy names somebody whom no account can be; ask the administrator."
        raise NotAuthenticatedError(message) from error
    if registry.settings.web.user_create:
        admit_named(registry, name, "header", profile.get("email", ""))
    return Principal(name=name, groups=known, via="header")
