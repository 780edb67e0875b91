"""A server.conf as a table of repocore's settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from repocore.model import Effect, Rule
from repocore.plugins.conan.server_conf import ServerConf, rules_of
from repocore.registry import hash_password

__all__ = ["settings_table"]


def settings_table(conf: ServerConf, *, hashed: bool) -> dict[str, Any]:
    """The table, as a settings file has it: a Conan repository at the root, users and rules.

    With ``hashed`` passwords become argon2id hashes, to be written down; without they stay the
    secrets that they are, for a table that never leaves the memory.
    """
    web: dict[str, Any] = {"root": "conan/main"}
    if conf.public_url is not None:
        web["public_url"] = conf.public_url
    return {
        "repository": [{"format": "conan", "name": "main"}],
        "rule": [_rule(rule) for rule in rules_of(conf.read, conf.write)],
        "web": web,
        "limits": {"login_lifetime": f"{conf.jwt_expire.total_seconds():.3f}"},
        "plugins": {"conan": dict(_plugin(conf, hashed=hashed))},
    }


def _rule(rule: Rule) -> dict[str, Any]:
    written: dict[str, Any] = {
        "subject": rule.subject,
        "actions": sorted(action.value for action in rule.actions),
        "pattern": rule.pattern,
    }
    if rule.effect is Effect.DENY:
        written["effect"] = "deny"
    return written


def _plugin(conf: ServerConf, *, hashed: bool) -> Mapping[str, Any]:
    table: dict[str, Any] = {
        "forbid": True,
        "jwt_secret": conf.jwt_secret,
        "url_lifetime": f"{conf.authorize_timeout.total_seconds():.3f}",
    }
    if conf.updown_secret is not None:
        table["updown_secret"] = conf.updown_secret
    for kind, path in (("authenticator", conf.authenticator), ("authorizer", conf.authorizer)):
        if path is not None:
            table[kind] = str(path)
    if conf.users:
        table["users"] = {
            name: hash_password(password) if hashed else password
            for name, password in conf.users.items()
        }
    return table
