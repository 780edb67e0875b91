"""The program itself: help, errors, and the commands of plugins."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from repocore import __version__
from repocore.cli.group import root

PLUGIN = """
import click
from repocore import hookimpl

@hookimpl
def repocore_commands(group):
    @group.command("greet")
    @click.argument("name")
    def greet(name):
        "Say hello."
        click.echo(f"hello {name}")

    @group.command("serve")
    def serve():
        click.echo("not the real one")
"""


def test_help_is_light():
    """The help page loads no registry, no server and no table."""
    program = (
        "import sys\nfrom click.testing import CliRunner\nfrom repocore.cli.group import root\n"
        "assert CliRunner().invoke(root, ['--help']).exit_code == 0\n"
        "print([n for n in ('sqlalchemy', 'rich', 'werkzeug', 'gunicorn') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_mistyped_command_is_guessed():
    """What it looks like is named, and a word like none of them is refused."""
    for word, told in (("exportt", "Did you mean 'export'?"), ("zzz", "No such command 'zzz'")):
        done = CliRunner().invoke(root, [word])
        assert done.exit_code == 2
        assert told in done.output


def test_version_also_as_json():
    """For people, and for scripts."""
    assert CliRunner().invoke(root, ["--version"]).output == f"repocore, version {__version__}\n"
    shown = CliRunner().invoke(root, ["--version", "--json"]).output
    assert json.loads(shown) == {"version": __version__}


def pages(command: click.Command, *words: str) -> Iterator[tuple[str, ...]]:
    yield words
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from pages(inner, *words, name)


def test_every_command_has_a_help_page():
    """Each command, and each part of one, says what it does."""
    found = list(pages(root))
    assert len(found) > 25
    for words in found:
        done = CliRunner().invoke(root, [*words, "--help"])
        assert done.exit_code == 0, (words, done.output)


def test_version():
    """--version is the version of the package."""
    assert __version__ in CliRunner().invoke(root, ["--version"]).output


def test_wrong_use_is_status_2(program):
    """A wrong use says what is missing; with --json as JSON, and always with the status 2."""
    assert "ADDRESS" in program("repo", "create", status=2).stderr
    assert program.refused("repo", "create", status=2)["kind"] == "MissingParameter"


def test_no_server_path_is_a_traceback(tmp_path):
    """What the operating system refuses is one line."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    done = CliRunner().invoke(root, ["--data", str(tmp_path / "file" / "x"), "repo", "list"])
    assert done.exit_code == 1
    assert len(done.stderr.splitlines()) == 1


def test_plugins_add_commands_but_replace_none(program):
    """A plugin's command runs and is in the help; a name of ours stays ours."""
    program.data.mkdir()
    (program.data / "greeting.py").write_text(PLUGIN, encoding="utf-8")
    text = '[plugins]\nfiles = ["greeting.py"]\n'
    (program.data / "repocore.toml").write_text(text, encoding="utf-8")
    before = ["--data", str(program.data)]
    assert CliRunner().invoke(root, [*before, "greet", "ann"]).stdout == "hello ann\n"
    assert "Say hello." in CliRunner().invoke(root, [*before, "--help"]).stdout
    assert "Serve the data folder" in CliRunner().invoke(root, [*before, "serve", "--help"]).stdout


def test_help_works_with_broken_settings(program):
    """Settings that cannot be read do not take the help away."""
    program.data.mkdir()
    (program.data / "repocore.toml").write_text("nonsense", encoding="utf-8")
    done = CliRunner().invoke(root, ["--data", str(program.data), "--help"])
    assert done.exit_code == 0


@pytest.mark.parametrize("words", [[], ["--data", "x"]])
def test_module_is_the_program(words, tmp_path):
    """python -m repocore is repocore."""
    done = subprocess.run(
        [sys.executable, "-m", "repocore", *words, "config", "path", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["data"].startswith(str(tmp_path))


@pytest.mark.parametrize("at", [0, 1, 2])
def test_shared_options_stand_anywhere(house, at):
    """Before the group, between it and its command, or behind: all the same."""
    words = ["repo", "list"]
    words[at:at] = ["--json", "--data", str(house.data)]
    done = CliRunner().invoke(root, words)
    assert done.exit_code == 0, done.output
    assert [one["format"] for one in json.loads(done.stdout)] == ["conan", "conda"]


@pytest.mark.parametrize(
    "words",
    [
        ("repo", "list"), ("repo", "delete", "conan/main", "--yes"), ("user", "list"),
        ("token", "create", "ann"), ("rule", "list"), ("check",), ("gc",),
        ("export", "conan/main", "out"), ("group", "add", "crew", "ann"),
    ],
)  # fmt: skip
def test_mistyped_folder_is_no_empty_installation(program, words):
    """A command that looks for something says that nothing is there, and makes nothing."""
    told = program.refused(*words)
    assert told["kind"] == "ConfigurationError"
    assert "There is no installation in" in told["error"]
    assert "repocore init" in told["error"]
    assert not program.data.exists()


@pytest.mark.parametrize(
    ("words", "typed"),
    [
        (("user", "add", "ann", "--password-stdin"), "low-tide-42\n"),
        (("repo", "create", "conan/other"), None),
        (("rule", "add", "--subject", "*", "--actions", "read", "--pattern", "conan/**"), None),
    ],
)
def test_first_things_make_an_installation_and_say_so(program, words, typed):
    """A script may add what it needs before the first start."""
    done = program(*words, typed=typed)
    assert "A new installation is made in" in done.stderr
    assert "made in" not in program("rule", "list").stderr
