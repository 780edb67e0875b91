"""From who somebody is elsewhere to an account here: found, linked, made or refused."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from typing import Final

import attrs

from repocore.config import ProviderSettings
from repocore.errors import (
    AccessDeniedError,
    AlreadyExistsError,
    MissingError,
    NotAuthenticatedError,
    RejectedError,
)
from repocore.model import Account, Principal, check_account_name
from repocore.plugins.oauth.profiles import Profile
from repocore.registry import Registry, Session

__all__ = ["admit", "admit_named"]

_STRANGE = re.compile(r"[^A-Za-z0-9._@+-]+")
_ENDS: Final = "._@+-"
_LONGEST: Final = 100


def admit(
    registry: Registry, settings: ProviderSettings, profile: Profile, source: str
) -> Principal:
    """Who somebody is here; their groups are as the provider has them now.

    Only groups that the settings name are given and taken; others are left as they are.  Raises
    `AccessDeniedError` for who is not let in, with a sentence for them, and
    `NotAuthenticatedError` for a disabled account.
    """
    _check_allowed(settings, profile)
    acting = attrs.evolve(registry.admin(), via=settings.name)
    session = registry.session(acting, source=source)
    account = _account(session, settings, profile)
    if account.disabled:
        message = "The account is disabled; ask an administrator."
        raise NotAuthenticatedError(message)
    session.identities.use(settings.name, profile.subject, profile.facts)
    wanted = {settings.groups[group] for group in profile.groups if group in settings.groups}
    _regroup(session, account, wanted, settings.groups.values())
    return Principal(name=account.name, groups=account.groups | wanted, via=settings.name)


def admit_named(registry: Registry, name: str, via: str, email: str = "") -> None:
    """Make the account of a name that a trusted party has proved, where there is none."""
    accounts = registry.session(attrs.evolve(registry.admin(), via=via)).accounts
    try:
        accounts.get(name)
    except MissingError:
        # Another request of theirs may be first.
        with contextlib.suppress(AlreadyExistsError):
            accounts.add(name, email=email)


def _check_allowed(settings: ProviderSettings, profile: Profile) -> None:
    if settings.allowed_domains:
        domain = profile.email.rpartition("@")[2].lower() if profile.verified else ""
        if domain not in {one.lower() for one in settings.allowed_domains}:
            message = "Only people with a verified address of certain domains may sign in here."
            raise AccessDeniedError(message)
    if settings.organisations and profile.groups.isdisjoint(settings.organisations):
        message = "Only members of certain groups may sign in here, and this account is in none."
        raise AccessDeniedError(message)


def _account(session: Session, settings: ProviderSettings, profile: Profile) -> Account:
    key = (settings.name, profile.subject)
    found = session.identities.find(*key)
    if found is not None:
        return session.accounts.get(found.account)
    name = _of_email(session, profile) if settings.link == "email" else None
    if name is not None:
        session.identities.link(*key, name, profile.facts)
        return session.accounts.get(name)
    name = _new_name(settings, profile)
    email = profile.email if profile.verified else ""
    try:
        session.identities.make(*key, name, email, profile.facts)
    except AlreadyExistsError as error:
        # Another window of theirs may have been first.  Else: whoever is called so there is not
        # whoever is called so here.
        found = session.identities.find(*key)
        if found is None:
            message = f"There is an account {name} already; ask an administrator to link it to you."
            raise AccessDeniedError(message) from error
        name = found.account
    return session.accounts.get(name)


def _of_email(session: Session, profile: Profile) -> str | None:
    """The one account with the verified address; None where there is none, or several."""
    if not profile.verified or not profile.email:
        return None
    wanted = profile.email.casefold()
    found = [
        account.name
        for account in session.accounts.list()
        if account.email.casefold() == wanted and not account.service
    ]
    return found[0] if len(found) == 1 else None


def _new_name(settings: ProviderSettings, profile: Profile) -> str:
    if not settings.create:
        message = "There is no account for you here; ask an administrator to link one."
        raise AccessDeniedError(message)
    name = _STRANGE.sub("-", profile.username).strip(_ENDS)[:_LONGEST]
    try:
        return check_account_name(name)
    except RejectedError as error:
        message = "No account can bear your name there; ask an administrator to link one."
        raise AccessDeniedError(message) from error


def _regroup(session: Session, account: Account, wanted: set[str], known: Iterable[str]) -> None:
    """Have the account in those groups of the known ones, and in no other of these."""
    for group in sorted(wanted - account.groups):
        session.accounts.add_to_group(group, account.name)
    for group in sorted((set(known) & account.groups) - wanted):
        session.accounts.remove_from_group(group, account.name)
