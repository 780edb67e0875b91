"""The users of an htpasswd file: who signs in, what is refused at start, and changes on the way."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import repocore
from repocore import (
    AuthenticatorError,
    Bearer,
    ConfigurationError,
    NotAuthenticatedError,
    Password,
    Registry,
)
from repocore.config import load_settings
from repocore.plugins import htpasswd
from repocore.testing import authenticator_contract

bcrypt = pytest.importorskip("bcrypt", reason="the extra htpasswd is not installed")

LONG_AGO = 1_700_000_000


def hashed(password: str, prefix: bytes = b"2b") -> str:
    salt = bcrypt.gensalt(4)
    return bcrypt.hashpw(password.encode(), salt).decode().replace("$2b$", f"${prefix.decode()}$")


ANN = f"ann:{hashed('right')}\n"


def write(file: Path, text: str, *, at: int = LONG_AGO) -> None:
    file.write_text(text, encoding="utf-8")
    os.utime(file, (at, at))


@contextlib.contextmanager
def opened(folder: Path, users: str, groups: str | None = None) -> Iterator[Registry]:
    table = '[plugins.htpasswd]\nfile = "users.htpasswd"\n'
    write(folder / "users.htpasswd", users)
    if groups is not None:
        write(folder / "groups", groups)
        table += 'group_file = "groups"\n'
    (folder / "repocore.toml").write_text(table, encoding="utf-8")
    settings = load_settings(data=folder, environ={})
    with repocore.open_registry(settings=settings) as registry:
        yield registry


def refused(folder: Path, users: str, groups: str | None = None) -> str:
    """What is said at start about files that are not accepted."""
    with pytest.raises(ConfigurationError) as caught, opened(folder, users, groups):
        pass
    (problem,) = caught.value.problems
    return problem


@contextlib.contextmanager
def contract_registry():
    folder = Path(tempfile.mkdtemp())
    try:
        with opened(folder, ANN) as registry:
            yield registry, htpasswd
    finally:
        shutil.rmtree(folder)


TestHtpasswd = authenticator_contract(
    contract_registry,
    known=[Password("ann", "right")],
    wrong=[Password("ann", "wrong"), Password("ann", "right\0")],
    unknown=[Password("bob", "right"), Password("Ann", "right"), Bearer("x")],
)


@pytest.mark.parametrize("prefix", [b"2a", b"2b", b"2y"])
def test_every_kind_of_bcrypt_signs_in(tmp_path: Path, prefix: bytes) -> None:
    """Whatever wrote the hash: the name, the password and nothing else decide."""
    with opened(tmp_path, f"# ours\n\nann:{hashed('pässword', prefix)}\r\n") as registry:
        principal = registry.connect(Password("ann", "pässword")).principal
        assert (principal.name, principal.groups, principal.via) == ("ann", frozenset(), "htpasswd")
        with pytest.raises(NotAuthenticatedError, match="Wrong user or password"):
            registry.connect(Password("ann", "password"))


@pytest.mark.skipif(shutil.which("htpasswd") is None, reason="htpasswd is not installed")
def test_what_htpasswd_writes_is_read(tmp_path: Path) -> None:
    """The tool that the messages name makes a file that is accepted."""
    file = tmp_path / "made"
    subprocess.run(["htpasswd", "-cbB", str(file), "ann", "right"], check=True, capture_output=True)
    with opened(tmp_path, file.read_text(encoding="utf-8")) as registry:
        assert registry.connect(Password("ann", "right")).principal.name == "ann"


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ("$apr1$Kq0aJ1vO$Zr3tW6Uc1cN1mE0gqk0pJ/", "an MD5 hash"),
        ("{SHA}2aVQpL2nTzZ0bYkzU4q9bRkYx5s=", "an unsalted SHA-1 hash"),
        ("$6$salt$hashhashhash", "a hash of crypt()"),
        ("rqXexS6ZhobKA", "a hash of the old crypt()"),
        ("not-hashed-at-all", "a plain password"),
        ("$2y$05$cut-short", "a damaged bcrypt hash"),
        ("$2b$99$" + "a" * 53, "a damaged bcrypt hash"),
    ],
)
def test_another_kind_of_hash_is_refused_at_start(tmp_path: Path, secret: str, words: str) -> None:
    """One sentence: the line, what is there, and what to do; nothing of the hash."""
    problem = refused(tmp_path, f"{ANN}bob:{secret}\n")
    assert problem.startswith("plugins.htpasswd.file: of the file users.htpasswd, line 2 has ")
    assert words in problem
    assert "htpasswd -B" in problem
    assert secret not in problem
    assert secret[8:] not in problem


@pytest.mark.parametrize("line", ["ann", "ann:", ":hash", ":"])
def test_a_line_without_a_name_or_a_hash_is_refused_at_start(tmp_path: Path, line: str) -> None:
    """The line is numbered as an editor numbers it."""
    assert "line 3 is not of the form `name:hash`" in refused(tmp_path, f"\n# x\n{line}\n")


def test_a_name_stands_once(tmp_path: Path) -> None:
    """Of two passwords for one name nobody could say which is right."""
    assert "line 2 repeats a name" in refused(tmp_path, ANN + ANN)


def test_a_missing_file_is_told_at_start(tmp_path: Path) -> None:
    """By its name alone."""
    (tmp_path / "repocore.toml").write_text(
        '[plugins.htpasswd]\nfile = "folder/none"\n', encoding="utf-8"
    )
    with pytest.raises(ConfigurationError) as caught:
        repocore.open_registry(data=tmp_path)
    assert "the file none cannot be read: No such file" in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("[plugins.htpasswd]\n", "plugins.htpasswd.file: is missing"),
        ('[plugins.htpasswd]\ngroup_file = "users"\n', "of no use without `file`"),
    ],
)
def test_a_table_without_a_file_is_told_at_start(tmp_path: Path, table: str, words: str) -> None:
    """Whoever writes the table wants the plugin."""
    (tmp_path / "users").write_text("", encoding="utf-8")
    (tmp_path / "repocore.toml").write_text(table, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=words):
        repocore.open_registry(data=tmp_path)


def test_groups_come_from_their_file(tmp_path: Path) -> None:
    """As many as name the user."""
    groups = "# teams\nteam: bob ann\nreaders: ann\nothers: bob\n"
    with opened(tmp_path, ANN, groups) as registry:
        assert registry.connect(Password("ann", "right")).principal.groups == {"team", "readers"}


def test_a_bad_line_of_groups_is_refused_at_start(tmp_path: Path) -> None:
    """With its number."""
    problem = refused(tmp_path, ANN, "team: ann\nnothing here\n")
    assert problem.endswith("of the file groups, line 2 is not of the form `group: name name`")


def test_a_password_that_bcrypt_would_cut_is_refused_clearly(tmp_path: Path) -> None:
    """72 bytes count; a longer password is not right because its beginning is."""
    longest = "ä" * 36
    with opened(tmp_path, f"ann:{hashed(longest)}\n") as registry:
        assert registry.connect(Password("ann", longest)).principal.name == "ann"
        with pytest.raises(NotAuthenticatedError, match="at most 72 bytes"):
            registry.connect(Password("ann", longest + "x"))


def ask(registry: Registry, name: str, password: str) -> str | None:
    """What the plugin itself answers; the registry remembers for a minute."""
    found = htpasswd.repocore_authenticate(registry, Password(name, password))
    return None if found is None else found.name


def test_a_changed_file_counts_at_once(tmp_path: Path) -> None:
    """New users sign in, removed ones do not, without a restart."""
    file = tmp_path / "users.htpasswd"
    with opened(tmp_path, ANN) as registry:
        assert ask(registry, "ann", "right") == "ann"
        write(file, f"bob:{hashed('also')}\n", at=LONG_AGO + 1)
        assert ask(registry, "bob", "also") == "bob"
        assert ask(registry, "ann", "right") is None


def test_a_replaced_file_of_the_same_size_and_time_is_read_again(tmp_path: Path) -> None:
    """A rename puts another inode there."""
    file, other = tmp_path / "users.htpasswd", tmp_path / "other"
    with opened(tmp_path, ANN) as registry:
        assert ask(registry, "ann", "right") == "ann"
        write(other, f"ann:{hashed('newer')}\n")
        other.replace(file)
        assert ask(registry, "ann", "newer") == "ann"


def test_a_file_of_this_very_moment_is_read_each_time(tmp_path: Path) -> None:
    """Two changes within one tick of the disk's clock are two changes."""
    file = tmp_path / "users.htpasswd"
    with opened(tmp_path, ANN) as registry:
        file.write_text(ANN, encoding="utf-8")
        status = file.stat()
        assert ask(registry, "ann", "right") == "ann"
        file.write_text(f"ann:{hashed('newer')}\n", encoding="utf-8")
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert ask(registry, "ann", "newer") == "ann"


