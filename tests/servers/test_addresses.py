"""`repocore serve` at several addresses at once."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import pytest
from front_servers import Front, MakeClient, has_ipv6, make_data, serving
from front_uploads import publish

SETTINGS = '[web]\ntrusted_proxies = ["::1"]\n'
FORWARDED = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "packages.example"}

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6"),
]


@pytest.fixture(scope="module")
def fronts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Front, Front]]:
    """One server, by IPv4 and by IPv6."""
    data = make_data(tmp_path_factory.mktemp("addresses") / "data", SETTINGS)
    with serving(data, "--host", "127.0.0.1", "--host", "::1") as front:
        yield front, attrs.evolve(front, host="::1")


def test_clients_of_both_families_share_packages(
    fronts: tuple[Front, Front], make_client: MakeClient
) -> None:
    """What is published by IPv4 is found by IPv6, and the other way round."""
    for number, (there, here) in enumerate((fronts, fronts[::-1])):
        publish(there, f"shared{number}")
        assert make_client(here).searched(f"shared{number}/*") == {f"shared{number}/1.0"}


def test_urls_are_those_by_which_one_came(fronts: tuple[Front, Front]) -> None:
    """An address of IPv6 stands in brackets."""
    for front in fronts:
        assert f"  {front.remote}" in front.get("/").content.decode().splitlines()


def test_proxy_is_trusted_by_its_address(fronts: tuple[Front, Front]) -> None:
    """Of two proxies, one by IPv4, one by IPv6, the one of the settings is believed."""
    other, trusted = fronts
    lines = trusted.ask("GET", "/", headers=FORWARDED).content.decode().splitlines()
    assert "  https://packages.example/conan/main" in lines
    lines = other.ask("GET", "/", headers=FORWARDED).content.decode().splitlines()
    assert f"  {other.remote}" in lines


@pytest.mark.slow
def test_client_uploads_to_an_address_in_brackets(
    fronts: tuple[Front, Front], make_client: MakeClient
) -> None:
    """The client's URLs keep the brackets through a login, an upload and an install."""
    writer = make_client(fronts[1], signed_in=True)
    made = writer.create(writer.home / "plain")
    writer.run("upload", str(made), "-r=house", "-c")
    make_client(fronts[1]).run("install", "--requires=plain/1.0+build.2", "-r=house")
