"""The guide to object storage: its tables are settings, as they stand there."""

from __future__ import annotations

import json
import os
import re
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from channel_pool import package
from gate import Gate
from moto_server import moto_server
from wsgi_calls import basic, call

import repocore
from repocore.config import PluginSettings, Secret, Settings, load_settings, structure_table
from repocore_s3.settings import Place, S3Settings, read_place
from repocore_web import create_app

GUIDE = (Path(__file__).parents[2] / "docs" / "how-to" / "object-storage.md").read_text("utf-8")
BLOCKS = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)


def settings(folder: Path, block: str) -> tuple[Any, S3Settings]:
    """All settings, and those of S3; the files that the guide names are made."""
    for name in ("store", "store-ca.pem"):
        (folder / name).write_text("deep-water\n")
    text = block.replace("/run/secrets/", f"{folder}/")
    (folder / "repocore.toml").write_text(text)
    environ = {"STORE_KEY": "key", "STORE_SECRET": "deep-water"}
    made = load_settings(data=folder, environ=environ)
    return made, structure_table("s3", S3Settings, made.plugins.tables.get("s3", {}))


@pytest.mark.parametrize("block", BLOCKS)
def test_every_table_is_taken(tmp_path: Path, block: str) -> None:
    """Each by itself, as people copy them."""
    settings(tmp_path, block)


def test_the_tables_say_what_the_guide_says(tmp_path: Path) -> None:
    """Where the bucket is, whose keys they are, where the store is, who sends the bytes."""
    first, keys, store, sending, direct, other = BLOCKS
    made, aws = settings(tmp_path, first)
    assert read_place(made.storage) == Place("packages", "repocore/")
    assert (aws.region, aws.endpoint) == ("eu-north-1", None)
    assert settings(tmp_path, keys)[1].secret_key == Secret("deep-water")
    assert settings(tmp_path, store)[1].endpoint == "https://store.example:9000"
    assert settings(tmp_path, sending)[1].redirect
    sent = settings(tmp_path, direct)[1]
    assert sent.direct_uploads
    # What it writes down are the defaults.
    assert (sent.direct_smallest, sent.direct_lifetime) == (
        S3Settings().direct_smallest,
        S3Settings().direct_lifetime,
    )
    assert settings(tmp_path, other)[0].storage_options["project"] == "packages"


def test_the_permissions_are_those_that_are_missed() -> None:
    """What a server says that it needs, the policy grants."""
    [policy] = re.findall(r"```json\n(.*?)```", GUIDE, re.DOTALL)
    granted = {one for part in json.loads(policy)["Statement"] for one in part["Action"]}
    source = Path(read_place.__code__.co_filename).with_name("refusals.py").read_text("utf-8")
    needed = re.search(r"they need (.*?)\"\n\s*\"(.*?)\"\n", source)
    assert needed is not None
    words = re.findall(r"[A-Z]\w+", f"{needed[1]} {needed[2]}")
    assert {f"s3:{word}" for word in words} == granted


def test_defaults_stand_in_the_guide() -> None:
    """The sizes that it names."""
    assert "`part_size` (16 MiB), `parallel_parts` (4)" in GUIDE
    assert f"`direct_unfinished` ({S3Settings().direct_unfinished})" in GUIDE
    assert (S3Settings().part_size, S3Settings().parallel_parts) == (16 << 20, 4)


def test_direct_uploads_work_as_the_guide_says(tmp_path: Path) -> None:
    """Its table, at a mock of a store: parts by signed URLs, and a PUT without a body."""
    stores = pytest.importorskip("s3_stores")
    with moto_server() as address:
        corner = stores.store_at(
            f"{address.replace('://', '://key:secret@')}/packages", real=False
        ).place()
        table = settings(tmp_path, BLOCKS[4])[0].plugins.tables["s3"]
        table = {**corner.table(), **table, "public_endpoint": address}
        chosen = Settings(
            data=tmp_path, storage=corner.url, plugins=PluginSettings(tables={"s3": table})
        )
        with repocore.open_registry(settings=chosen, plugins=[Gate()]) as registry:
            admin = registry.session(registry.admin())
            admin.repositories.create("conda/main")
            rule = repocore.Rule(
                subject="user:ann", actions=repocore.actions_of(["all"]), pattern="**"
            )
            admin.accounts.add_rule(rule)
            assert admin.uploads.smallest == 32 << 20
            app, who = create_app(registry), {"HTTP_AUTHORIZATION": basic("ann", "high-water")}
            made = package("noarch", "tide-1.0-0.conda", payload=os.urandom(33 << 20))
            wanted = {
                "repository": "conda/main",
                "path": made.path,
                "size": len(made.content),
                "sha256": made.sha256,
            }
            words = {"body": json.dumps(wanted).encode(), "CONTENT_TYPE": "application/json", **who}
            begun = json.loads(call(app, "/api/v1/uploads", "POST", **words).body)
            assert [one["stop"] - one["start"] for one in begun["parts"][:-1]] == [16 << 20] * 2
            for part in begun["parts"]:
                request = urllib.request.Request(
                    part["url"],
                    made.content[part["start"] : part["stop"]],
                    {**part["headers"], "Content-Type": ""},
                    method=part["method"],
                )
                urllib.request.urlopen(request).close()
            fields = {"HTTP_X_REPOCORE_UPLOAD": begun["id"], **who}
            assert call(app, f"/conda/main/{made.path}", "PUT", **fields).status == 201
            assert admin.files.stat("conda/main", made.path).digest == made.sha256
