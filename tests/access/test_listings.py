"""For any rules, roles and tokens: a token does no more than its account, and what is listed,
found, counted or said in an error is exactly what may be read.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from static_channel import package
from tests_manifest import manifest
from wsgi_calls import Answer, call

import repocore
from repocore import Action, Binding, Effect, Principal, Registry, Resource, Rule, Tier, hookimpl
from repocore.config import Settings
from repocore_web import create_app

NAMES = ["apple", "beech", "cedar"]
CONAN, CONDA = ["main", "other"], ["north", "south"]
SUBJECTS = st.sampled_from(["*", "+", "anonymous", "user:ann", "group:dev", "user:bob"])
ACTIONS = st.frozensets(st.sampled_from([Action.READ, Action.WRITE, Action.DELETE]), min_size=1)
COARSE = ["**", "conan/**", "conda/**", "conan/main", "conda/north/**", "con*/*", "conda/south"]
FINE = [
    "conan/main/apple/**",
    "conan/main/b*",
    "conan/*/cedar",
    "conan/main/beech/1.0",
    "conan/other/apple/1.0@_/_",
]
PATTERNS = st.sampled_from([*COARSE, *FINE])
RULES = st.lists(
    st.builds(
        Rule,
        subject=SUBJECTS,
        actions=ACTIONS,
        pattern=PATTERNS,
        effect=st.sampled_from(Effect),
        tier=st.sampled_from([Tier.DENY, Tier.REPOSITORY, Tier.SITE]),
    ),
    max_size=5,
)
BINDINGS = st.lists(
    st.builds(
        Binding,
        subject=SUBJECTS,
        role=st.sampled_from(["viewer", "editor", "owner"]),
        pattern=st.sampled_from(COARSE),
    ),
    max_size=2,
    unique=True,
)
SCOPES = st.none() | st.lists(
    st.builds(Rule, subject=st.just("*"), actions=ACTIONS, pattern=PATTERNS), max_size=3
).map(tuple)
RESOURCES = [
    Resource(),
    *(Resource("conda", name) for name in CONDA),
    *(Resource("conan", name) for name in CONAN),
    *(Resource("conan", name, one) for name in CONAN for one in NAMES),
    *(Resource("conan", name, one, "1.0@_/_") for name in CONAN for one in NAMES),
]


@attrs.define
class Doorman:
    """Signs in whoever says so: the tests are about what comes after."""

    principal: Principal = attrs.field(factory=lambda: Principal(name=None))

    @hookimpl
    def repocore_authenticate(self, credentials):
        return self.principal


@attrs.define
class Site:
    registry: Registry
    doorman: Doorman
    app: Any

    def forget(self) -> None:
        """Take all rules and bindings away."""
        admin = self.registry.session(self.registry.admin())
        for rule in admin.accounts.rules():
            admin.accounts.remove_rule(rule.id)
        for binding in admin.roles.bindings():
            admin.roles.unbind(binding.id)

    def arrange(self, rules, bindings, private: bool) -> None:
        self.forget()
        admin = self.registry.session(self.registry.admin())
        for rule in rules:
            try:
                admin.accounts.add_rule(rule)
            except repocore.RejectedError:  # finer than its format can tell apart
                continue
        for binding in bindings:
            admin.roles.bind(binding)
        admin.repositories.configure("conda/south", private=private)

    def ask(self, path: str, principal: Principal) -> Answer:
        self.doorman.principal = principal
        self.registry.access.verified.clear()
        fields = {} if principal.name is None else {"HTTP_X_API_KEY": "whoever"}
        return call(self.app, path, **fields)

    def value(self, path: str, principal: Principal):
        answer = self.ask(path, principal)
        assert answer.status < 500, answer.text
        return json.loads(answer.body) if answer.status == 200 else None


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Site]:
    doorman = Doorman()
    where = Settings(data=tmp_path_factory.mktemp("site"))
    with repocore.open_registry(settings=where, plugins=[doorman]) as registry:
        admin = registry.session(registry.admin())
        for name in CONAN:
            admin.repositories.create(f"conan/{name}")
            for one in NAMES:
                base = f"{one}/1.0/_/_/r1/export"
                files = {"conanfile.py": b"x", "conanmanifest.txt": manifest("conanfile.py")}
                for file, content in files.items():
                    admin.files.put(f"conan/{name}", f"{base}/{file}", io.BytesIO(content))
        for name in CONDA:
            admin.repositories.create(f"conda/{name}")
            for one in NAMES:
                file = f"{one}-1.0-0.tar.bz2"
                admin.files.put(f"conda/{name}", f"noarch/{file}", io.BytesIO(package(file)[0]))
        yield Site(registry, doorman, create_app(registry))


def principal(name: str | None, scope) -> Principal:
    groups = frozenset({"dev"}) if name == "ann" else frozenset[str]()
    return Principal(name=name, groups=groups, scope=scope if name else None, via="test")


# Each example asks some forty requests.
_few = settings(
    max_examples=settings.default.max_examples // 4,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@_few
@given(RULES, BINDINGS, st.sampled_from([None, "ann", "bob"]), SCOPES, st.booleans())
def test_a_token_does_no_more_than_its_account(site, rules, bindings, name, scope, private) -> None:
    """Whatever the rules, of every action on everything."""
    site.arrange(rules, bindings, private)
    account = site.registry.session(principal(name, None))
    token = site.registry.session(principal(name, scope))
    for resource in RESOURCES:
        for action in Action:
            if token.allowed(action, resource):
                assert account.allowed(action, resource), (action, resource)


@_few
@given(RULES, BINDINGS, st.sampled_from([None, "ann", "bob"]), SCOPES, st.booleans())
def test_everything_shows_what_may_be_read(site, rules, bindings, name, scope, private) -> None:
    """Lists, searches, indexes, counts and errors, over HTTP."""
    site.arrange(rules, bindings, private)
    who = principal(name, scope)
    session = site.registry.session(who)
    seen: set[str] = set()
    for channel in CONDA:
        may = session.allowed(Action.READ, Resource("conda", channel))
        seen |= {f"conda/{channel}"} if may else set()
        _check_channel(site, who, channel, may)
    for repository in CONAN:
        readable = {
            one
            for one in NAMES
            if session.allowed(Action.READ, Resource("conan", repository, one, "1.0@_/_"))
        }
        seen |= {f"conan/{repository}"} if readable else set()
        _check_conan(site, who, repository, readable)
    _check_site(site, who, seen)


def _check_channel(site: Site, who: Principal, channel: str, may: bool) -> None:
    base = f"/conda/{channel}"
    refused = {401, 404}
    for path in (
        f"{base}/noarch/repodata.json",
        f"{base}/noarch/repodata.json.zst",
        f"{base}/noarch/current_repodata.json",
        f"{base}/noarch/run_exports.json",
        f"{base}/noarch/repodata_shards.msgpack.zst",
        f"{base}/channeldata.json",
        f"{base}/noarch/apple-1.0-0.tar.bz2",
        f"/get/{channel}/noarch/repodata.json",
    ):
        status = site.ask(path, who).status
        assert (status == 200) is may, (path, status)
        assert may or status in refused
    missing = site.ask(f"{base}/noarch/nothing-1.0-0.tar.bz2", who)
    hidden = site.ask(f"{base}/noarch/apple-1.0-0.tar.bz2", who)
    assert may or (missing.status, missing.body) == (hidden.status, hidden.body)
    listed = site.value(f"/api/v1/repositories/conda/{channel}/packages", who)
    assert names(listed) == (set(NAMES) if may else set())
    old = site.value(f"/api/paginated/channels/{channel}/packages", who)
    counted = 0 if old is None else old["pagination"]["all_records_count"]
    assert counted == (len(NAMES) if may else 0)
    found = site.value("/api/packages/search/?q=apple", who) or []
    assert (channel in {one["channel_name"] for one in found}) is may


def _check_conan(site: Site, who: Principal, repository: str, readable: set[str]) -> None:
    base = f"/conan/{repository}"
    for version in ("v1", "v2"):
        found = site.value(f"{base}/{version}/conans/search?q=*", who) or {"results": []}
        assert {one.partition("/")[0] for one in found["results"]} == readable
    listed = site.value(f"/api/v1/repositories/conan/{repository}/packages", who)
    assert names(listed) == readable
    for part in ("releases", "files"):
        value = site.value(f"/api/v1/repositories/conan/{repository}/{part}", who)
        items = [] if value is None else value["items"]
        text = json.dumps(items)
        assert {one for one in NAMES if one in text} == readable
    for one in NAMES:
        answer = site.ask(f"{base}/v2/conans/{one}/1.0/_/_/latest", who)
        nothing = site.ask(f"{base}/v2/conans/{one}/2.0/_/_/latest", who)
        assert (answer.status == 200) is (one in readable)
        other = Resource("conan", repository, one, "2.0@_/_")
        if one not in readable and not site.registry.session(who).allowed(Action.READ, other):
            assert answer.status == nothing.status
            assert answer.text.replace("1.0", "2.0") == nothing.text


def names(listed) -> set[str]:
    return set() if listed is None else {one["name"] for one in listed["items"]}


def _check_site(site: Site, who: Principal, seen: set[str]) -> None:
    """What holds something that may be read is listed; what is listed is within some rule."""
    listed = {one["address"] for one in site.value("/api/v1/repositories", who)["items"]}
    front = site.ask("/", who).text
    assert {one for one in listed if f"/{one} " in f"{front} " or f"/{one}\n" in front} == listed
    assert seen <= listed
    assert {one for one in listed if one.startswith("conda/")} == {
        one for one in seen if one.startswith("conda/")
    }
    channels = site.value("/api/channels", who) or []
    assert {f"conda/{one['name']}" for one in channels} == {
        one for one in seen if one.startswith("conda/")
    }
