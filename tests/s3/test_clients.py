"""The clients of botocore: how they are set up, and who shares them."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from repocore.config import Secret
from repocore_s3.clients import Clients
from repocore_s3.settings import Addressing, Checksums, S3Settings

KEYS = {"access_key": Secret("key"), "secret_key": Secret("secret")}
OURS = "https://s3.example:9000"


def inner(**settings):
    return Clients(S3Settings(**{**KEYS, **settings})).inner()


def url(client):
    return client.generate_presigned_url("get_object", Params={"Bucket": "harbour", "Key": "tide"})


def test_settings_reach_the_client():
    """Every one that is about connections, credentials and requests."""
    client = inner(
        endpoint=OURS,
        region="eu-north-1",
        session_token=Secret("third"),
        connect_timeout=timedelta(seconds=3),
        timeout=timedelta(seconds=20),
        retries=7,
        pool=8,
        checksums=Checksums.WHEN_SUPPORTED,
    )
    chosen = client.meta.config
    assert (chosen.connect_timeout, chosen.read_timeout) == (3, 20)
    assert chosen.retries == {"mode": "standard", "total_max_attempts": 8}
    assert chosen.max_pool_connections == 8
    assert chosen.request_checksum_calculation == "when_supported"
    assert client.meta.region_name == "eu-north-1"
    signed = url(client)
    assert signed.startswith(f"{OURS}/harbour/tide?")
    for part in ("X-Amz-Algorithm=AWS4-HMAC-SHA256", "eu-north-1", "X-Amz-Security-Token=third"):
        assert part in signed


def test_checksums_are_asked_for_where_they_are_required_only():
    """Few stores but AWS take the newer ones."""
    assert inner().meta.config.request_checksum_calculation == "when_required"


@pytest.mark.parametrize(
    ("settings", "start"),
    [
        ({"endpoint": OURS}, f"{OURS}/harbour/"),
        (
            {"endpoint": OURS, "addressing": Addressing.VIRTUAL},
            "https://harbour.s3.example:9000/",
        ),
        ({"region": "eu-north-1"}, "https://harbour.s3.eu-north-1.amazonaws.com/"),
        ({"region": "us-east-1"}, "https://harbour.s3.amazonaws.com/"),
        (
            {"region": "eu-north-1", "addressing": Addressing.PATH},
            "https://s3.eu-north-1.amazonaws.com/harbour/",
        ),
    ],
)
def test_bucket_is_named_in_the_path_or_in_the_host(settings, start):
    """By itself in the path where there is an end point, whose host may have no names below it."""
    assert url(inner(**settings)).startswith(start)


def test_region_of_the_environment(monkeypatch):
    """The provider chain knows it; a store of one's own wants any."""
    assert inner(endpoint=OURS).meta.region_name == "us-east-1"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    assert inner(endpoint=OURS).meta.region_name == "eu-central-1"
    assert inner(endpoint=OURS, region="x").meta.region_name == "x"


def test_credentials_of_the_environment(monkeypatch):
    """Without an access key in the settings, the chain is asked."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-the-environment")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    assert "of-the-environment" in url(Clients(S3Settings(endpoint=OURS)).inner())
    assert "of-the-environment" not in url(inner(endpoint=OURS))


def test_credentials_of_a_profile(monkeypatch, tmp_path: Path):
    """Where there are several accounts on a machine."""
    file = tmp_path / "credentials"
    file.write_text("[bay]\naws_access_key_id = of-the-bay\naws_secret_access_key = x\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    assert "of-the-bay" in url(Clients(S3Settings(endpoint=OURS, profile="bay")).inner())


def test_clients_of_others_have_their_own_end_point():
    """Inside and outside may have other names for the store."""
    both = {"endpoint": OURS, "public_endpoint": "https://files.example", "redirect": True}
    clients = Clients(S3Settings(**both, **KEYS))
    assert url(clients.inner()).startswith(OURS)
    assert url(clients.outer()).startswith("https://files.example/harbour/tide?")
    alone = Clients(S3Settings(endpoint=OURS, **KEYS))
    assert alone.outer() is alone.inner()


def test_parts_of_others_carry_no_newer_checksums():
    """Neither the upload that they are of, nor what is signed for them."""
    clients = Clients(S3Settings(endpoint=OURS, checksums=Checksums.WHEN_SUPPORTED, **KEYS))
    for client, wanted in (
        (clients.inner(), "when_supported"),
        (clients.plain(), "when_required"),
        (clients.outer(), "when_required"),
    ):
        assert client.meta.config.request_checksum_calculation == wanted
    assert clients.plain() is clients.outer()


def test_private_certificates(tmp_path: Path):
    """Their file is what connections are verified with."""
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    client = inner(endpoint=OURS, ca_bundle=bundle)
    assert client._endpoint.http_session._verify == str(bundle)


def test_threads_share_one_client():
    """However many come at once, while it is made."""
    clients = Clients(S3Settings(endpoint=OURS, **KEYS))
    gate = threading.Barrier(8)

    def ask(_):
        gate.wait()
        return clients.inner()

    with ThreadPoolExecutor(8) as pool:
        assert len({id(client) for client in pool.map(ask, range(8))}) == 1


def test_another_process_makes_its_own(monkeypatch):
    """After a fork, nothing of the other's is used, its lock neither."""
    clients = Clients(S3Settings(endpoint=OURS, **KEYS))
    first = clients.inner()
    clients._process.lock.acquire()
    assert clients.inner() is first
    monkeypatch.setattr(os, "getpid", lambda: -1)
    other = clients.inner()
    assert other is not first
    assert clients.inner() is other
