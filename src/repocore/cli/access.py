"""``role`` and ``access``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from repocore.cli.doubts import warn
from repocore.cli.output import State, command, command_group, show, table
from repocore.errors import RejectedError
from repocore.model import Action, Binding, Role, action_of, actions_of, parse_resource

__all__ = [
    "COMMANDS",
    "access",
    "add_role",
    "bind",
    "explain",
    "list_bindings",
    "list_roles",
    "remove_role",
    "role",
    "unbind",
    "who",
]


@command_group
def role() -> None:
    """Give roles to people and machines, and make roles of one's own."""


@command("list")
def list_roles(state: State) -> None:
    """List the roles and what each lets do."""
    with state.session() as session:
        found = session.roles.list()
    rows = [(one.name, _actions(one.actions), one.description) for one in found]
    show(state, found, table(("ROLE", "ACTIONS", ""), rows))


def _actions(actions: frozenset[Action] | Sequence[Action]) -> str:
    return ",".join(action.value for action in Action if action in actions)


@command("add")
@click.argument("name")
@click.option("--actions", required=True, help="read,write,overwrite,yank,delete,… or all.")
@click.option("--description", default="", help="A line for people.")
def add_role(state: State, name: str, *, actions: str, description: str) -> None:
    """Make the role NAME, or change what it lets do for all who hold it."""
    made = Role(name=name, actions=actions_of(actions.split(",")), description=description)
    with state.session(make=True) as session:
        session.roles.add(made)
    show(state, made, f"The role {name} lets {_actions(made.actions)}.")


@command("remove")
@click.argument("name")
def remove_role(state: State, name: str) -> None:
    """Remove the role NAME, which nobody may hold any more."""
    with state.session() as session:
        session.roles.remove(name)
    show(state, {"removed": name}, f"Removed the role {name}.")


@command("bind")
@click.argument("name")
@click.argument("subject")
@click.argument("pattern", default="**")
def bind(state: State, name: str, subject: str, pattern: str) -> None:
    """Give the role NAME to SUBJECT on PATTERN, or everywhere.

    SUBJECT is user:NAME, group:NAME, + for anyone signed in, or * for everyone.
    """
    with state.session(make=True) as session:
        made = session.roles.bind(Binding(subject=subject, role=name, pattern=pattern))
        warn(session, subject, pattern)
    show(state, made, f"{subject} holds {name} on {pattern} (binding {made.id}).")


@command("unbind")
@click.argument("number", type=int)
def unbind(state: State, number: int) -> None:
    """Take a role back: remove the binding with the id NUMBER."""
    with state.session() as session:
        gone = session.roles.unbind(number)
    show(state, gone, f"{gone.subject} no longer holds {gone.role} on {gone.pattern}.")


@command("bindings")
def list_bindings(state: State) -> None:
    """List who holds which role where; bindings of the settings have no id."""
    with state.session() as session:
        found = session.roles.bindings()
    rows = [(one.id, one.subject, one.role, one.pattern) for one in found]
    show(state, found, table(("ID", "SUBJECT", "ROLE", "PATTERN"), rows))


@command_group
def access() -> None:
    """Say why somebody may do something, and who may."""


@command("explain")
@click.argument("who")
@click.argument("action")
@click.argument("what")
@click.option("--group", "groups", multiple=True, help="A group they are in besides; may repeat.")
def explain(state: State, who: str, groups: Sequence[str], **given: Any) -> None:
    """Say whether WHO may do ACTION with WHAT, and which rule or role decides.

    WHO is an account, or anonymous.  WHAT is format/name, format/name/package,
    format/name/package/version, or site.
    """
    if who in {"*", "+"} or who.startswith("group:"):
        message = f"{who!r} is nobody; name an account or anonymous, and groups with --group."
        raise RejectedError(message)
    name = None if who == "anonymous" else who.removeprefix("user:")
    with state.session() as session:
        what = parse_resource(given["what"])
        found = session.permissions.explain(name, action_of(given["action"]), what, groups)
        warn(session, name and f"user:{name}", given["what"] if what.format else "**")
    show(state, found, found.text)


@command("who")
@click.argument("what")
def who(state: State, what: str) -> None:
    """List who may do what with WHAT; for each, the tiers that decide."""
    with state.session() as session:
        resource = parse_resource(what)
        found = list(session.permissions.who(resource))
        warn(session, None, what if resource.format else "**")
    rows = [
        (one.name, _actions(one.actions), ",".join(dict.fromkeys(why.tier for why in one.why)))
        for one in found
    ]
    show(state, found, table(("WHO", "ACTIONS", "BY"), rows))


for _group, _members in (
    (role, (list_roles, add_role, remove_role, bind, unbind, list_bindings)),
    (access, (explain, who)),
):
    for _command in _members:
        _group.add_command(_command)

COMMANDS = {"role": role, "access": access}
