"""``doctor``: what it finds, and that it changes nothing."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta

import pytest

from repocore import open_registry
from repocore.cli import doctor
from repocore.errors import StorageError
from repocore.registry import Backlog


def found(program, *, status: int = 0) -> dict[str, tuple[str, str]]:
    """What is said of each part."""
    told = program("doctor", "--json", status=status)
    value = json.loads(told.stdout)
    assert value["ok"] is (status == 0)
    return {one["part"]: (one["state"], one["said"]) for one in value["findings"]}


def settings(program, text: str) -> None:
    program.data.mkdir(exist_ok=True)
    file = program.data / "repocore.toml"
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)


def test_a_new_installation_is_well(house):
    """Every part is named, and people read a table."""
    parts = found(house)
    assert {state for state, _ in parts.values()} == {"ok"}
    assert {"settings", "disk", "catalog", "storage", "jobs", "administrators"} <= {*parts}
    assert parts["administrators"] == ("ok", "admin is one")
    assert "GiB are free" in house("doctor").stdout


def test_nothing_is_made_by_looking(program):
    """Neither an installation, nor what the settings would make of it."""
    assert found(program)["installation"][0] == "warning"
    assert not program.data.exists()
    program("init")
    settings(program, '[[account]]\nname = "robot"\n')
    found(program)
    program.data.joinpath("repocore.toml").unlink()
    assert [one["name"] for one in program.json("user", "list")] == ["admin"]


def test_settings_that_are_wrong(house):
    """They are the first thing, and nothing else is looked at."""
    settings(house, "[web]\nprefix = 'x'\n")
    parts = found(house, status=1)
    assert [*parts] == ["settings"]
    assert parts["settings"][0] == "FAILED"
    assert "web.prefix" in parts["settings"][1]


def test_names_addresses_and_files(house):
    """Each with its place, and what to do."""
    text = '[web]\npublic_url = "http://packages.example"\n[[rule]]\nsubject = "user:nobody"\n'
    settings(house, text + 'actions = ["read"]\npattern = "**"\n')
    (house.data / "repocore.toml").chmod(0o644)
    parts = found(house)
    assert "TLS in front" in parts["web.public_url"][1]
    assert "no account nobody" in parts["rule[0].subject"][1]
    assert "chmod 600" in parts["repocore.toml"][1]
    assert {parts[one][0] for one in ("web.public_url", "rule[0].subject")} == {"warning"}


def test_a_disk_that_is_nearly_full(house, monkeypatch):
    """With what makes room."""
    usage = type(shutil.disk_usage("/"))
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage(100 << 30, 99 << 30, 1 << 30))
    assert found(house)["disk"][0] == "warning"
    assert "repocore gc" in found(house)["disk"][1]


def test_a_storage_that_is_down(house, monkeypatch):
    """It fails, and the rest is looked at."""
    with open_registry(house.data) as registry:
        kind = type(registry._services.storage)

    def down(*_arguments):
        raise StorageError

    monkeypatch.setattr(kind, "size", down)
    parts = found(house, status=1)
    assert (parts["storage"][0], parts["catalog"][0]) == ("FAILED", "ok")


def test_nobody_works(house, monkeypatch):
    """Jobs that are due for long, and events that nobody hears."""
    backlog = Backlog(jobs={}, wait=timedelta(hours=1), events=2000)
    with open_registry(house.data) as registry:
        room = type(registry.session(registry.admin()).statistics)
    monkeypatch.setattr(room, "backlog", lambda _self: backlog)
    parts = found(house)
    assert "repocore worker" in parts["jobs"][1]
    assert parts["events"][0] == "warning"


@pytest.mark.parametrize(
    ("subject", "state", "said"),
    [("*", "FAILED", "may do everything"), (None, "warning", "nobody is one over HTTP")],
)
def test_who_administers(house, subject, state, said):
    """Everybody is too many, and nobody too few."""
    for rule in house.json("rule", "list"):
        house("rule", "remove", str(rule["id"]))
    if subject:
        house("rule", "add", "--subject", subject, "--actions", "all", "--pattern", "**")
    parts = found(house, status=int(state == "FAILED"))
    assert parts["administrators"][0] == state
    assert said in parts["administrators"][1]
