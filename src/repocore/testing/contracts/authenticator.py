"""What every authenticator keeps: it knows whom it says, refuses what is wrong, leaves the rest.

TestMine = authenticator_contract(
    make_plugin, known=[Password("ann", "right")], wrong=[Password("ann", "no")],
    unknown=[Password("bob", "x")],
)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from repocore.errors import NotAuthenticatedError
from repocore.model import Anonymous, ApiKey, Bearer, Credentials, Password, Principal
from repocore.registry import Registry

__all__ = ["MakePlugin", "authenticator_contract"]

#: Opens a registry and gives it with the plugin that is registered in it.
MakePlugin = Callable[[], AbstractContextManager[tuple[Registry, Any]]]

_TEXT = st.text(max_size=30)
_STRANGE = st.one_of(
    st.builds(Password, _TEXT, _TEXT),
    st.builds(Bearer, _TEXT),
    st.builds(ApiKey, _TEXT),
)
_SETTINGS = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors]
)


def authenticator_contract(  # noqa: C901 - a class of small tests
    make_plugin: MakePlugin,
    *,
    known: Sequence[Credentials],
    wrong: Sequence[Credentials],
    unknown: Sequence[Credentials],
) -> type:
    """A class of tests for an authenticator.

    ``known`` it must accept, ``wrong`` it must refuse, ``unknown`` it must leave to the next.
    """

    class TestAuthenticator:
        """The contract of ``repocore_authenticate``."""

        @pytest.mark.parametrize("credentials", known)
        def test_known_credentials_give_a_principal(self, credentials: Credentials) -> None:
            """A name, and never the application itself."""
            with make_plugin() as (registry, plugin):
                principal = _ask(registry, plugin, credentials)
            assert isinstance(principal, Principal)
            assert principal.name
            assert not principal.trusted
            assert principal.via != "anonymous"

        @pytest.mark.parametrize("credentials", known)
        def test_the_answer_is_the_same_each_time(self, credentials: Credentials) -> None:
            """Nothing is used up by asking."""
            with make_plugin() as (registry, plugin):
                assert _ask(registry, plugin, credentials) == _ask(registry, plugin, credentials)

        @pytest.mark.parametrize("credentials", wrong)
        def test_wrong_credentials_are_refused_without_their_secret(
            self, credentials: Credentials
        ) -> None:
            """`NotAuthenticatedError`, whose text does not repeat what was sent."""
            with (
                make_plugin() as (registry, plugin),
                pytest.raises(NotAuthenticatedError) as caught,
            ):
                _ask(registry, plugin, credentials)
            assert _secret(credentials) not in str(caught.value)

        @pytest.mark.parametrize("credentials", unknown)
        def test_unknown_credentials_are_left_to_the_next(self, credentials: Credentials) -> None:
            """None, so that several authenticators work in a row."""
            with make_plugin() as (registry, plugin):
                assert _ask(registry, plugin, credentials) is None

        def test_the_anonymous_stay_anonymous(self) -> None:
            """No credentials are never an account."""
            with make_plugin() as (registry, plugin):
                assert _ask(registry, plugin, Anonymous()) is None

        def test_an_empty_password_opens_nothing(self) -> None:
            """Some directories take an empty password for an anonymous bind."""
            names = {each.username for each in known if isinstance(each, Password)} | {"nobody"}
            with make_plugin() as (registry, plugin):
                for name in names:
                    assert _or_refusal(registry, plugin, Password(name, "")) is None

        def test_strange_credentials_are_no_accident(self) -> None:
            """Whatever is sent, the answer is None or a refusal, never another exception."""
            with make_plugin() as (registry, plugin):

                @_SETTINGS
                @given(_STRANGE)
                def ask(credentials: Credentials) -> None:
                    if credentials not in known:
                        assert _or_refusal(registry, plugin, credentials) is None

                ask()

    return TestAuthenticator


def _ask(registry: Registry, plugin: Any, credentials: Credentials) -> Any:
    # By name and only what it wants, as pluggy calls it.
    hook = registry.plugins.subset_hook_caller(
        "repocore_authenticate",
        [other for _, other in registry.plugins.list_name_plugin() if other is not plugin],
    )
    return hook(registry=registry, credentials=credentials)


def _or_refusal(registry: Registry, plugin: Any, credentials: Credentials) -> Any:
    try:
        return _ask(registry, plugin, credentials)
    except NotAuthenticatedError:
        return None


def _secret(credentials: Credentials) -> str:
    match credentials:
        case Password(_, password):
            return password
        case ApiKey(value) | Bearer(value):
            return value
        case _:
            return "no secret at all"
