"""The guide to authenticators: its settings are used as they stand there."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from slapd import BASE, SERVICE_PASSWORD, NoSlapdError, Slapd, slapd

import repocore
from repocore import NotAuthenticatedError, Password, Registry
from repocore.config import load_settings
from repocore.plugins import htpasswd, ldap, pam

GUIDE = (Path(__file__).parents[2] / "docs" / "how-to" / "authenticators.md").read_text("utf-8")
ROWS = [line for line in GUIDE.splitlines() if line.startswith("|")]
BLOCKS = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)
SERVICE = re.search(r"`/etc/pam.d/repocore`:\n\n```text\n(.*?)```", GUIDE, re.DOTALL)


def blocks(start: str) -> list[str]:
    return [block for block in BLOCKS if block.startswith(start)]


@contextlib.contextmanager
def opened(folder: Path, table: str, **environ: str) -> Iterator[Registry]:
    (rule,) = blocks("[[rule]]")
    (folder / "repocore.toml").write_text(table + rule, encoding="utf-8")
    with repocore.open_registry(settings=load_settings(data=folder, environ=environ)) as registry:
        yield registry


@pytest.fixture(scope="module")
def server() -> Iterator[Slapd]:
    try:
        with slapd() as running:
            yield running
    except NoSlapdError as problem:
        pytest.skip(str(problem))


def test_the_files_of_the_guide_sign_people_in(tmp_path: Path) -> None:
    """A bcrypt line and a line of groups."""
    bcrypt = pytest.importorskip("bcrypt", reason="the extra htpasswd is not installed")
    hashed = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()
    (tmp_path / "users.htpasswd").write_text(f"ann:{hashed}\n", encoding="utf-8")
    (line,) = re.findall(r"each line `(.*?)`", GUIDE)
    (tmp_path / "groups.txt").write_text(line, encoding="utf-8")
    (table,) = blocks("[plugins.htpasswd]")
    with opened(tmp_path, table) as registry:
        assert registry.connect(Password("ann", "right")).principal.groups == {"developers"}


@pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/etc/pam.d").is_dir(),
    reason="only the administrator of a system with PAM may make a service",
)
def test_the_service_of_the_guide_is_asked(tmp_path: Path) -> None:
    """Whom the system has locked does not get in, and is not left to the next either."""
    pytest.importorskip("pamela", reason="the extra pam is not installed")
    assert SERVICE is not None
    name = f"repocore-guide-{os.getpid()}"
    file = Path("/etc/pam.d", name)
    file.write_text(SERVICE[1], encoding="utf-8")
    try:
        (table,) = blocks("[plugins.pam]")
        with (
            opened(tmp_path, table.replace('"repocore"', f'"{name}"')) as registry,
            pytest.raises(NotAuthenticatedError, match="Wrong user or password"),
        ):
            registry.connect(Password("daemon", "any"))
    finally:
        file.unlink()


def test_the_directory_of_the_guide_signs_people_in(tmp_path: Path, server: Slapd) -> None:
    """Its groups are groups here, and who is in none of the allowed ones stays out."""
    pytest.importorskip("ldap3", reason="the extra ldap is not installed")
    table = blocks("[plugins.ldap]")[0].replace("ldaps://ldap.example", server.tls_url)
    shutil.copy(server.authority, tmp_path / "internal-ca.pem")
    table = table.replace("dc=example", BASE)
    with opened(tmp_path, table, LDAP_PASSWORD=SERVICE_PASSWORD) as registry:
        session = registry.connect(Password("bob", "bob-pw"))
        assert session.principal.groups == {"developers"}
        with pytest.raises(NotAuthenticatedError, match="none of the groups"):
            registry.connect(Password("star*", "star*-pw"))


@pytest.mark.parametrize("table", blocks("[plugins.ldap]")[1:])
def test_other_directories_are_accepted(tmp_path: Path, table: str) -> None:
    """Their settings are of use, as far as anybody can tell without the directory."""
    pytest.importorskip("ldap3", reason="the extra ldap is not installed")
    (tmp_path / "ldap-password").write_text("hush\n", encoding="utf-8")
    with opened(tmp_path, table) as registry:
        assert registry.plugin_settings("ldap").member_of == ""


@pytest.mark.parametrize(
    "kind",
    [htpasswd.HtpasswdSettings, pam.PamSettings, ldap.LdapSettings],
    ids=lambda kind: kind.__name__,
)
def test_every_setting_is_in_the_guide(kind: type) -> None:
    """With its default, where that is a text or a number."""
    for field in attrs.fields(kind):
        rows = [row for row in ROWS if f"`{field.name}`" in row]
        assert rows, field.name
        if isinstance(field.default, str) and field.default:
            assert field.default in rows[0]
