"""What providers say of people, each in its own shape, as one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

import attrs

from repocore.config import ProviderKind, ProviderSettings
from repocore.errors import UpstreamUnavailableError

__all__ = ["Profile", "profile_of"]

#: More groups than that are not read.
_MOST: Final = 2000
_SHAPELESS: Final = (
    "The provider did not say who that is; ask the administrator to look at its settings."
)


@attrs.frozen(kw_only=True)
class Profile:
    """Who somebody is at a provider."""

    #: What never changes about them there.
    subject: str
    #: What they are called there; it may change hands.
    username: str
    email: str = ""
    #: Whether the provider says that the address is theirs.
    verified: bool = False
    name: str = ""
    groups: frozenset[str] = frozenset()

    @property
    def facts(self) -> dict[str, str]:
        """What is kept with the identity."""
        facts = {"username": self.username, "name": self.name, "email": self.email}
        return {key: value[:255] for key, value in facts.items() if value}


@attrs.frozen
class _Shape:
    """Under which keys a kind of provider says what."""

    subject: str
    username: tuple[str, ...]
    groups: str = "groups"
    #: A key whose truth says that the address was verified.
    verified: str = "email_verified"


_SHAPES: Final[Mapping[ProviderKind, _Shape]] = {
    ProviderKind.OIDC: _Shape("sub", ("preferred_username", "nickname", "email", "sub")),
    ProviderKind.GITLAB: _Shape("sub", ("preferred_username", "nickname", "email")),
    ProviderKind.GOOGLE: _Shape("sub", ("email",)),
    # Whoever runs a tenant writes addresses there as they like, so that none counts as verified
    # but for the claim that says so: xms_edov (email domain owner verified).
    ProviderKind.ENTRA: _Shape("sub", ("preferred_username", "email"), verified="xms_edov"),
    ProviderKind.GITHUB: _Shape("id", ("login",)),
    ProviderKind.JUPYTERHUB: _Shape("name", ("name",)),
}


def profile_of(settings: ProviderSettings, said: Mapping[str, Any]) -> Profile:
    """Read what was said, by the shape of its kind and the keys of the settings.

    Raises `UpstreamUnavailableError` where it names nobody.
    """
    key = settings.user_key or ""
    shape = _SHAPES.get(settings.kind) or _Shape(key, (key,))
    named = settings.username or settings.user_key
    username = _first(said, (named,) if named else shape.username)
    subject = _text(_dig(said, settings.subject_key or shape.subject))
    if not subject or not username:
        raise UpstreamUnavailableError(_SHAPELESS)
    return Profile(
        subject=subject,
        username=username,
        email=_text(said.get("email")),
        verified=_is_true(said.get(shape.verified)),
        name=_text(said.get("name")),
        groups=_names(_dig(said, settings.groups_key or shape.groups)),
    )


def _dig(said: Any, key: str) -> Any:
    """The value of a key; of ``a.b`` that of b inside of a.  A key with a dot goes first."""
    if not isinstance(said, Mapping):
        return None
    table = cast("Mapping[str, Any]", said)
    if key in table:
        return table[key]
    first, dot, rest = key.partition(".")
    return _dig(table.get(first), rest) if dot else None


def _first(said: Mapping[str, Any], keys: Iterable[str]) -> str:
    return next((text for key in keys if (text := _text(_dig(said, key)))), "")


def _text(value: Any) -> str:
    """A text, or a number that is one; anything else is nothing."""
    if isinstance(value, bool):
        return ""
    if isinstance(value, int):
        return str(value)
    return value if isinstance(value, str) and value.isprintable() else ""


def _is_true(value: Any) -> bool:
    # Entra writes a number or a text there, by the kind of the token.
    return value is True or value in (1, "1", "true")


def _names(value: Any) -> frozenset[str]:
    """Texts, or objects that have a name: a group, an organisation, a team."""
    if not isinstance(value, list):
        return frozenset()
    found: set[str] = set()
    for one in cast("list[Any]", value)[:_MOST]:
        named = one
        if isinstance(one, Mapping):
            named = _first(cast("Mapping[str, Any]", one), ("full_path", "login", "name", "id"))
        if isinstance(named, str) and named:
            found.add(named)
    return frozenset(found)
