"""py-rattler and channels that are private, or say something of themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
import rattler_client
from conda_channels import READ, Harbourmaster, Quay
from rattler_builder import tide
from rattler_client import Rattler, check_files, here, installed
from recorder import recording

from repocore.model import Rule, Tier

pytestmark = [pytest.mark.clients, pytest.mark.slow]
rattler = rattler_client.rattler
GatewayError = rattler_client.errors.GatewayError
USER, PASSWORD = "pilot", "spring-tide-2026"
#: What an authentication file has for one host; TOKEN stands for the token.
WAYS = {
    "a token in the path": {"CondaToken": "TOKEN"},
    "a token in the header": {"BearerToken": "TOKEN"},
    "a token as a password": {"BasicHTTP": {"username": "__token__", "password": "TOKEN"}},
    "a user's password": {"BasicHTTP": {"username": USER, "password": PASSWORD}},
}


@pytest.fixture(scope="module")
def pilot(harbourmaster: Harbourmaster) -> str:
    """A user who may read the channels that begin with `private`; the secret of a token."""
    accounts = harbourmaster.session.accounts
    accounts.add(USER, PASSWORD)
    pattern = "conda/private*/**"
    read = Rule(subject=f"user:{USER}", actions=READ, pattern=pattern, tier=Tier.REPOSITORY)
    accounts.add_rule(read)
    return accounts.create_token(USER, "reads")[1]


@pytest.fixture
def private(harbourmaster: Harbourmaster, tmp_path: Path, request: pytest.FixtureRequest) -> Quay:
    """A private channel with one package."""
    number = len(harbourmaster.session.repositories.list())
    quay = harbourmaster.quay(f"private-{number}", tmp_path / "quay", private=True)
    quay.publish(tide("1.0"))
    return quay


def with_token(known: object, token: str) -> object:
    if isinstance(known, dict):
        return {name: with_token(value, token) for name, value in known.items()}
    return token if known == "TOKEN" else known


@pytest.mark.parametrize("sharded", [True, False])
@pytest.mark.parametrize("way", WAYS)
def test_a_private_channel_installs_for_whom_it_knows(private, pilot, tmp_path, way, sharded):
    """Whichever way credentials are kept, index and packages come; none gets into the prefix."""
    client = Rattler(tmp_path / "client", private.url, with_token(WAYS[way], pilot))
    prefix = client.install("tide", sharded=sharded)
    assert check_files(prefix) == 2
    for record in (prefix / "conda-meta").glob("*.json"):
        text = record.read_text(encoding="utf-8")
        assert pilot not in text
        assert PASSWORD not in text


@pytest.mark.parametrize("sharded", [True, False])
def test_a_private_channel_is_not_there_for_others(private, tmp_path, sharded):
    """Without credentials the client is told what it is told of a channel that never was."""
    said = []
    for url in (private.url, f"{private.url}-never-was"):
        with pytest.raises(GatewayError) as refused:
            Rattler(tmp_path / "client", url).search("tide", sharded=sharded)
        said.append(str(refused.value).replace(url, "URL"))
    assert said[0] == said[1]


@pytest.mark.parametrize("kind", ["CondaToken", "BearerToken"])
def test_a_wrong_token_is_an_error(private, tmp_path, kind):
    """A token that nobody knows is a 401 with the client, never an empty channel."""
    client = Rattler(tmp_path / "client", private.url, {kind: "rpc-nobody-knows-it"})
    with pytest.raises(GatewayError, match="401"):
        client.search("tide")


def test_a_wrong_token_is_an_error_in_a_public_channel(quay, tmp_path):
    """Broken credentials are told of, even where none are needed."""
    client = Rattler(tmp_path / "client", quay.url, {"BearerToken": "rpc-nobody-knows-it"})
    with pytest.raises(GatewayError, match="401"):
        client.search("tide")


@pytest.mark.parametrize("sharded", [True, False])
def test_a_yanked_package_is_not_chosen_and_stays_where_it_is(quay, tmp_path, sharded):
    """The next solve passes it over; who has it in a lock file still gets it."""
    quay.publish(tide("1.0"), tide("1.1"))
    client = Rattler(tmp_path / "client", quay.url)
    (locked,) = client.solve("tide", sharded=sharded)
    quay.session.releases.yank(quay.address, here(), locked.file_name)
    (record,) = client.solve("tide", sharded=sharded)
    assert (str(locked.version), str(record.version)) == ("1.1", "1.0")
    assert quay.ask("GET", f"/{here()}/{locked.file_name}", known=False).status == 200
    quay.session.releases.yank(quay.address, here(), locked.file_name, yanked=False)
    assert str(client.solve("tide", sharded=sharded)[0].version) == "1.1"


@pytest.mark.parametrize("sharded", [True, False])
def test_packages_come_from_where_the_channel_says(quay, tmp_path, sharded):
    """With a `base_url`, indexes come from the channel and packages from that address (CEP 15)."""
    quay.publish(tide("1.0"))
    with recording(quay.url) as (address, exchanges):
        quay.session.repositories.configure(quay.address, options={"base_url": address})
        client = Rattler(tmp_path / "client", quay.url)
        assert installed(client.install("tide", sharded=sharded)) == {"tide": "1.0"}
        (fetched,) = {seen.path.rpartition("/")[2] for seen in exchanges}
    assert fetched.startswith("tide-1.0-")


@pytest.mark.parametrize("sharded", [True, False])
def test_a_related_channel_is_asked_too(harbourmaster, quay, tmp_path, sharded):
    """A client that follows relations finds what only the base channel has (CEP 42)."""
    base = harbourmaster.quay(f"{quay.name}-base", tmp_path / "base")
    base.publish(tide("1.0"))
    relations = {"channel_relations": {"base": f"../{base.name}"}}
    quay.session.repositories.configure(quay.address, options=relations)
    client = Rattler(tmp_path / "client", quay.url)
    gateway = client.gateway(sharded=sharded)
    found = rattler_client.run(
        gateway.channel_relations(rattler.Channel(quay.url), rattler.Subdir("noarch"))
    )
    assert found is not None
    assert found.base == f"../{base.name}"
    (record,) = client.solve("tide", sharded=sharded, channel_relations="strict")
    assert record.url.startswith(f"{base.url}/")


def test_notices_reach_whoever_asks_for_them(quay, tmp_path):
    """A notice of the channel is what the client shows; without one there is nothing to show."""
    client = Rattler(tmp_path / "client", quay.url)
    assert rattler_client.run(client.gateway().channel_notices([quay.url])) == []
    notice = {
        "id": "low",
        "message": "The water is low.",
        "level": "warning",
        "created_at": "2026-11-21T12:00:00+00:00",
        "expires_at": "2036-11-21T12:00:00+00:00",
    }
    quay.session.repositories.configure(quay.address, options={"notices": [notice]})
    (shown,) = rattler_client.run(client.gateway().channel_notices([quay.url]))
    assert (shown.message, str(shown.level)) == ("The water is low.", "warning")


def test_a_copied_package_installs_from_the_other_channel(harbourmaster, quay, tmp_path):
    """What is copied to another channel is there with the next solve, under its own address."""
    (path,) = quay.publish(tide("1.0"))
    stable = harbourmaster.quay(f"{quay.name}-stable", tmp_path / "stable")
    client = Rattler(tmp_path / "client", stable.url)
    assert client.search("tide") == []
    quay.session.releases.copy(quay.address, [(here(), path.name)], stable.address)
    assert check_files(client.install("tide")) == 2
    assert client.solve("tide")[0].url == f"{stable.url}/{here()}/{path.name}"
