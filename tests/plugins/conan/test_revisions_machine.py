"""Visible when whole: any order of uploads, repetitions and deletes against a small model."""

from __future__ import annotations

import itertools
from datetime import datetime

import attrs
from conan_protocol import Client
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from tests_manifest import manifest

R = "/v2/conans/zlib/1.3/_/_"
RREVS = ("r1", "r2", "r3")
PIDS = ("p1", "p2")
PREVS = ("v1", "v2")

LISTED = {
    "plain": ("conanfile.py",),
    "exports": ("conanfile.py", "conandata.yml"),
    "both": ("conanfile.py", "conandata.yml", "export_source/a.c"),
}
RECIPE_FILES = (
    "conanfile.py",
    "conan_export.tgz",
    "conan_export.txz",
    "conan_sources.tgz",
    "metadata/a.log",
)
PACKAGE_FILES = ("conaninfo.txt", "conan_package.tgz", "conan_package.tzst", "metadata/a.log")
ESSENTIAL = {False: {"conanfile.py"}, True: {"conaninfo.txt"}}


@attrs.define
class Revision:
    """What was uploaded under one revision, seen or not."""

    files: dict[str, bytes] = attrs.field(factory=dict)
    manifest: str = ""


@attrs.define
class Partition:
    """The revisions of a recipe, or of a package."""

    packed: bool
    revisions: dict[str, Revision] = attrs.field(factory=dict)
    #: The visible ones, oldest first.
    order: list[str] = attrs.field(factory=list)

    def put(self, name: str, file: str, body: bytes, kind: str) -> None:
        revision = self.revisions.setdefault(name, Revision())
        stem, _, suffix = file.partition(".t")
        if suffix and stem.startswith("conan_"):
            for other in [known for known in revision.files if known.startswith(stem + ".t")]:
                del revision.files[other]
        revision.files[file] = body
        if file.startswith("metadata/"):
            return
        if file == "conanmanifest.txt":
            revision.manifest = kind
        if not self.whole(revision):
            return
        if name not in self.order:
            self.order.append(name)
        elif file == "conanmanifest.txt":
            self.order.remove(name)
            self.order.append(name)

    def whole(self, revision: Revision) -> bool:
        if "conanmanifest.txt" not in revision.files:
            return False
        if revision.manifest == "broken":
            return True
        stems = {name.partition(".t")[0] for name in revision.files}
        if self.packed:
            needed = {"conan_package"}
        else:
            needed = set()
            if revision.manifest != "plain":
                needed.add("conan_export")
            if revision.manifest == "both":
                needed.add("conan_sources")
        return ESSENTIAL[self.packed] <= revision.files.keys() and needed <= stems

    def drop(self, name: str) -> bool:
        if name in self.order:
            self.order.remove(name)
        return self.revisions.pop(name, None) is not None


def body_of(kind: str) -> bytes:
    return b"no manifest" if kind == "broken" else manifest(*LISTED[kind])


