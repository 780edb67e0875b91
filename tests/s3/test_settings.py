"""``[plugins.s3]`` and the storage's URL: what is taken, and every mistake at once."""

from __future__ import annotations

import re
import tomllib
from datetime import timedelta

import attrs
import pytest

import repocore
from repocore.config import Secret, dump_settings, load_settings, structure_table
from repocore.errors import ConfigurationError
from repocore_s3 import S3Settings
from repocore_s3.settings import Addressing, Checksums, Place, read_place

EVERYTHING = """
storage = "s3://harbour/tide"

[plugins.s3]
endpoint = "https://s3.example:9000"
public_endpoint = "https://files.example"
redirect = true
direct_uploads = true
direct_smallest = "64 MiB"
direct_lifetime = "10m"
direct_unfinished = 9
region = "eu-north-1"
access_key = { env = "KEY" }
secret_key = { file = "secret" }
session_token = "hush"
addressing = "virtual"
ca_bundle = "ca.pem"
connect_timeout = "3s"
timeout = "20s"
retries = 7
pool = 8
part_size = "8 MiB"
parallel_parts = 2
spool = "spool"
checksums = "when_supported"
verify = false
probe = false
storage_class = "STANDARD_IA"
encryption = "aws:kms"
kms_key = "quay"
"""


def structured(tmp_path, text, **environ):
    """What the table becomes; raises as a start would."""
    (tmp_path / "repocore.toml").write_text(text)
    settings = load_settings(data=tmp_path, environ=environ)
    with repocore.open_registry(settings=settings) as registry:
        return registry.plugin_settings("s3")


def problems(text):
    """What a start would say of a table."""
    with pytest.raises(ConfigurationError) as told:
        structure_table("s3", S3Settings, tomllib.loads(text))
    return told.value.problems


@pytest.fixture
def files(tmp_path):
    (tmp_path / "secret").write_text("deep-water\n")
    (tmp_path / "ca.pem").touch()
    (tmp_path / "spool").mkdir()
    return tmp_path


def test_every_setting_is_taken(files):
    """Paths are relative to the settings file; secrets come from elsewhere."""
    made = structured(files, EVERYTHING, KEY="high-water")
    assert made == S3Settings(
        endpoint="https://s3.example:9000",
        public_endpoint="https://files.example",
        redirect=True,
        direct_uploads=True,
        direct_smallest=64 << 20,
        direct_lifetime=timedelta(minutes=10),
        direct_unfinished=9,
        region="eu-north-1",
        access_key=Secret("high-water"),
        secret_key=Secret("deep-water"),
        session_token=Secret("hush"),
        addressing=Addressing.VIRTUAL,
        ca_bundle=files / "ca.pem",
        connect_timeout=timedelta(seconds=3),
        timeout=timedelta(seconds=20),
        retries=7,
        pool=8,
        part_size=8 << 20,
        parallel_parts=2,
        spool=files / "spool",
        checksums=Checksums.WHEN_SUPPORTED,
        verify=False,
        probe=False,
        storage_class="STANDARD_IA",
        encryption="aws:kms",
        kms_key="quay",
    )
    assert {name for name in attrs.fields_dict(S3Settings) if f"\n{name} = " not in EVERYTHING} == {
        "profile"  # for which there are no keys
    }


def test_secrets_are_not_shown(files):
    """Neither by what prints settings, nor by a value that somebody logs."""
    made = structured(files, EVERYTHING, KEY="high-water")
    shown = dump_settings(load_settings(data=files, environ={"KEY": "high-water"})) + repr(made)
    assert not any(secret in shown for secret in ("high-water", "deep-water", "hush"))


def test_nothing_is_needed(tmp_path):
    """Without a table, who we are is found by the provider chain, and the store is that of AWS."""
    made = structured(tmp_path, "")
    assert made == S3Settings()
    assert made.endpoint is None
    assert not made.access_key
    assert not made.redirect
    assert not made.direct_uploads


