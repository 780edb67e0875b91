"""A registry below /packages of a Flask application, with its own page beside it.

Run it with: FLASK_APP=embed_in_flask flask run
"""

from __future__ import annotations

import contextlib
import os

from flask import Flask

import repocore
from repocore import AlreadyExistsError
from repocore_web import mount

app = Flask(__name__)
registry = repocore.open_registry(data=os.environ.get("REPOCORE_DATA", "repocore-data"))

with contextlib.suppress(AlreadyExistsError):
    registry.session(registry.admin()).repositories.create("conan/main")


@app.get("/")
def front() -> str:
    """How many recipes there are, asked without any web server in between."""
    session = registry.session(registry.admin())
    return f"{sum(1 for _ in session.releases.packages('conan/main'))} recipes"


app.wsgi_app = mount(app.wsgi_app, "/packages", registry)  # type: ignore[method-assign]
