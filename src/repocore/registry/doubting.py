"""What is named in rules and settings and is not there.

It may come to be there later, and another authenticator may know it: so it is told, and nothing is
refused for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import attrs

from repocore.catalog import Catalog, accounts, following, repositories
from repocore.config import Settings

__all__ = ["Known", "settings_doubts", "stored_doubts", "subject_doubts", "where_doubts"]


@attrs.frozen(kw_only=True)
class Known:
    """The names that are there."""

    accounts: Collection[str]
    groups: Collection[str]
    formats: Collection[str]
    #: Addresses: ``conda/main``.
    repositories: Collection[str]


def subject_doubts(subject: str, known: Known) -> Iterator[str]:
    """What is not there of a subject of rules."""
    kind, _, name = subject.partition(":")
    if kind == "user" and name not in known.accounts:
        yield f"there is no account {name}; only another authenticator could sign in as that."
    elif kind == "group" and name not in known.groups:
        yield (
            f"nobody is in a group {name}; only another authenticator could put somebody into it."
        )


def where_doubts(pattern: str, known: Known) -> Iterator[str]:
    """What is not there of a pattern of rules, or of a resource."""
    first, _, rest = pattern.partition("/")
    if first not in known.formats and not {"*", "?"} & {*first}:
        yield f"there is no format {first}; there are {', '.join(sorted(known.formats))}."
    second = rest.partition("/")[0]
    if first in known.formats and second and not {"*", "?"} & {*second}:
        address = f"{first}/{second}"
        if address not in known.repositories:
            yield f"there is no repository {address}."


def settings_doubts(
    settings: Settings, formats: Collection[str], catalog: Catalog | None = None
) -> list[str]:
    """What settings name that is neither among them nor in the catalog, each in a sentence that
    begins with the setting.
    """
    known = _known(settings, formats, catalog)
    found = [f"{place}: {doubt}" for place, doubt in _doubts(settings, known)]
    if catalog is not None and settings.replica.of is not None and _promoted(catalog):
        found.append("replica.of: this registry was promoted, and follows nobody; take it out.")
    return found


def _promoted(catalog: Catalog) -> bool:
    with catalog.snapshot() as connection:
        return following.promoted_at(connection) is not None


def stored_doubts(settings: Settings, formats: Collection[str]) -> list[str]:
    """As `settings_doubts`, with the catalog of the settings, which is read and not changed.

    Raises `StorageError` and `ConfigurationError` where it cannot be read.
    """
    catalog = Catalog(settings.catalog, folder=settings.data, postgres=settings.postgres)
    try:
        return settings_doubts(settings, formats, catalog)
    finally:
        catalog.close()


def _doubts(settings: Settings, known: Known) -> Iterator[tuple[str, str]]:
    for place, subject in _subjects(settings):
        for doubt in subject_doubts(subject, known):
            yield place, doubt
    for place, pattern in _patterns(settings):
        for doubt in where_doubts(pattern, known):
            yield place, doubt
    if settings.web.user_header and not settings.web.trusted_proxies:
        yield "web.user_header", "it is believed of `web.trusted_proxies` only, and there is none."


def _subjects(settings: Settings) -> Iterator[tuple[str, str]]:
    for number, rule in enumerate(settings.rule):
        yield f"rule[{number}].subject", rule.subject
    for number, binding in enumerate(settings.binding):
        yield f"binding[{number}].subject", binding.subject


def _patterns(settings: Settings) -> Iterator[tuple[str, str]]:
    for number, rule in enumerate(settings.rule):
        yield f"rule[{number}].pattern", rule.pattern
    for number, binding in enumerate(settings.binding):
        yield f"binding[{number}].pattern", binding.pattern
    for number, account in enumerate(settings.account):
        for which, token in enumerate(account.token):
            for scope in token.allow:
                place = f"account[{number}].token[{which}].allow"
                yield place, scope.partition(":")[2]


def _known(settings: Settings, formats: Collection[str], catalog: Catalog | None) -> Known:
    names = {account.name for account in settings.account}
    groups = {group for account in settings.account for group in account.groups}
    addresses = {f"{one.format}/{one.name}" for one in settings.repository}
    if catalog is not None:
        with catalog.snapshot() as connection:
            names |= accounts.those(connection, _named(settings))
            groups |= accounts.groups(connection).keys()
            addresses |= {one.value.address for one in repositories.everything(connection)}
    return Known(accounts=names, groups=groups, formats=formats, repositories=addresses)


def _named(settings: Settings) -> Iterable[str]:
    for _, subject in _subjects(settings):
        kind, _, name = subject.partition(":")
        if kind == "user":
            yield name
