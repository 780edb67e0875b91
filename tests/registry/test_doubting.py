"""Names in settings that nobody has: told, and not refused."""

from __future__ import annotations

from pathlib import Path

import pytest

import repocore
from repocore.config import load_settings

START = """
[[repository]]
name = "main"
format = "conan"
[[account]]
name = "olga"
groups = ["crew"]
"""


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ('[[rule]]\nsubject = "user:olga"\nactions = ["read"]\npattern = "conan/main/**"', []),
        ('[[rule]]\nsubject = "group:crew"\nactions = ["read"]\npattern = "con*/**"', []),
        (
            '[[rule]]\nsubject = "user:olgs"\nactions = ["read"]\npattern = "conan/nowhere/**"',
            [
                (
                    "rule[0].subject: there is no account olgs; only another authenticator could "
                    "sign in as that."
                ),
                "rule[0].pattern: there is no repository conan/nowhere.",
            ],
        ),
        (
            '[[binding]]\nsubject = "group:crow"\nrole = "viewer"\npattern = "cnan/**"',
            [
                (
                    "binding[0].subject: nobody is in a group crow; only another authenticator "
                    "could put somebody into it."
                ),
                "binding[0].pattern: there is no format cnan; there are conan, conda.",
            ],
        ),
        (
            (
                '[[account]]\nname = "robot"\n[[account.token]]\nname = "t"\n'
                'secret = "a-secret-of-20-letters"\nallow = ["read:conan/other/**"]'
            ),
            ["account[1].token[0].allow: there is no repository conan/other."],
        ),
        (
            '[web]\nuser_header = "X-User"',
            [
                "web.user_header: it is believed of `web.trusted_proxies` only, and there is none.",
            ],
        ),
        ('[web]\nuser_header = "X-User"\ntrusted_proxies = ["127.0.0.1"]', []),
    ],
)
def test_what_settings_name(tmp_path: Path, lines: str, told: list[str]) -> None:
    """Each in a sentence with its place; what is there, or can match, is not told of."""
    (tmp_path / "repocore.toml").write_text(f"{START}{lines}", encoding="utf-8")
    settings = load_settings(data=tmp_path, environ={})
    with repocore.open_registry(settings=settings) as registry:
        assert registry.doubts() == told


def test_what_came_meanwhile_is_no_doubt(tmp_path: Path) -> None:
    """Accounts, groups and repositories of the catalog count."""
    lines = '[[rule]]\nsubject = "user:ann"\nactions = ["read"]\npattern = "conda/late/**"'
    (tmp_path / "repocore.toml").write_text(lines, encoding="utf-8")
    settings = load_settings(data=tmp_path, environ={})
    with repocore.open_registry(settings=settings) as registry:
        assert len(registry.doubts()) == 2
        admin = registry.session(registry.admin())
        admin.accounts.add("ann")
        admin.repositories.create("conda/late")
        assert registry.doubts() == []
