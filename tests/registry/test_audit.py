"""Records of changes: one for each, of whoever made it, and sealed so that a missing one shows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from sqlalchemy import text

import repocore
from repocore import (
    AccessDeniedError,
    Action,
    AuditQuery,
    NotAuthenticatedError,
    Policy,
    RejectedError,
    Rule,
)
from repocore.model import Binding, Role

MAIN = "conan/main"
ZLIB = "zlib/1.3@_/_"
PATH = "zlib/1.3/_/_"
OTHER = "conan/other"


def write_rows(house, statement: str) -> None:
    house.registry._services.catalog.write(lambda t: t.execute(text(statement)))


def delete_file(house) -> None:
    house.admin.files.delete(MAIN, f"{PATH}/r1/export/metadata/sbom.json")


READERS = Rule(subject="*", actions=frozenset({Action.READ}), pattern="conan/main/**")
#: What is done, and the record of it: its kind, what it is about, and whether there is something
#: before and after.
CHANGES: list[tuple[str, Callable, str, str, bool, bool]] = [
    ("create", lambda h: h.admin.repositories.create(OTHER), "repository.changed", OTHER, 0, 1),
    (
        "configure",
        lambda h: h.admin.repositories.configure(MAIN, policy=Policy(quota=1 << 40)),
        "repository.changed",
        MAIN,
        1,
        1,
    ),
    ("recipe", lambda h: h.recipe("r2"), "release.added", f"{MAIN}/{ZLIB}#r2", 0, 1),
    (
        "metadata",
        lambda h: h.put(f"{PATH}/r1/export/metadata/sbom.json", b"{ }"),
        "file.added",
        f"{MAIN}/{PATH}/r1/export/metadata/sbom.json",
        1,
        1,
    ),
    (
        "delete file",
        delete_file,
        "file.removed",
        f"{MAIN}/{PATH}/r1/export/metadata/sbom.json",
        1,
        0,
    ),
    (
        "yank",
        lambda h: h.admin.releases.yank(MAIN, ZLIB, "r1"),
        "release.yanked",
        f"{MAIN}/{ZLIB}#r1",
        1,
        1,
    ),
    (
        "delete",
        lambda h: h.admin.releases.delete(MAIN, ZLIB, "r1"),
        "release.removed",
        f"{MAIN}/{ZLIB}#r1",
        1,
        0,
    ),
    ("account", lambda h: h.admin.accounts.add("bob"), "account.changed", "bob", 0, 1),
    ("disable", lambda h: h.admin.accounts.disable("ann"), "account.changed", "ann", 1, 1),
    (
        "group",
        lambda h: h.admin.accounts.add_to_group("dev", "ann"),
        "account.changed",
        "ann",
        1,
        1,
    ),
    (
        "password",
        lambda h: h.admin.accounts.set_password("ann", "correct horse battery"),
        "account.changed",
        "ann",
        0,
        0,
    ),
    ("remove", lambda h: h.admin.accounts.remove("ann"), "account.changed", "ann", 1, 0),
    ("token", lambda h: h.admin.accounts.create_token("ann", "t"), "account.changed", "ann", 0, 1),
    ("revoke", lambda h: h.admin.accounts.revoke_token(1), "account.changed", "ann", 1, 0),
    ("rule", lambda h: h.admin.accounts.add_rule(READERS), "repository.changed", MAIN, 0, 1),
    ("no rule", lambda h: h.admin.accounts.remove_rule(1), "repository.changed", MAIN, 1, 0),
    (
        "role",
        lambda h: h.admin.roles.add(Role(name="x", actions=frozenset({Action.READ}))),
        "account.changed",
        "x",
        0,
        1,
    ),
    (
        "bind",
        lambda h: h.admin.roles.bind(Binding(subject="user:bob", role="viewer")),
        "account.changed",
        "user:bob",
        0,
        1,
    ),
    ("unbind", lambda h: h.admin.roles.unbind(1), "account.changed", "user:zoe", 1, 0),
    (
        "key",
        lambda h: h.admin.accounts.rotate_signing_key("bearer"),
        "account.changed",
        "site",
        0,
        0,
    ),
    ("job", lambda h: h.admin.jobs.submit("gc"), "job.submitted", "job 2", 0, 0),
    ("cancel", lambda h: h.admin.jobs.cancel(1), "job.cancelled", "job 1", 0, 0),
    ("drop", lambda h: h.admin.repositories.delete(MAIN), "repository.changed", MAIN, 1, 0),
]


@pytest.fixture
def stocked(house):
    """One of each thing that can be changed."""
    house.recipe("r1")
    house.put(f"{PATH}/r1/export/metadata/sbom.json", b"{}")
    house.admin.accounts.add("ann", "correct horse battery")
    house.admin.accounts.create_token("ann", "t")
    house.allow("user:zoe", "write", "conan/main/**")
    house.admin.roles.bind(Binding(subject="user:zoe", role="viewer"))
    house.admin.jobs.submit("check")
    return house


@pytest.mark.parametrize(
    ("change", "kind", "what", "before", "after"),
    [row[1:] for row in CHANGES],
    ids=[row[0] for row in CHANGES],
)
def test_a_change_has_one_record(stocked, change, kind, what, before, after) -> None:
    """Written with it, of whoever made it; with what was there and what is there."""
    last = stocked.admin.audit.list(limit=1)[0].id
    change(stocked)
    [record] = [one for one in stocked.admin.audit.list() if one.id > last]
    assert (record.kind, record.what) == (kind, what)
    assert (record.before is not None, record.after is not None) == (before, after)
    assert record.origin == repocore.Origin(who="system", via="library")


REFUSED: list[Callable] = [
    lambda h: h.as_("zoe").releases.delete(MAIN, ZLIB, "r1"),
    lambda h: h.admin.releases.delete(MAIN, ZLIB, "r9"),
    lambda h: h.admin.accounts.remove("nobody"),
    lambda h: h.admin.accounts.add("ann"),
    lambda h: h.admin.repositories.create(MAIN),
    lambda h: h.admin.roles.unbind(99),
    lambda h: h.put(f"{PATH}/r1/export/conanfile.py", b"other", h.as_("zoe")),
]


@pytest.mark.parametrize("attempt", REFUSED)
def test_what_is_refused_leaves_no_record(stocked, attempt) -> None:
    """Nothing was changed."""
    before = stocked.admin.audit.list()
    with pytest.raises(repocore.RepocoreError):
        attempt(stocked)
    assert stocked.admin.audit.list() == before


def test_doing_it_again_changes_nothing(stocked) -> None:
    """A release that is yanked, and a token that is revoked: no second record."""
    for _ in range(2):
        stocked.admin.releases.yank(MAIN, ZLIB, "r1")
        stocked.admin.accounts.revoke_token(1)
    found = stocked.admin.audit.list()
    assert [one.kind for one in found].count("release.yanked") == 1
    assert [one.details.get("change") for one in found].count("token revoked") == 1


def test_a_record_says_who_by_which_token_and_from_where(stocked) -> None:
    """And nothing of the secret."""
    rules = [Rule(subject="*", actions=frozenset({Action.WRITE}), pattern="conan/main/**")]
    token, secret = stocked.admin.accounts.create_token("ann", "ci", rules=rules)
    stocked.allow("user:ann", "all", "conan/main/**")
    ann = stocked.registry.connect(repocore.ApiKey(secret), source="192.0.2.7")
    stocked.put(f"{PATH}/r1/export/metadata/log.txt", b"x", ann)
    [record] = stocked.admin.audit.list(AuditQuery(who="ann"))
    assert record.origin == repocore.Origin(
        who="ann", via="token", token_id=token.id, source="192.0.2.7"
    )
    texts = [str(attrs.asdict(one)) for one in stocked.admin.audit.export()]
    assert not any(secret in text or "correct horse" in text for text in texts)


def test_a_seal_now_waits_for_one_who_is_at_it(stocked) -> None:
    """What came meanwhile is in it, too."""
    catalog = stocked.registry._services.catalog
    stocked.admin.audit.seal()
    taken, done = threading.Event(), threading.Event()

    def slowly() -> None:
        with catalog.single("seal") as alone:
            assert alone
            taken.set()
            done.wait(0.2)

    other = threading.Thread(target=slowly)
    other.start()
    taken.wait()
    stocked.admin.accounts.add("late")
    last = stocked.admin.audit.list(limit=1)[0].id
    seal = stocked.admin.audit.seal()
    other.join()
    assert seal is not None
    assert seal.last == last


def test_questions(stocked) -> None:
    """By who, kind, time, and what it is about with all below; in pages, the newest first."""
    audit = stocked.admin.audit
    everything = audit.list()
    assert [one.id for one in everything] == sorted((o.id for o in everything), reverse=True)
    assert list(audit.export()) == everything[::-1]
    assert {one.kind for one in audit.list(AuditQuery(what=MAIN))} == {
        "repository.changed",
        "release.added",
        "file.added",
    }
    assert audit.list(AuditQuery(what="conan/mai")) == []
    assert [one.what for one in audit.list(AuditQuery(kind="release.added"))] == [
        f"{MAIN}/{ZLIB}#r1"
    ]
    assert audit.list(AuditQuery(who="zoe")) == []
    now = datetime.now(UTC)
    assert audit.list(AuditQuery(since=now + timedelta(hours=1))) == []
    assert audit.list(AuditQuery(since=now - timedelta(hours=1))) == everything
    assert audit.list(AuditQuery(until=now - timedelta(hours=1))) == []
    assert audit.list(limit=2) + audit.list(before=everything[1].id) == everything
    with pytest.raises(RejectedError, match="zone"):
        AuditQuery(since=datetime(2026, 1, 1))  # noqa: DTZ001 - which is the point
    assert audit.list(AuditQuery(what=f"/{MAIN}/")) == audit.list(AuditQuery(what=MAIN))
    with pytest.raises(RejectedError, match="earlier"):
        AuditQuery(since=now, until=now - timedelta(hours=1))
    with pytest.raises(RejectedError, match=r"Did you mean release\.added\?"):
        AuditQuery(kind="release.add")
    with pytest.raises(RejectedError, match=r"There are account\.changed, "):
        AuditQuery(kind="everything")
    for limit in (0, 10**6):
        with pytest.raises(RejectedError, match="records at once"):
            audit.list(limit=limit)


def test_who_manages_a_repository_reads_its_records(stocked) -> None:
    """And no others; without that, one reads none."""
    stocked.allow("user:max", "manage", MAIN)
    max_ = stocked.as_("max").audit
    assert max_.list(AuditQuery(what=MAIN)) == stocked.admin.audit.list(AuditQuery(what=MAIN))
    for query in (AuditQuery(), AuditQuery(what="conan/other"), AuditQuery(what="ann")):
        with pytest.raises(AccessDeniedError):
            max_.list(query)
        with pytest.raises(AccessDeniedError):
            max_.export(query)
    for ask in (max_.seals, max_.seal, max_.verify):
        with pytest.raises(AccessDeniedError):
            ask()
    with pytest.raises(NotAuthenticatedError):
        stocked.as_(None).audit.list()


def test_sealed_records_fit(stocked) -> None:
    """Each seal covers those after the one before; what is open is counted."""
    first = stocked.admin.audit.seal()
    assert stocked.admin.audit.seal() == first
    stocked.recipe("r2")
    report = stocked.admin.audit.verify()
    assert (report.ok, report.seals, report.open) == (True, 1, 1)
    second = stocked.admin.audit.seal()
    assert stocked.admin.audit.seals() == [first, second]
    assert (second.first, second.count) == (first.last + 1, 1)
    report = stocked.admin.audit.verify([(first.last, first.root)])
    assert (report.ok, report.records, report.open, report.last) == (True, second.last, 0, second)


@pytest.mark.parametrize(
    ("attack", "said"),
    [
        ("UPDATE audit SET who = 'eve' WHERE id = 2", "was changed"),
        ("DELETE FROM audit WHERE id = 2", "were sealed"),
        ("DELETE FROM audit WHERE id = 1", "were sealed"),
        ("UPDATE audit SET at = at - 1 WHERE id = 3", "was changed"),
        ("DELETE FROM seals", "was noted"),
    ],
)
def test_a_changed_record_shows(stocked, attack: str, said: str) -> None:
    """One that is changed, removed, or sealed anew by whoever rewrote the table."""
    seal = stocked.admin.audit.seal()
    stocked.recipe("r2")
    stocked.admin.audit.seal()
    write_rows(stocked, attack)
    report = stocked.admin.audit.verify([(seal.last, seal.root)])
    assert not report.ok
    assert said in report.problems[0]


def test_the_server_seals_by_itself(stocked) -> None:
    """In the background, without anybody asking."""
    stocked.registry.tell()
    assert stocked.admin.audit.verify().open == 0


def test_what_stays_as_it_was_is_no_change(stocked) -> None:
    """The same bytes again, or a copy of what is there: no second record."""
    stocked.admin.repositories.create("conan/copy")
    names = [(ZLIB, "r1")]
    stocked.admin.releases.copy(MAIN, names, "conan/copy")
    before = stocked.admin.audit.list(limit=1)
    stocked.put(f"{PATH}/r1/export/metadata/sbom.json", b"{}")
    stocked.admin.releases.copy(MAIN, names, "conan/copy")
    assert stocked.admin.audit.list(limit=1) == before


def test_a_change_of_an_account_tells_what_it_was(stocked) -> None:
    """The fields that changed; of one that is gone all, with the rules and roles that went too."""
    accounts, records = stocked.admin.accounts, stocked.admin.audit
    accounts.add_to_group("dev", "ann")
    accounts.configure("ann", email="ann@library.example", disabled=False)
    accounts.remove_from_group("dev", "ann")
    left, configured, joined = records.list(AuditQuery(what="ann"), limit=3)
    assert (joined.before, joined.after) == ({"groups": []}, {"groups": ["dev"]})
    assert (left.before, left.after) == ({"groups": ["dev"]}, {"groups": []})
    assert (configured.before, configured.after) == (
        {"email": ""},
        {"email": "ann@library.example"},
    )
    stocked.admin.roles.bind(Binding(subject="user:ann", role="viewer", pattern=MAIN))
    stocked.admin.accounts.add_rule(attrs.evolve(READERS, subject="user:ann"))
    accounts.remove("ann")
    [gone] = records.list(AuditQuery(what="ann"), limit=1)
    assert gone.before["email"] == "ann@library.example"
    assert [one["role"] for one in gone.before["roles"]] == ["viewer"]
    assert [one["pattern"] for one in gone.before["rules"]] == [READERS.pattern]


def test_a_change_that_changes_nothing_has_no_record(stocked) -> None:
    """Joining a group again, a role that one holds, a field that stays."""
    stocked.admin.accounts.add_to_group("dev", "ann")
    viewer = stocked.admin.roles.bind(Binding(subject="user:ann", role="viewer"))
    before = stocked.admin.audit.list(limit=1)
    stocked.admin.accounts.add_to_group("dev", "ann")
    stocked.admin.accounts.configure("ann", disabled=False)
    assert stocked.admin.roles.bind(Binding(subject="user:ann", role="viewer")) == viewer
    assert stocked.admin.audit.list(limit=1) == before


def test_what_a_removed_release_had_is_in_its_record(stocked) -> None:
    """Its files by path with their digests, how many they were and their bytes."""
    stocked.admin.releases.yank(MAIN, ZLIB, "r1")
    yanked = stocked.admin.audit.list(limit=1)[0]
    assert (yanked.before, yanked.after) == ({"yanked": False}, {"yanked": True})
    had = [*stocked.admin.files.list(MAIN)]
    stocked.admin.releases.delete(MAIN, ZLIB, "r1")
    before = stocked.admin.audit.list(limit=1)[0].before
    assert before == {
        "yanked": True,
        "files": {str(one.path): str(one.digest) for one in had},
        "count": len(had),
        "size": sum(one.size for one in had),
    }


def test_who_was_let_into_a_repository_is_found_with_it(stocked) -> None:
    """Roles and rules that name one are of it; those of several are of whom they let in."""
    stocked.admin.roles.bind(Binding(subject="user:bob", role="viewer", pattern=MAIN))
    stocked.admin.roles.bind(Binding(subject="user:bob", role="viewer", pattern="conan/*"))
    [record] = stocked.admin.audit.list(AuditQuery(what=MAIN), limit=1)
    assert record.details["change"] == f"user:bob holds viewer on {MAIN}"
    assert record.after == {"subject": "user:bob", "role": "viewer", "pattern": MAIN}
    [record] = stocked.admin.audit.list(AuditQuery(what="user:bob"))
    assert record.after["pattern"] == "conan/*"
