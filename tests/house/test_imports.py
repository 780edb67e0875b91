"""What importing the package costs: next to nothing."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {
    "alembic",
    "bcrypt",
    "botocore",
    "click",
    "gunicorn",
    "jwt",
    "ldap3",
    "pamela",
    "procrastinate",
    "psycopg",
    "rich",
    "sqlalchemy",
    "urllib3",
    "werkzeug",
}


def loaded_by(statement: str) -> set[str]:
    """The names of all modules that a new interpreter has after the statement."""
    program = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    "statement",
    [
        "import repocore",
        "from repocore import hookimpl",
        "import repocore.model, repocore.errors, repocore.http, repocore.ports",
    ],
)
def test_import_is_light(statement):
    """A plugin author's imports load no database, no web framework, no console and no plugin."""
    loaded = loaded_by(statement)
    assert {name.partition(".")[0] for name in loaded} & HEAVY == set()
    assert {name for name in loaded if name.startswith("repocore.plugins")} == set()


def test_registry_loads_no_framework():
    """A program that embeds the library gets neither our web framework nor our console."""
    loaded = loaded_by("from repocore import open_registry")
    heavy = {name.partition(".")[0] for name in loaded} & HEAVY
    assert heavy <= {"alembic", "sqlalchemy"}
