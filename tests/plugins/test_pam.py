"""Signing in as a user of the system, through services of the real PAM that each test makes."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import repocore
from repocore import (
    AuthenticatorError,
    Bearer,
    ConfigurationError,
    NotAuthenticatedError,
    Password,
    Registry,
    Settings,
)
from repocore.config import PluginSettings
from repocore.plugins import pam
from repocore.testing import authenticator_contract

pytest.importorskip("pamela", reason="the extra pam is not installed")

SERVICES = Path("/etc/pam.d")
#: Known to every Linux; nobody signs in as it, and the password is the test's.
USER = "daemon"

real = pytest.mark.skipif(
    os.geteuid() != 0 or not SERVICES.is_dir(),
    reason="only the administrator of a system with PAM may make a service",
)
CHECK = """\
#!/bin/sh
given=$(tr -d '\\000')
[ "$given" = "$PAM_USER-pw" ]
"""


@contextlib.contextmanager
def service(*lines: str) -> Iterator[str]:
    """A service of a name that nothing else has, for as long as the block runs."""
    descriptor, path = tempfile.mkstemp(prefix="repocore-test-", dir=SERVICES)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in lines))
    try:
        yield Path(path).name
    finally:
        Path(path).unlink()


@contextlib.contextmanager
def checking(account: str = "account required pam_permit.so") -> Iterator[str]:
    """A service where the password of NAME is NAME-pw."""
    folder = Path(tempfile.mkdtemp())
    try:
        script = folder / "check"
        script.write_text(CHECK, encoding="utf-8")
        script.chmod(0o700)
        # A script's refusal alone would be an error of the system, and no verdict.
        asked = f"auth sufficient pam_exec.so expose_authtok quiet {script}"
        with service(asked, "auth required pam_deny.so", account) as name:
            yield name
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def opened(name: str, **more: Any) -> Iterator[Registry]:
    folder = Path(tempfile.mkdtemp())
    tables = {"pam": {"service": name, **more}}
    settings = Settings(data=folder, plugins=PluginSettings(tables=tables))
    try:
        with repocore.open_registry(settings=settings) as registry:
            yield registry
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def contract_registry():
    with checking() as name, opened(name) as registry:
        yield registry, pam


TestPam = real(
    authenticator_contract(
        contract_registry,
        known=[Password(USER, f"{USER}-pw")],
        wrong=[
            Password(USER, "wrong"),
            Password(USER, f"{USER}-pw\0"),
            Password(USER, "x" * 600),
            Password(USER, "\ud800"),
        ],
        unknown=[
            Password("no-such-user", "x"),
            Password(USER.upper(), f"{USER}-pw"),
            Password(f"{USER}\0", f"{USER}-pw"),
            Password("\ud800", "x"),
            Bearer(USER),
        ],
    )
)


@real
def test_groups_are_those_of_the_system() -> None:
    """The primary one, and all that name the user."""
    entry = pwd.getpwnam(USER)
    named = {group.gr_name for group in grp.getgrall() if USER in group.gr_mem}
    with checking() as name, opened(name) as registry:
        principal = registry.connect(Password(USER, f"{USER}-pw")).principal
    assert (principal.name, principal.via) == (USER, "pam")
    assert principal.groups == named | {grp.getgrgid(entry.pw_gid).gr_name}


@real
def test_a_service_that_asks_nothing_still_wants_a_password() -> None:
    """An empty one opens nothing, whatever PAM would say."""
    lines = ("auth required pam_permit.so", "account required pam_permit.so")
    with service(*lines) as name, opened(name) as registry:
        assert registry.connect(Password(USER, "any")).principal.name == USER
        with pytest.raises(NotAuthenticatedError):
            registry.connect(Password(USER, ""))


@real
def test_the_account_counts_beside_the_password() -> None:
    """Whom the service's account lines refuse, the right password does not let in."""
    with (
        checking(account="account required pam_deny.so") as name,
        opened(name) as registry,
        pytest.raises(NotAuthenticatedError, match="Wrong user or password"),
    ):
        registry.connect(Password(USER, f"{USER}-pw"))


@real
def test_the_systems_own_check_refuses_a_locked_user() -> None:
    """pam_unix, without its delay: this user has no password that could be right."""
    lines = ("auth required pam_unix.so nodelay", "account required pam_unix.so")
    with service(*lines) as name, opened(name) as registry, pytest.raises(NotAuthenticatedError):
        registry.connect(Password(USER, "any"))


@real
def test_a_broken_service_is_no_verdict() -> None:
    """Nobody is told that a password is wrong because a module is missing."""
    with (
        service("auth required no-such-module.so") as name,
        opened(name) as registry,
        pytest.raises(AuthenticatorError) as caught,
    ):
        registry.connect(Password(USER, "any"))
    assert "PAM Error" in str(caught.value.__cause__)


@real
def test_only_members_of_allowed_groups_sign_in() -> None:
    """With the right password the others are told why."""
    own = grp.getgrgid(pwd.getpwnam(USER).pw_gid).gr_name
    with checking() as name:
        with opened(name, allowed_groups=[own]) as registry:
            assert registry.connect(Password(USER, f"{USER}-pw")).principal.name == USER
        with (
            opened(name, allowed_groups=["no-such-group"]) as registry,
            pytest.raises(NotAuthenticatedError, match="none of the groups"),
        ):
            registry.connect(Password(USER, f"{USER}-pw"))


@real
def test_accounts_are_asked_first() -> None:
    """The password of an account goes before the system's."""
    with checking() as name, opened(name) as registry:
        registry.session(registry.admin()).accounts.add(USER, "account's")
        assert registry.connect(Password(USER, "account's")).principal.via == "password"
        with pytest.raises(NotAuthenticatedError):
            registry.connect(Password(USER, f"{USER}-pw"))


def test_what_pam_does_not_know_is_left_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own word for an unknown user, though the system has one of that name."""
    users = pam._SystemUsers("any", frozenset())
    monkeypatch.setattr(users, "_pam", Unknown)
    assert users.find(USER, "any") is None


class Unknown:
    class PAMError(Exception):
        errno = 10

    @staticmethod
    def authenticate(*_: object, **__: object) -> None:
        raise Unknown.PAMError


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({}, "plugins.pam.service: is missing"),
        ({"service": "../passwd"}, "plugins.pam.service: expected the name of a file"),
        ({"service": ""}, "plugins.pam.service: expected the name of a file"),
        ({"service": "no-such-service"}, "there is no PAM service of that name"),
    ],
)
def test_settings_of_no_use_are_told_at_start(
    table: dict[str, str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one sentence, before anybody signs in."""
    monkeypatch.setattr(pam, "_PLACES", (str(tmp_path),))
    settings = Settings(data=tmp_path, plugins=PluginSettings(tables={"pam": table}))
    with pytest.raises(ConfigurationError) as caught:
        repocore.open_registry(settings=settings)
    assert words in caught.value.problems[0]


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence is the command to type."""
    monkeypatch.setitem(sys.modules, "pamela", None)
    with pytest.raises(ValueError, match=r"pip install 'repocore\[pam\]'"):
        pam.PamSettings(service="any")