def test_every_mistake_is_told_at_once():
    """Each after the key that it is about."""
    told = problems(
        'endpoint = "s3.example"\n'
        'public_endpoint = "https://user@files.example"\n'
        'addressing = "dns"\n'
        'checksums = "never"\n'
        'part_size = "1 MiB"\n'
        "parallel_parts = 0\n"
        "retries = -1\n"
        'timeout = "0s"\n'
        'secret = "x"\n'
        "redirect = 1\n"
        "direct_uploads = 1\n"
        "direct_smallest = 0\n"
        'direct_lifetime = "0s"\n'
        "direct_unfinished = 0\n",
    )
    assert [problem.partition(":")[0].removeprefix("plugins.s3.") for problem in told] == [
        "endpoint",
        "public_endpoint",
        "redirect",
        "direct_uploads",
        "direct_smallest",
        "direct_lifetime",
        "direct_unfinished",
        "addressing",
        "timeout",
        "retries",
        "part_size",
        "parallel_parts",
        "checksums",
        "secret",
    ]


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ('access_key = "k"', "`access_key` and `secret_key` go together"),
        ('secret_key = "k"', "`access_key` and `secret_key` go together"),
        ('session_token = "k"', "wants an `access_key`"),
        ('access_key = "k"\nsecret_key = "s"\nprofile = "p"', "exclude each other"),
        ('kms_key = "k"', "wants `encryption"),
        ('ca_bundle = "gone.pem"', "the file of `ca_bundle` is not there"),
        ('spool = "gone"', "the folder of `spool` is not there"),
        ('public_endpoint = "https://files.example"', "wants `redirect = true`"),
        ('public_endpoint = "https://files.example"', "or `direct_uploads = true`"),
        ('endpoint = "https://s3.example/?a=b"', "without ? and #"),
    ],
)
def test_what_does_not_go_together(table, sentence):
    """What each field alone cannot say."""
    [problem] = problems(table)
    assert sentence in problem


def test_several_that_do_not_go_together():
    """All of them stand in the one line of their table."""
    [problem] = problems('kms_key = "k"\nsecret_key = "s"\nspool = "x"\n')
    assert problem.startswith("plugins.s3: ")
    assert problem.count(";") == 2


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("s3://harbour", Place("harbour", "")),
        ("s3://harbour/", Place("harbour", "")),
        ("s3://harbour/tide", Place("harbour", "tide/")),
        ("s3://har-bour.9/a/b%2Bc/", Place("har-bour.9", "a/b+c/")),
    ],
)
def test_place_of_a_url(url, place):
    """The bucket, and a prefix that ends in a slash or is empty."""
    assert read_place(url) == place


@pytest.mark.parametrize(
    ("url", "sentences"),
    [
        ("s3://", ["expected s3://bucket/prefix"]),
        ("s3:///tide", ["expected s3://bucket/prefix"]),
        ("s3://ab", ["expected s3://bucket/prefix"]),
        ("s3://key:secret@harbour", ["expected s3://bucket/prefix"]),
        ("s3://harbour:9000/x", ["expected s3://bucket/prefix"]),
        ("s3://harbour/a//b", ["not plain"]),
        ("s3://harbour/../b", ["not plain"]),
        ("s3://harbour/a%2F..%2Fb", ["not plain"]),
        ("s3://harbour/ä", ["not plain"]),
        ("s3://-/a b?region=x", ["in the URL", "expected s3://bucket/prefix", "not plain"]),
    ],
)
def test_what_is_no_place(url, sentences):
    """Every mistake of the URL at once; none repeats it, since it may have a secret."""
    with pytest.raises(ConfigurationError) as told:
        read_place(url)
    assert len(told.value.problems) == len(sentences)
    for problem, sentence in zip(told.value.problems, sentences, strict=True):
        assert re.search(re.escape(sentence), problem)
        assert "key:secret" not in problem
