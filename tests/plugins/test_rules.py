"""The authorizer: what the stored rules and those of the settings say, quickly."""

from __future__ import annotations

from pathlib import Path

import repocore
from repocore import Action, Effect, Principal, Resource, Rule, Survey, Tier
from repocore.config import RuleSettings, Settings
from repocore.plugins.rules import repocore_authorize, repocore_survey

READ = frozenset({Action.READ})
ANN = Principal(name="ann")
ZLIB = Resource("conan", "main", "zlib", "1.3@_/_")


def ask(registry, principal=ANN, action=Action.READ, resource=ZLIB):
    _ = registry.session(principal).principal  # catch up, as every request does
    return repocore_authorize(
        registry=registry, principal=principal, action=action, resource=resource
    )


def add(registry, **fields) -> None:
    registry.session(registry.admin()).accounts.add_rule(Rule(actions=READ, **fields))


def test_without_a_rule_there_is_no_opinion(registry) -> None:
    """And without any opinion it is denied."""
    assert ask(registry) is None
    assert not registry.session(ANN).allowed(Action.READ, ZLIB)


def test_the_first_tier_with_an_opinion_decides(registry) -> None:
    """Site, then repository before it, then the administrator's denies before both."""
    add(registry, subject="*", pattern="conan/**")
    assert ask(registry) is True
    add(registry, subject="*", pattern="conan/main/zlib", effect=Effect.DENY, tier=Tier.REPOSITORY)
    assert ask(registry) is False
    add(registry, subject="user:ann", pattern="conan/main/zlib", tier=Tier.REPOSITORY)
    assert ask(registry) is False
    assert ask(registry, resource=Resource("conan", "main", "other", "1@_/_")) is True
    add(registry, subject="user:ann", pattern="**", effect=Effect.DENY, tier=Tier.DENY)
    assert ask(registry, resource=Resource("conan", "main", "other", "1@_/_")) is False


def test_the_sites_rules_stop_at_a_private_repository(registry) -> None:
    """Only the repository's own rules open it."""
    add(registry, subject="*", pattern="**")
    rooms = registry.session(registry.admin()).repositories
    rooms.configure("conan/main", private=True)
    assert ask(registry) is None
    add(registry, subject="user:ann", pattern="conan/main/**", tier=Tier.REPOSITORY)
    assert ask(registry) is True
    assert ask(registry, Principal(name="bob")) is None


def test_the_settings_rules_go_before_the_stored_ones(tmp_path: Path) -> None:
    """What stands in the file cannot be overruled by a stored rule of the site."""
    closed = RuleSettings(
        subject="*", actions=(Action.READ,), pattern="conan/main/zlib", effect=Effect.DENY
    )
    settings = Settings(data=tmp_path, rule=(closed,))
    with repocore.open_registry(settings=settings) as registry:
        add(registry, subject="*", pattern="**")
        assert ask(registry) is False


def test_two_registries_in_one_process_share_no_rule(registry, tmp_path: Path) -> None:
    """Each asks its own."""
    add(registry, subject="*", pattern="**")
    with repocore.open_registry(settings=Settings(data=tmp_path / "other")) as other:
        assert ask(registry) is True
        assert ask(other) is None
        assert ask(registry) is True


def test_a_survey_speaks_for_the_whole_repository(registry) -> None:
    """ALL and NONE spare the names, MIXED asks for them."""
    main = registry.session(registry.admin()).repositories.get("conan/main")

    def survey() -> Survey:
        _ = registry.session(ANN).principal
        return repocore_survey(
            registry=registry, principal=ANN, action=Action.READ, repository=main
        )

    assert survey() is Survey.NONE
    add(registry, subject="*", pattern="conan/main/zlib/**")
    assert survey() is Survey.MIXED
    add(registry, subject="*", pattern="conan/main")
    assert survey() is Survey.ALL
