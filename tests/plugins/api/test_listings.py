"""Whatever the rules say: every list and every count shows exactly what may be read."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings, strategies

from repocore import Action, Effect, Password, Resource, Rule, actions_of, split_address

ADDRESSES = ("conan/main", "conan/other")
REFERENCES = ("zlib/1.2/_/_", "zlib/1.3/_/_", "fmt/9.0/team/stable", "boost/1.0/_/_")
PATTERNS = (
    "**",
    "conan/*",
    "conan/main",
    "conan/main/zlib",
    "conan/main/zlib/1.2",
    "conan/other/fmt/9.0@team/*",
    "*/*/b*",
    "conan/none",
)


@pytest.fixture
def stocked(house):
    house.admin.repositories.create("conan/other")
    for address in ADDRESSES:
        for reference in REFERENCES:
            house.recipe(reference, address=address)
    return house


def rules():
    return strategies.builds(
        Rule,
        subject=strategies.sampled_from(["user:carl", "*", "+", "user:bob"]),
        actions=strategies.sampled_from([actions_of(["read"]), actions_of(["write"])]),
        pattern=strategies.sampled_from(PATTERNS),
        effect=strategies.sampled_from(Effect),
    )


@settings(
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(given_rules=strategies.lists(rules(), max_size=4), limit=strategies.integers(1, 5))
def test_every_list_shows_exactly_what_may_be_read(stocked, given_rules, limit) -> None:
    """Repositories, packages, their versions and counts, releases and files, in every page."""
    accounts = stocked.admin.accounts
    for rule in accounts.rules():
        accounts.remove_rule(rule.id)
    for rule in given_rules:
        accounts.add_rule(rule)
    session = stocked.registry.connect(Password("carl", "right"))
    shown = {one["address"] for one in stocked.walk(f"repositories?limit={limit}", who="carl")}
    for address in ADDRESSES:
        readable = sorted(
            (name, f"{version}@{user}/{channel}")
            for name, version, user, channel in (one.split("/") for one in REFERENCES)
            if session.allowed(
                Action.READ, Resource(*split_address(address), name, f"{version}@{user}/{channel}")
            )
        )
        if address not in shown:
            assert readable == []
            continue
        top = f"repositories/{address}"
        packages = stocked.walk(f"{top}/packages?limit={limit}", who="carl")
        counts = {one["name"]: one["versions"] for one in packages}
        names = [name for name, _ in readable]
        assert counts == {name: names.count(name) for name in names}
        versions = [
            (name, one["version"])
            for name in sorted(counts)
            for one in stocked.walk(f"{top}/packages/{name}/versions?limit={limit}", who="carl")
        ]
        assert versions == readable
        releases = stocked.walk(f"{top}/releases?limit={limit}", who="carl")
        assert sorted((one["package"], one["version"]) for one in releases) == readable
        files = stocked.walk(f"{top}/files?limit={limit}", who="carl")
        assert len(files) == 2 * len(readable)
        assert {one["partition"] for one in files} == {f"{n}/{v}" for n, v in readable}
