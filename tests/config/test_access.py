"""Roles, bindings and accounts as they are written."""

from __future__ import annotations

import pytest

from repocore import Action, ConfigurationError
from repocore.config import load_settings, scope_rule

ACCOUNT = '[[account]]\nname = "a"\n[[account.token]]\nname = "t"\n'


def load(tmp_path, text: str):
    file = tmp_path / "repocore.toml"
    file.write_text(text, encoding="utf-8")
    return load_settings(data=tmp_path, config=file, environ={})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[role]]\nname = "viewer"\nactions = ["read"]', "always there"),
        ('[[role]]\nname = "A b"\nactions = ["read"]', "small letters"),
        ('[[role]]\nname = "a"\nactions = []', "at least one action"),
        ('[[role]]\nname = "a"\nactions = ["jump"]', "expected one of read"),
        ('[[role]]\nname = "a"\nactions = ["read"]\n' * 2, "two have the same name"),
        ('[[binding]]\nsubject = "ann"\nrole = "viewer"', "not a subject"),
        ('[[binding]]\nsubject = "*"\nrole = "viewer"\npattern = "a//b"', "not a pattern"),
        ('[[account]]\nname = "a/b"', "starts with a letter"),
        ('[[account]]\nname = "a"\n' * 2, "two have the same name"),
        (
            f'{ACCOUNT}secret = "short"',
            "at least 20 characters",
        ),
        (
            '[[account]]\nname = "a"\n'
            + '[[account.token]]\nname = "t"\nsecret = "01234567890123456789"\n' * 2,
            "same name",
        ),
        (
            f'{ACCOUNT}secret = "01234567890123456789"\nallow = ["read"]',
            "no scope",
        ),
    ],
)
def test_mistakes_are_told(tmp_path, text, said) -> None:
    """Each with its place and a sentence."""
    with pytest.raises(ConfigurationError, match=said):
        load(tmp_path, text)


def test_all_means_every_action(tmp_path) -> None:
    """As in a rule."""
    found = load(tmp_path, '[[role]]\nname = "boss"\nactions = ["all"]')
    assert set(found.role[0].actions) == set(Action)


def test_a_scope_is_actions_and_a_pattern() -> None:
    """What `repocore token create --allow` takes."""
    rule = scope_rule("read,write:conan/main/**")
    assert (rule.actions, rule.pattern) == ({Action.READ, Action.WRITE}, "conan/main/**")
    with pytest.raises(ValueError, match="no scope"):
        scope_rule("conan/main")
