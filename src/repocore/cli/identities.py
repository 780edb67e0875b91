"""``identity``."""

from __future__ import annotations

import click

from repocore.cli.doubts import tell
from repocore.cli.output import State, command, command_group, show, table

__all__ = ["COMMANDS", "identity", "link", "list_identities", "unlink"]


@command_group
def identity() -> None:
    """Say which accounts elsewhere are which accounts here."""


@command("list")
@click.option("--account", help="Of this account only.")
def list_identities(state: State, account: str | None) -> None:
    """List the identities that people have signed in with, or may."""
    with state.session() as session:
        found = session.identities.list(account)
    rows = [
        (one.account, one.provider, one.subject, one.profile.get("username", ""), one.last_at)
        for one in found
    ]
    show(state, found, table(("ACCOUNT", "PROVIDER", "SUBJECT", "THERE", "LAST USE"), rows))


@command("link")
@click.argument("provider")
@click.argument("subject")
@click.argument("account")
def link(state: State, provider: str, subject: str, account: str) -> None:
    """Let SUBJECT of PROVIDER sign in as ACCOUNT.

    SUBJECT is what never changes about somebody there: the claim sub, or a number.
    """
    with state.session() as session:
        made = session.identities.link(provider, subject, account)
        known = [one.name for one in session.registry.settings.provider]
        if provider not in known:
            doubt = f"there is no [[provider]] {provider} in the settings"
            others = f"; there are {', '.join(known)}." if known else "."
            tell([f"{doubt}{others}"])
    show(state, made, f"{subject} of {provider} is {account}.")


@command("unlink")
@click.argument("provider")
@click.argument("subject")
def unlink(state: State, provider: str, subject: str) -> None:
    """Forget that SUBJECT of PROVIDER is somebody here."""
    with state.session() as session:
        gone = session.identities.unlink(provider, subject)
    show(state, gone, f"{subject} of {provider} is {gone.account} no more.")


for _command in (list_identities, link, unlink):
    identity.add_command(_command)

COMMANDS = {"identity": identity}