class Revisions(RuleBasedStateMachine):
    """One reference of an empty repository."""

    client: Client
    numbers = itertools.count()

    def __init__(self):
        super().__init__()
        room = self.client.session.repositories
        self.client.repository = room.create(f"conan/m{next(self.numbers)}").address
        self.recipe = Partition(packed=False)
        self.packages: dict[tuple[str, str], Partition] = {}

    def teardown(self):
        self.client.session.repositories.delete(self.client.repository)

    # --------------------------------------------------------------------------- uploads

    @rule(
        rrev=st.sampled_from(RREVS),
        file=st.sampled_from(RECIPE_FILES),
        body=st.sampled_from([b"", b"1", b"2"]),
    )
    def put_recipe_file(self, rrev, file, body):
        assert self.client.put(f"{R}/revisions/{rrev}/files/{file}", body).status == 200
        self.recipe.put(rrev, file, body, "")

    @rule(rrev=st.sampled_from(RREVS), kind=st.sampled_from([*LISTED, "broken"]))
    def put_recipe_manifest(self, rrev, kind):
        path = f"{R}/revisions/{rrev}/files/conanmanifest.txt"
        assert self.client.put(path, body_of(kind)).status == 200
        self.recipe.put(rrev, "conanmanifest.txt", body_of(kind), kind)

    @rule(rrev=st.sampled_from(RREVS), files=st.permutations(["conanfile.py", "conanmanifest.txt"]))
    def put_whole_recipe(self, rrev, files):
        for file in files:
            if file == "conanmanifest.txt":
                self.put_recipe_manifest(rrev, "plain")
            else:
                self.put_recipe_file(rrev, file, b"1")

    @rule(
        rrev=st.sampled_from(RREVS),
        pid=st.sampled_from(PIDS),
        prev=st.sampled_from(PREVS),
        file=st.sampled_from([*PACKAGE_FILES, "conanmanifest.txt"]),
        kind=st.sampled_from(["plain", "both", "broken"]),
        body=st.sampled_from([b"", b"[settings]\nos=Linux\n"]),
    )
    def put_package_file(self, rrev, pid, prev, file, kind, body):
        body = body_of(kind) if file == "conanmanifest.txt" else body
        path = f"{R}/revisions/{rrev}/packages/{pid}/revisions/{prev}/files/{file}"
        known = rrev in self.recipe.revisions
        assert self.client.put(path, body).status == (200 if known else 404)
        if known:
            partition = self.packages.setdefault((rrev, pid), Partition(packed=True))
            partition.put(prev, file, body, kind)

    @rule(
        rrev=st.sampled_from(RREVS),
        pid=st.sampled_from(PIDS),
        prev=st.sampled_from(PREVS),
        files=st.permutations(["conan_package.tgz", "conaninfo.txt", "conanmanifest.txt"]),
    )
    def put_whole_package(self, rrev, pid, prev, files):
        for file in files:
            self.put_package_file(rrev, pid, prev, file, "plain", b"")

    # --------------------------------------------------------------------------- deletes

    @rule(rrev=st.sampled_from(RREVS))
    def delete_recipe_revision(self, rrev):
        status = self.client.delete(f"{R}/revisions/{rrev}").status
        assert status == (200 if self.recipe.drop(rrev) else 404)
        self.forget_packages(rrev)

    @rule()
    def delete_recipe(self):
        there = bool(self.recipe.revisions)
        assert self.client.delete(R).status == (200 if there else 404)
        for rrev in RREVS:
            self.recipe.drop(rrev)
            self.forget_packages(rrev)

    @rule(rrev=st.sampled_from(RREVS))
    def delete_packages(self, rrev):
        there = any(
            self.packages.get((rrev, pid), Partition(packed=True)).revisions for pid in PIDS
        )
        status = self.client.delete(f"{R}/revisions/{rrev}/packages").status
        assert status == (200 if there else 404)
        self.forget_packages(rrev)

    @rule(rrev=st.sampled_from(RREVS), pid=st.sampled_from(PIDS))
    def delete_package(self, rrev, pid):
        found = self.packages.pop((rrev, pid), None)
        there = found is not None and bool(found.revisions)
        status = self.client.delete(f"{R}/revisions/{rrev}/packages/{pid}").status
        assert status == (200 if there else 404)

    @rule(rrev=st.sampled_from(RREVS), pid=st.sampled_from(PIDS), prev=st.sampled_from(PREVS))
    def delete_package_revision(self, rrev, pid, prev):
        found = self.packages.get((rrev, pid))
        there = found is not None and found.drop(prev)
        path = f"{R}/revisions/{rrev}/packages/{pid}/revisions/{prev}"
        assert self.client.delete(path).status == (200 if there else 404)

    def forget_packages(self, rrev):
        for pid in PIDS:
            self.packages.pop((rrev, pid), None)

    # --------------------------------------------------------------------------- what is seen

    @invariant()
    def recipes_are_seen_when_whole(self):
        self.agrees(R, self.recipe)
        results = self.client.get("/v2/conans/search").json["results"]
        assert results == (["zlib/1.3"] if self.recipe.order else [])

    @invariant()
    def packages_are_seen_when_whole(self):
        for (rrev, pid), partition in self.packages.items():
            self.agrees(f"{R}/revisions/{rrev}/packages/{pid}", partition)

    @invariant()
    def searches_tell_the_newest(self):
        for rrev in RREVS:
            answer = self.client.get(f"{R}/revisions/{rrev}/search")
            assert answer.status == (200 if self.recipe.order else 404)
            if answer.status == 200:
                assert answer.json == self.told(rrev)

    def told(self, rrev):
        """The newest conaninfo.txt of each package of a visible recipe revision."""
        found = {pid: self.packages.get((rrev, pid)) for pid in PIDS}
        if rrev not in self.recipe.order:
            return {}
        return {
            pid: {
                "content": partition.revisions[partition.order[-1]]
                .files.get("conaninfo.txt", b"")
                .decode()
            }
            for pid, partition in found.items()
            if partition is not None and partition.order
        }

    def agrees(self, base, partition):
        """Lists, latest, times, file lists and contents are those of the model."""
        latest = self.client.get(f"{base}/latest")
        if not partition.order:
            assert latest.status == 404
            assert self.client.get(f"{base}/revisions").status == 404
        else:
            entries = self.client.get(f"{base}/revisions").json["revisions"]
            assert [entry["revision"] for entry in entries] == partition.order[::-1]
            times = [datetime.fromisoformat(entry["time"]) for entry in entries]
            assert times == sorted(set(times), reverse=True)
            assert latest.json == entries[0]
        for name, revision in partition.revisions.items():
            listed = self.client.get(f"{base}/revisions/{name}/files")
            if name not in partition.order:
                assert listed.status == 404
                continue
            assert list(listed.json["files"]) == sorted(revision.files)
            for file, body in revision.files.items():
                assert self.client.get(f"{base}/revisions/{name}/files/{file}").body == body


def test_revisions_are_visible_when_whole(conan):
    """Whatever is uploaded, repeated and deleted, readers see whole revisions and no others."""
    machine = type("Machine", (Revisions,), {"client": conan})
    # Each step commits to a disk: a fifth of the profile's examples is minutes in the long one.
    examples = max(10, settings().max_examples // 5)
    run_state_machine_as_test(
        machine, settings=settings(max_examples=examples, stateful_step_count=20)
    )