def test_an_unchanged_file_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time, size and inode are enough."""
    with opened(tmp_path, ANN) as registry:
        assert ask(registry, "ann", "right") == "ann"
        monkeypatch.setattr(htpasswd, "_text", lambda _path: pytest.fail("read again"))
        assert ask(registry, "ann", "right") == "ann"


def test_a_line_that_goes_bad_locks_its_user_out_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The others sign in; the log has the line; the next authenticator is not asked."""
    with opened(tmp_path, ANN) as registry:
        write(tmp_path / "users.htpasswd", f"{ANN}bob:plain\n", at=LONG_AGO + 1)
        with caplog.at_level(logging.WARNING):
            assert ask(registry, "ann", "right") == "ann"
        with pytest.raises(NotAuthenticatedError):
            ask(registry, "bob", "plain")
    assert "users.htpasswd: line 2 has a plain password" in caplog.text


def test_without_its_file_nobody_is_asked_further(tmp_path: Path) -> None:
    """Who is known cannot be said, so neither yes, nor no, nor the next."""
    with opened(tmp_path, ANN) as registry:
        (tmp_path / "users.htpasswd").unlink()
        with pytest.raises(AuthenticatorError):
            registry.connect(Password("ann", "right"))


def test_accounts_are_asked_first(tmp_path: Path) -> None:
    """The password of an account goes before the file's; only unknown names come here."""
    with opened(tmp_path, ANN) as registry:
        registry.session(registry.admin()).accounts.add("ann", "account's")
        assert registry.connect(Password("ann", "account's")).principal.via == "password"
        with pytest.raises(NotAuthenticatedError, match="Wrong user or password"):
            registry.connect(Password("ann", "right"))


def test_without_its_table_nothing_is_loaded(tmp_path: Path) -> None:
    """Whoever wants none of them does not pay for packages, nor need to install them."""
    program = (
        # PyJWT takes cryptography where it is there, and that takes bcrypt.
        "import sys\n"
        "sys.modules['cryptography'] = None\n"
        "import repocore\n"
        f"repocore.open_registry(data={str(tmp_path)!r}).close()\n"
        "print({'bcrypt', 'ldap3', 'pamela', 'pyasn1'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"


def test_a_missing_package_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence is the command to type."""
    monkeypatch.setitem(sys.modules, "bcrypt", None)
    assert refused(tmp_path, ANN).endswith("pip install 'repocore[htpasswd]'")
