"""Certificates for one run, and clients that trust them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from certificates import Certificates, make_certificates
from conan_client import Conan, executable
from front_servers import PASSWORD, WRITER, Front, MakeClient, program

# Test modules import it later, and its assertions then say what they compared.
pytest.register_assert_rewrite("front_contract")

PLAIN = """\
from conan import ConanFile


class Plain(ConanFile):
    name = "plain"
    version = "1.0+build.2"
    description = "Neither settings nor options: the file that would list them is empty."
"""


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    if program("openssl") is None:
        pytest.skip("openssl is not installed")
    return make_certificates(tmp_path_factory.mktemp("certificates") / "made")


@pytest.fixture(scope="session")
def conan_program() -> Path:
    """The newest client that is installed beside us."""
    found = executable("newest")
    if found is None:
        pytest.skip("no conan in this environment: pip install conan")
    return found


@pytest.fixture(scope="class")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the servers of a class write into."""
    return tmp_path_factory.mktemp("folder")


@pytest.fixture(scope="class")
def front(request: pytest.FixtureRequest, folder: Path, certificates: Certificates):
    """What the class says how to start."""
    with request.cls.fronted(folder, certificates) as running:
        yield running


@pytest.fixture
def make_client(conan_program: Path, tmp_path: Path) -> MakeClient:
    """Makes clients with the remote `house`, and the CA of its front; in each a recipe `plain`."""

    def make(front: Front, *, signed_in: bool = False) -> Conan:
        home = tmp_path / f"home-{sum(1 for _ in tmp_path.iterdir())}"
        client = Conan(conan_program, home)
        house = {"name": "house", "url": front.remote, "verify_ssl": True}
        (home / "remotes.json").write_text(json.dumps({"remotes": [house]}), encoding="utf-8")
        if front.authority:
            client.configure(f"core.net.http:cacert_path={front.authority}")
        if signed_in:
            known = {"remote": "house", "user": WRITER, "password": PASSWORD}
            text = json.dumps({"credentials": [known]})
            (home / "credentials.json").write_text(text, encoding="utf-8")
        (home / "plain").mkdir()
        (home / "plain" / "conanfile.py").write_text(PLAIN, encoding="utf-8")
        return client

    return make
