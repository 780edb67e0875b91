"""``user``, ``group``, ``token`` and ``rule``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from repocore.cli.doubts import warn
from repocore.cli.output import State, command, command_group, show, table
from repocore.config import parse_duration, scope_rule
from repocore.errors import RejectedError
from repocore.model import Account, Effect, Rule, Tier, Token, actions_of

__all__ = [
    "COMMANDS",
    "add_members",
    "add_rule",
    "add_user",
    "create_token",
    "disable",
    "enable",
    "group",
    "list_groups",
    "list_rules",
    "list_tokens",
    "list_users",
    "remove_members",
    "remove_rule",
    "remove_user",
    "revoke_token",
    "rule",
    "set_password",
    "token",
    "unblock",
    "user",
]


@command_group
def user() -> None:
    """Add, list, change and remove accounts."""


def _password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    try:
        return click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    except click.Abort as error:
        if sys.stdin.isatty():
            raise  # somebody who does not want to
        message = "There is nobody to ask for a password: pipe one to --password-stdin."
        raise RejectedError(message) from error


_stdin = click.option("--password-stdin", is_flag=True, help="Read the password from stdin.")


@command("add")
@click.argument("name")
@_stdin
@click.option("--no-password", is_flag=True, help="One that another authenticator signs in.")
@click.option("--service", is_flag=True, help="A machine's, which signs in by tokens only.")
@click.option("--group", "groups", multiple=True, help="A group to join; may repeat.")
@click.option("--email", default="", help="How to reach them.")
def add_user(
    state: State, name: str, *, password_stdin: bool, no_password: bool, **given: Any
) -> None:
    """Add the account NAME."""
    without = no_password or given["service"]
    if password_stdin and without:
        message = "--password-stdin and an account without a password exclude each other."
        raise click.UsageError(message)
    password = None if without else _password(from_stdin=password_stdin)
    with state.session(make=True) as session:
        made = session.accounts.add(name, password, **given)
    show(state, made, f"Added {name}.")


@command("list")
def list_users(state: State) -> None:
    """List the accounts."""
    with state.session() as session:
        found = session.accounts.list()
    rows = [(one.name, " ".join(sorted(one.groups)), one.email, _kind(one)) for one in found]
    show(state, found, table(("NAME", "GROUPS", "EMAIL", ""), rows))


def _kind(account: Account) -> str:
    words = {"service": account.service, "disabled": account.disabled}
    return " ".join(word for word, holds in words.items() if holds)


@command("password")
@click.argument("name")
@_stdin
def set_password(state: State, name: str, *, password_stdin: bool) -> None:
    """Set the password of NAME."""
    password = _password(from_stdin=password_stdin)
    with state.session() as session:
        session.accounts.set_password(name, password)
    show(state, {"changed": name}, f"Set the password of {name}.")


@command()
@click.argument("name")
def disable(state: State, name: str) -> None:
    """Refuse whatever signs in as NAME."""
    with state.session() as session:
        session.accounts.disable(name)
    show(state, {"disabled": name}, f"Disabled {name}.")


@command()
@click.argument("name")
def enable(state: State, name: str) -> None:
    """Accept NAME again."""
    with state.session() as session:
        session.accounts.disable(name, disabled=False)
    show(state, {"enabled": name}, f"Enabled {name}.")


@command()
@click.argument("name")
def unblock(state: State, name: str) -> None:
    """Let NAME try again to sign in, after too many attempts that failed."""
    with state.session() as session:
        session.accounts.unblock(name)
    show(state, {"unblocked": name}, f"Unblocked {name}.")


@command("remove")
@click.argument("name")
def remove_user(state: State, name: str) -> None:
    """Remove NAME with its tokens, memberships and rules."""
    with state.session() as session:
        session.accounts.remove(name)
    show(state, {"removed": name}, f"Removed {name}.")


@command_group
def group() -> None:
    """Put accounts into groups, and take them out."""


@command("add")
@click.argument("name")
@click.argument("users", nargs=-1, required=True)
def add_members(state: State, name: str, users: Sequence[str]) -> None:
    """Put USERS into the group NAME."""
    with state.session() as session:
        for one in users:
            session.accounts.add_to_group(name, one)
    show(state, {"group": name, "added": users}, f"Added {', '.join(users)} to {name}.")


@command("remove")
@click.argument("name")
@click.argument("users", nargs=-1, required=True)
def remove_members(state: State, name: str, users: Sequence[str]) -> None:
    """Take USERS out of the group NAME."""
    with state.session() as session:
        for one in users:
            session.accounts.remove_from_group(name, one)
    show(state, {"group": name, "removed": users}, f"Removed {', '.join(users)} from {name}.")


@command("list")
def list_groups(state: State) -> None:
    """List the groups and their members."""
    with state.session() as session:
        found = session.accounts.groups()
    rows = [(name, " ".join(sorted(members))) for name, members in found.items()]
    show(state, found, table(("GROUP", "MEMBERS"), rows))


@command_group
def token() -> None:
    """Create, list and revoke API tokens."""


def _span(text: str | None) -> timedelta | None:
    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise RejectedError(f"{text!r}: {error}") from error


@command("create")
@click.argument("account")
@click.option("--name", default="cli", help="What it is for.")
@click.option("--allow", multiple=True, help="ACTIONS:PATTERN that it is narrowed to; may repeat.")
@click.option("--expires", help="When it ends: 30m, 12h, 90d.")
def create_token(
    state: State, account: str, *, name: str, allow: Sequence[str], expires: str | None
) -> None:
    """Create a token of ACCOUNT; its secret is shown this once."""
    rules = [scope_rule(text) for text in allow] or None
    with state.session() as session:
        made, secret = session.accounts.create_token(
            account, name, rules=rules, lifetime=_span(expires)
        )
        if rules:
            warn(session, None, *(rule.pattern for rule in rules))
    show(state, {"token": made, "secret": secret}, secret)


def _state_of(one: Token) -> str:
    if one.revoked_at:
        return "revoked"
    return "expired" if one.expires_at and one.expires_at <= datetime.now(UTC) else ""


@command("list")
@click.argument("account", required=False)
def list_tokens(state: State, account: str | None) -> None:
    """List the tokens of ACCOUNT, or of all."""
    with state.session() as session:
        found = session.accounts.tokens(account)
    rows = [
        (
            one.id,
            one.account,
            one.name,
            "of the settings" if one.declared else f"rpc-{one.prefix}-…",
            one.expires_at or "never",
            one.last_used_at or "never",
            _state_of(one),
        )
        for one in found
    ]
    show(state, found, table(("ID", "ACCOUNT", "NAME", "TOKEN", "EXPIRES", "LAST USED", ""), rows))


@command("revoke")
@click.argument("number", type=int)
def revoke_token(state: State, number: int) -> None:
    """Revoke the token with the id NUMBER."""
    with state.session() as session:
        session.accounts.revoke_token(number)
    show(state, {"revoked": number}, f"Revoked token {number}.")


#: What comes with roles is bound: `repocore role bind`.
_TIERS = [tier.value for tier in Tier if tier is not Tier.ROLE]


@command_group
def rule() -> None:
    """Add, list and remove the rules that say who may do what."""


@command("add")
@click.option("--subject", required=True, help="*, +, anonymous, user:NAME or group:NAME.")
@click.option("--actions", required=True, help="read,write,overwrite,yank,delete,… or all.")
@click.option("--pattern", required=True, help="format/name/package/version, or its beginning/**.")
@click.option("--deny", is_flag=True, help="Deny instead of allow.")
@click.option("--tier", type=click.Choice(_TIERS), default="site")
@click.option("--position", type=int, help="Before which stored rule; the first is 0.")
def add_rule(state: State, position: int | None, **given: Any) -> None:
    """Add a rule; in each tier the first that matches decides."""
    made = Rule(
        subject=given["subject"],
        actions=actions_of(given["actions"].split(",")),
        pattern=given["pattern"],
        effect=Effect.DENY if given["deny"] else Effect.ALLOW,
        tier=Tier(given["tier"]),
    )
    with state.session(make=True) as session:
        stored = session.accounts.add_rule(made, position=position)
        warn(session, made.subject, made.pattern)
    show(state, stored, f"Added rule {stored.id}.")


@command("list")
def list_rules(state: State) -> None:
    """List the rules in the order in which they are asked; those of the settings have no id."""
    with state.registry() as registry:
        found = registry.access.rules
    rows = [
        (
            one.id if one.role is None else "",
            one.tier.value if one.role is None else f"role {one.role}",
            one.effect.value,
            one.subject,
            ",".join(sorted(action.value for action in one.actions)),
            one.pattern,
        )
        for one in found
    ]
    show(state, found, table(("ID", "TIER", "EFFECT", "SUBJECT", "ACTIONS", "PATTERN"), rows))


@command("remove")
@click.argument("number", type=int)
def remove_rule(state: State, number: int) -> None:
    """Remove the stored rule with the id NUMBER."""
    with state.session() as session:
        session.accounts.remove_rule(number)
    show(state, {"removed": number}, f"Removed rule {number}.")


for _group, _members in (
    (user, (add_user, list_users, set_password, disable, enable, unblock, remove_user)),
    (group, (add_members, remove_members, list_groups)),
    (token, (create_token, list_tokens, revoke_token)),
    (rule, (add_rule, list_rules, remove_rule)),
):
    for _command in _members:
        _group.add_command(_command)

COMMANDS = {"user": user, "group": group, "token": token, "rule": rule}
