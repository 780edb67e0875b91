"""Backup sources: what the real Conan 2 client keeps below the remote, and builds from later."""

from __future__ import annotations

import hashlib
import json
import shutil
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from conan_client import through
from recorder import sources

pytestmark = pytest.mark.clients
FETCHING = """\
from conan import ConanFile
from conan.tools.files import download

class Fetching(ConanFile):
    name, version = "{name}", "1.0"

    def source(self):
        download(self, "{address}", "sources.txt", sha256="{sum}")
"""


def backed_up(client, remote):
    """Let a client look for sources, and keep them, below a remote."""
    client.configure(
        f'core.sources:download_urls=["{remote}/sources/", "origin"]\n'
        f"core.sources:upload_url={remote}/sources/\n"
    )


def signed_in(client, remote, user, password):
    """Give a client what it needs to keep sources as a user of the server, if there is one."""
    if user:
        known = {"url": f"{remote}/sources/", "user": user, "password": password}
        credentials = json.dumps({"credentials": [known]})
        (client.home / "source_credentials.json").write_text(credentials)


def fetched(address):
    """Status and content, as anyone gets them."""
    try:
        with urllib.request.urlopen(address) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as problem:
        with problem:
            return problem.code, problem.read()


@pytest.fixture
def tide(tmp_path):
    folder = tmp_path / "tide"
    shutil.copytree(Path(__file__).with_name("recipes") / "tide", folder)
    return folder


def test_sources_are_backed_up_and_built_from(conan, server, origin, tarball, tide):
    """What a recipe downloaded is uploaded beside it, and serves builds without the origin."""
    writer = conan("writer")
    writer.configure(origin)
    backed_up(writer, server.remote)
    signed_in(writer, server.remote, "writer", "low-water")
    writer.create(tide, "--version=1.0", "--user=backup", "--test-folder=")
    writer.run("upload", "tide/1.0@backup", "-r=house", "-c", "--only-recipe")
    name = hashlib.sha256(tarball).hexdigest()
    assert fetched(f"{server.remote}/sources/{name}") == (200, tarball)
    status, described = fetched(f"{server.remote}/sources/{name}.json")
    assert status == 200
    assert "http://sources.example/tide-1.tar" in str(json.loads(described)["references"])

    with sources({}) as (address, asked):
        later = conan()
        later.configure(through(address))
        backed_up(later, server.remote)
        later.run("install", "--requires=tide/1.0@backup", "-r=house", "--build=tide/*")
        assert asked == []


@pytest.mark.slow
@pytest.mark.parametrize("who", [("reader", "slack-water"), ("writer", "wrong"), (None, None)])
def test_backup_of_who_may_not_write_is_not_kept(conan, server, who, tmp_path):
    """Without the right to write, a backup is refused with a word on credentials."""
    user, password = who
    content = f"sources of {user}, {password}".encode()
    name = hashlib.sha256(content).hexdigest()
    address = f"http://sources.example/{name}.txt"
    recipe = tmp_path / "conanfile.py"
    recipe.write_text(FETCHING.format(name=f"fetching{name[:8]}", address=address, sum=name))
    with sources({address: content}) as (proxy, _):
        client = conan("writer")
        client.configure(through(proxy))
        backed_up(client, server.remote)
        client.create(recipe)
        signed_in(client, server.remote, user, password)
        answer = client.attempt("cache", "backup-upload")
    assert "source_credentials.json" in answer.messages + answer.output or answer.status
    assert fetched(f"{server.remote}/sources/{name}")[0] == 404


@pytest.mark.slow
def test_backup_with_an_api_token(conan, server, origin, tarball, tide):
    """source_credentials.json may hold an API token instead of user and password."""
    client = conan("writer")
    client.configure(origin)
    backed_up(client, server.remote)
    known = {"url": server.remote, "token": server.add_token("writer")}
    credentials = json.dumps({"credentials": [known]})
    (client.home / "source_credentials.json").write_text(credentials)
    client.create(tide, "--version=1.1", "--user=tokened", "--test-folder=")
    client.run("cache", "backup-upload")
    name = hashlib.sha256(tarball).hexdigest()
    assert fetched(f"{server.remote}/sources/{name}") == (200, tarball)
