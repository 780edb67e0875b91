"""What every authorizer keeps: plain answers, always the same, and a survey that agrees."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings, strategies as st

from repocore.model import Action, Principal, Repository, Resource, Survey
from repocore.registry import Registry
from repocore.testing.contracts.authenticator import MakePlugin
from repocore.testing.strategies import principals, resources

__all__ = ["authorizer_contract"]

_SETTINGS = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors]
)
_MAIN = Repository(format="conan", name="main")
_IN_MAIN = resources(formats=("conan",), repositories=("main",))


def authorizer_contract(make_plugin: MakePlugin) -> type:  # noqa: C901 - a class of small tests
    """A class of tests for an authorizer."""

    class TestAuthorizer:
        """The contract of ``repocore_authorize`` and ``repocore_survey``."""

        def test_the_answer_is_yes_no_or_no_opinion(self) -> None:
            """True, False or None, and nothing that only looks like them."""
            with make_plugin() as (registry, plugin):

                @_SETTINGS
                @given(principals(), st.sampled_from(Action), resources())
                def ask(principal: Principal, action: Action, resource: Resource) -> None:
                    answer = _decide(registry, plugin, principal, action, resource)
                    assert answer is None or isinstance(answer, bool)

                ask()

        def test_the_answer_depends_on_the_question_alone(self) -> None:
            """Answers are remembered, so asking again must give the same."""
            with make_plugin() as (registry, plugin):

                @_SETTINGS
                @given(principals(), st.sampled_from(Action), resources())
                def ask(principal: Principal, action: Action, resource: Resource) -> None:
                    first = _decide(registry, plugin, principal, action, resource)
                    assert _decide(registry, plugin, principal, action, resource) is first

                ask()

        def test_what_proved_a_principal_does_not_matter(self) -> None:
            """The same name and groups have the same rights, however they signed in."""
            with make_plugin() as (registry, plugin):

                @_SETTINGS
                @given(principals(), st.sampled_from(Action), resources())
                def ask(principal: Principal, action: Action, resource: Resource) -> None:
                    other = Principal(name=principal.name, groups=principal.groups, via="other")
                    one = _decide(registry, plugin, principal, action, resource)
                    assert _decide(registry, plugin, other, action, resource) is one

                ask()

        def test_a_survey_agrees_with_every_single_answer(self) -> None:
            """ALL and NONE hold for each package and version of the repository."""
            with make_plugin() as (registry, plugin):

                @_SETTINGS
                @given(principals(), st.sampled_from(Action), _IN_MAIN)
                def ask(principal: Principal, action: Action, resource: Resource) -> None:
                    survey = _survey(registry, plugin, principal, action)
                    assert survey is None or isinstance(survey, Survey)
                    allowed = _decide(registry, plugin, principal, action, resource) is True
                    if survey is Survey.ALL:
                        assert allowed
                    if survey is Survey.NONE:
                        assert not allowed

                ask()

    return TestAuthorizer


def _only(registry: Registry, hook: str, plugin: Any) -> Any:
    others = [other for _, other in registry.plugins.list_name_plugin() if other is not plugin]
    return registry.plugins.subset_hook_caller(hook, others)


def _decide(
    registry: Registry, plugin: Any, principal: Principal, action: Action, resource: Resource
) -> Any:
    return _only(registry, "repocore_authorize", plugin)(
        registry=registry, principal=principal, action=action, resource=resource
    )


def _survey(registry: Registry, plugin: Any, principal: Principal, action: Action) -> Any:
    return _only(registry, "repocore_survey", plugin)(
        registry=registry, principal=principal, action=action, repository=_MAIN
    )
