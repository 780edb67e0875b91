"""The revisions protocol: each end point, its answers, and who may call it."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime

import pytest
from conan_protocol import principal, sha1
from tests_manifest import manifest

from repocore import Action, Policy, Principal

R = "/v2/conans/zlib/1.3/_/_"
RR = f"{R}/revisions/r1"
P = f"{RR}/packages/p1"
PP = f"{P}/revisions/v1"
NO_RECIPE = "Recipe not found: 'zlib/1.3@_/_'"
NO_REVISION = "Recipe not found: 'zlib/1.3@_/_#r1'"
NO_PACKAGE = "Binary package not found: 'zlib/1.3@_/_#r1:p1'"
NO_PACKAGE_REVISION = "Binary package not found: 'zlib/1.3@_/_#r1:p1#v1'"
SOURCE = hashlib.sha256(b"source").hexdigest()


@pytest.fixture
def full(conan):
    """A recipe revision with a package, both whole."""
    conan.recipe("r1")
    conan.package("r1", "p1", "v1", b"[settings]\nos=Linux\n")
    return conan


def someone(client, *actions, pattern="conan/main/**"):
    """A client signed in with no more than these actions; the account may do everything."""
    return client.as_(principal(*actions, pattern=pattern))


def anonymous(client):
    return client.as_(Principal(name=None))


@pytest.fixture
def rules(conan):
    """Let the account do everything, so that the tokens' scopes decide."""
    accounts = conan.session.accounts
    rule = accounts.add_rule(principal(*Action).scope[0])
    yield
    accounts.remove_rule(rule.id)


# ------------------------------------------------------------------------------- what is missing

MISSING = [
    ("GET", f"{R}/latest", NO_RECIPE),
    ("GET", f"{R}/revisions", NO_RECIPE),
    ("GET", f"{R}/search", NO_RECIPE),
    ("GET", f"{RR}/search", NO_REVISION),
    ("GET", f"{RR}/files", NO_REVISION),
    ("GET", f"{RR}/files/conanfile.py", "File not found"),
    ("GET", f"{P}/latest", NO_PACKAGE),
    ("GET", f"{P}/revisions", NO_REVISION),
    ("GET", f"{PP}/files", NO_PACKAGE_REVISION),
    ("GET", f"{PP}/files/conaninfo.txt", "File not found"),
    ("PUT", f"{PP}/files/conaninfo.txt", NO_REVISION),
    ("DELETE", R, NO_RECIPE),
    ("DELETE", RR, NO_REVISION),
    ("DELETE", f"{RR}/packages", "No packages found: 'zlib/1.3@_/_#r1'"),
    ("DELETE", P, NO_PACKAGE),
    ("DELETE", PP, NO_PACKAGE_REVISION),
    ("GET", f"/sources/{SOURCE}", "File not found"),
    ("GET", f"/sources/{SOURCE}.json", "File not found"),
]
table = pytest.mark.parametrize(("method", "path", "text"), MISSING)


@table
def test_what_is_missing_is_told_in_the_protocol_s_words(conan, method, path, text):
    """404 with the text that scripts look for."""
    answer = conan.ask(method, path)
    assert (answer.status, answer.text) == (404, text)


@pytest.mark.usefixtures("rules")
@table
def test_what_is_hidden_is_told_in_the_same_words(full, method, path, text):
    """Who may not read learns nothing: as if it were not there, though it is."""
    full.put(f"/sources/{SOURCE}", b"source")
    full.put(f"/sources/{SOURCE}.json", b"{}")
    answer = someone(full, Action.READ, pattern="conan/other/**").ask(method, path)
    if path == f"{P}/revisions":
        text = NO_PACKAGE
    assert (answer.status, answer.text) == (404, text)


@pytest.mark.parametrize("path", [f"{P}/latest", f"{P}/revisions"])
def test_a_package_of_a_known_recipe_is_missing_itself(conan, path):
    """The recipe is there; the text names the package."""
    conan.recipe("r1")
    answer = conan.get(path)
    assert (answer.status, answer.text) == (404, NO_PACKAGE)


# ------------------------------------------------------------------------------- reading


def test_latest_is_the_newest_revision(conan):
    """By the order of publication, with a time that carries its zone."""
    for rrev in ("r1", "r2"):
        conan.recipe(rrev)
    latest = conan.get(f"{R}/latest").json
    revisions = conan.get(f"{R}/revisions").json["revisions"]
    assert latest == revisions[0]
    assert [entry["revision"] for entry in revisions] == ["r2", "r1"]
    times = [entry["time"] for entry in revisions]
    assert all(re.fullmatch(r"[-\d]{10}T[:\d]{8}\.\d{6}\+00:00", time) for time in times)
    assert datetime.fromisoformat(times[0]) > datetime.fromisoformat(times[1])


def test_package_revisions_are_listed_alike(full):
    """The same for packages."""
    full.package("r1", "p1", "v2")
    assert full.get(f"{P}/latest").json["revision"] == "v2"
    revisions = full.get(f"{P}/revisions").json["revisions"]
    assert [entry["revision"] for entry in revisions] == ["v2", "v1"]


def test_files_are_listed_with_size_and_digest(full):
    """Names as the client knows them, and what a careful client compares."""
    content = b"recipe r1"
    full.put(f"{RR}/files/metadata/logs/a b.log", b"log")
    files = full.get(f"{RR}/files").json["files"]
    assert list(files) == ["conanfile.py", "conanmanifest.txt", "metadata/logs/a b.log"]
    assert files["conanfile.py"] == {
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    packed = full.get(f"{PP}/files").json["files"]
    assert list(packed) == ["conan_package.tgz", "conaninfo.txt", "conanmanifest.txt"]


def test_files_are_served_to_the_letter(full):
    """What was put is what is got."""
    assert full.get(f"{RR}/files/conanfile.py").body == b"recipe r1"
    assert full.get(f"{PP}/files/conan_package.tgz").body == b"archive v1"
    full.put(f"{PP}/files/metadata/sign/pkg.sig", b"\x00\xff")
    assert full.get(f"{PP}/files/metadata/sign/pkg.sig").body == b"\x00\xff"


# ------------------------------------------------------------------------------- searching


def test_references_are_found_in_the_client_s_order(conan):
    """By name, version, user, channel; without ``@_/_``, each once."""
    wanted = [
        "pkg/1.2",
        "pkg/1.10-rc",
        "pkg/1.10",
        "pkg/1.10@acme",
        "pkg/1.10@acme/beta",
        "zlib/1.3",
    ]
    for reference in reversed(wanted):
        name, _, rest = reference.partition("@")
        user, _, channel = rest.partition("/")
        conan.recipe("r1", f"{name}/{user or '_'}/{channel or '_'}")
    conan.recipe("r2")
    assert conan.get("/v2/conans/search").json == {"results": wanted}
    assert conan.get("/v2/conans/search?q=").json == {"results": wanted}
    assert conan.get("/v2/conans/search?q=pkg/*@acme").json["results"] == wanted[3:5]
    assert conan.get("/v2/conans/search?q=ZLIB").json["results"] == ["zlib/1.3"]
    assert conan.get("/v2/conans/search?q=ZLIB&ignorecase=False").json["results"] == []
    assert conan.get("/v2/conans/search?q=ZLIB&ignorecase=0").json["results"] == ["zlib/1.3"]


def test_a_search_shows_what_may_be_read(conan):
    """References that somebody may not read are left out; nobody at all is asked to log in."""
    for reference in ("open/1.0/_/_", "secret/1.0/_/_"):
        conan.recipe("r1", reference)
    rule = conan.session.accounts.add_rule(
        principal(Action.READ, pattern="conan/main/open").scope[0]
    )
    assert anonymous(conan).get("/v2/conans/search").json == {"results": ["open/1.0"]}
    conan.session.accounts.remove_rule(rule.id)
    assert anonymous(conan).get("/v2/conans/search").status == 401


def test_a_search_pattern_is_bounded(conan):
    """A longer one than any reference is refused."""
    assert conan.get("/v2/conans/search?q=" + "*" * 513).status == 400


@pytest.mark.parametrize("path", [R, RR])
def test_packages_are_found_with_their_settings(full, path):
    """The conaninfo.txt of the newest revision of each, by package id."""
    full.package("r1", "p1", "v2", b"[settings]\nos=Windows\n")
    full.package("r1", "p0", "v1", b"")
    told = full.get(f"{path}/search").json
    assert told == {"p0": {"content": ""}, "p1": {"content": "[settings]\nos=Windows\n"}}
    assert list(told) == ["p0", "p1"]
    assert full.get(f"{path}/search?list_only=False").json == told
    assert full.get(f"{path}/search?list_only=True").json == {"p0": {}, "p1": {}}


def test_a_recipe_without_packages_has_an_empty_search(conan):
    """As has a revision that a known recipe lacks."""
    conan.recipe("r1")
    for path in (R, RR, f"{R}/revisions/other"):
        assert conan.get(f"{path}/search").json == {}


# ------------------------------------------------------------------------------- uploading


def test_an_upload_may_be_empty_and_chunked(full):
    """A header-only package's conaninfo.txt has neither bytes nor a length."""
    path = f"{P}/revisions/v2/files/conaninfo.txt"
    assert full.ask("PUT", path, chunked=True).status == 200


@pytest.mark.parametrize(
    "name",
    ["conanfile.txt", "conan_package.tgz", "metadata", "sub/conanfile.py", "conan_export.zip"],
)
def test_a_file_name_is_one_of_the_protocol(conan, name):
    """Anything else is refused before it is read, and leaves nothing."""
    assert conan.put(f"{RR}/files/{name}", b"x").status == 400
    assert not conan.session.releases.exists("conan/main", "zlib/1.3@_/_", "r1")


@pytest.mark.parametrize(
    "path",
    [
        "/v2/conans/z lib/1.3/_/_/latest",
        "/v2/conans/zlib/1.3/_/stable/latest",
        "/v2/conans/zlib/-1/_/_/latest",
        f"/v2/conans/{'z' * 102}/1.3/_/_/latest",
        f"{R}/revisions/r.1/files",
        f"{R}/revisions/r1/packages/p 1/latest",
        f"{P}/revisions/{'v' * 65}/files",
        "/sources/nothing",
    ],
)
def test_a_field_is_a_word_of_the_protocol(conan, path):
    """A name that no client can write is refused with a sentence, not looked up."""
    answer = conan.get(path)
    assert answer.status == 400
    assert answer.text.endswith(".")


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_bytes_must_be_those_that_were_announced(conan, algorithm):
    """A checksum of the client is compared; other bytes leave nothing."""
    path = f"{RR}/files/conanfile.py"
    field = f"X_Checksum_{algorithm.title()}"
    right = hashlib.new(algorithm, b"recipe").hexdigest()
    assert conan.put(path, b"damaged", **{field: right}).status == 400
    assert conan.put(path, b"recipe", **{field: "nothing"}).status == 400
    assert not conan.session.releases.exists("conan/main", "zlib/1.3@_/_", "r1")
    assert conan.put(path, b"recipe", **{field: right.upper()}).status == 200


def test_a_conaninfo_that_is_no_text_stops_the_client(full):
    """400: a client would repeat what was answered 422."""
    answer = full.put(f"{P}/revisions/v2/files/conaninfo.txt", b"\xff\xfe")
    assert answer.status == 400


def test_known_bytes_need_not_be_sent(conan):
    """Checksum deploy: 201 where they are there, 404 where they must be uploaded."""
    content = b"archive"
    target = f"{R}/revisions/r2/files/conan_export.tgz"
    deploy = {"X_Checksum_Deploy": "true", "X_Checksum_Sha1": sha1(content)}
    assert conan.put(target, **deploy).status == 404
    conan.put(f"{RR}/files/conan_export.tgz", content)
    assert conan.put(target, **deploy).status == 404  # nobody may see a draft's bytes
    conan.put(f"{RR}/files/conanfile.py", b"recipe")
    conan.put(f"{RR}/files/conanmanifest.txt", manifest("conanfile.py", "conandata.yml"))
    assert conan.put(target, **deploy).status == 201
    conan.put(f"{R}/revisions/r2/files/conanfile.py", b"recipe 2")
    listed = manifest("conanfile.py", "conandata.yml")
    info = {"X_Checksum_Deploy": "true", "X_Checksum_Sha1": sha1(listed)}
    assert conan.put(f"{R}/revisions/r2/files/conanmanifest.txt", **info).status == 201
    assert conan.get(f"{R}/latest").json["revision"] == "r2"
    assert conan.get(target).body == content


@pytest.mark.usefixtures("rules")
def test_bytes_that_one_may_not_read_must_be_sent(conan):
    """To know a checksum is not to know the bytes."""
    conan.recipe("r1", "secret/1.0/_/_")
    blind = someone(conan, Action.WRITE)
    deploy = {"X_Checksum_Deploy": "true", "X_Checksum_Sha1": sha1(b"recipe r1")}
    assert blind.put(f"{RR}/files/conanfile.py", **deploy).status == 404


def test_an_upload_replaces_where_the_policy_lets_it(full):
    """Conan's --force means it, unless the repository keeps what is published."""
    path = f"{RR}/files/conanfile.py"
    assert full.put(path, b"other").status == 200
    assert full.get(path).body == b"other"
    full.session.repositories.configure("conan/main", policy=Policy(overwrite=False))
    assert full.put(path, b"third").status == 409
    assert full.put(path, b"other").status == 200
    assert full.put(f"{RR}/files/metadata/a.log", b"1").status == 200
    assert full.put(f"{RR}/files/metadata/a.log", b"2").status == 200
    assert full.get(path).body == b"other"


def test_metadata_moves_no_revision(conan):
    """It may come later, for any revision, and changes neither order nor time."""
    conan.recipe("r1")
    conan.recipe("r2")
    before = conan.get(f"{R}/revisions").body
    assert conan.put(f"{RR}/files/metadata/build.log", b"log").status == 200
    assert conan.get(f"{R}/revisions").body == before


# ------------------------------------------------------------------------------- deleting


def test_deletes_answer_200_with_nothing(full):
    """The client takes no other status for success."""
    for path in (PP, RR):
        answer = full.delete(path)
        assert (answer.status, answer.body) == (200, b"")
    assert full.get(f"{R}/latest").status == 404
    assert full.get("/v2/conans/search").json == {"results": []}


def test_a_recipe_takes_its_packages_along(full):
    """What hangs on a revision is deleted with it."""
    assert full.delete(R).status == 200
    assert full.get(f"{P}/latest").status == 404
    assert full.get(f"{PP}/files/conan_package.tgz").status == 404


def test_packages_are_deleted_together(full):
    """All of a revision, then there are none: 404, and the recipe stays."""
    full.package("r1", "p2", "v1")
    assert full.delete(f"{RR}/packages").status == 200
    assert full.delete(f"{RR}/packages").status == 404
    assert full.get(f"{RR}/search").json == {}
    assert full.get(f"{R}/latest").json["revision"] == "r1"


def test_latest_falls_back(conan):
    """Without the newest revision the one before it is the latest."""
    conan.recipe("r1")
    conan.recipe("r2")
    assert conan.delete(f"{R}/revisions/r2").status == 200
    assert conan.get(f"{R}/latest").json["revision"] == "r1"


# ------------------------------------------------------------------------------- backup sources


def test_sources_are_kept_under_their_digest(conan):
    """The bytes that a name promises, and the JSON beside them as often as it changes."""
    assert conan.put(f"/sources/{SOURCE}", b"other").status == 400
    assert conan.get(f"/sources/{SOURCE}").status == 404
    assert conan.put(f"/sources/{SOURCE}", b"source").status == 200
    assert conan.put(f"/sources/{SOURCE}", b"source").status == 200
    for origin in ("a", "b"):
        described = json.dumps({"references": {"zlib/1.3": [origin]}}).encode()
        assert conan.put(f"/sources/{SOURCE}.json", described).status == 200
        assert conan.get(f"/sources/{SOURCE}.json").body == described
    assert conan.get(f"/sources/{SOURCE}").body == b"source"
    assert conan.get("/v2/conans/search").json == {"results": []}


@pytest.mark.usefixtures("rules")
def test_sources_belong_to_the_whole_repository(conan):
    """A permission on one package is none on the sources."""
    one = someone(conan, Action.READ, Action.WRITE, pattern="conan/main/zlib/**")
    assert one.put(f"/sources/{SOURCE}", b"source").status == 404
    reader = someone(conan, Action.READ)
    assert reader.put(f"/sources/{SOURCE}", b"source").status == 403


# ------------------------------------------------------------------------------- who may

OPEN = {"ping", "authenticate", "check_credentials"}
NEEDED = {"GET": Action.READ, "PUT": Action.WRITE, "DELETE": Action.DELETE}
FIELDS = {
    "name": "zlib",
    "version": "1.3",
    "user": "_",
    "channel": "_",
    "rrev": "r1",
    "package_id": "p1",
    "prev": "v1",
}


def path_of(route):
    """A path of a route, to a thing that is there."""
    path = route.template
    for name, value in FIELDS.items():
        path = path.replace(f"{{{name}}}", value)
    name = "conaninfo.txt" if "/packages/" in path else "conanfile.py"
    return path.replace("{file:path}", name).replace("{file}", SOURCE)


def guarded(registry):
    """The routes of this protocol that are not for everyone; test_routes_v1 has the other's."""
    return [
        route
        for route in registry.routes()
        if route.format == "conan"
        and route.template.rpartition("/")[2] not in OPEN
        and not route.template.startswith("/v1/")
    ]


def test_nobody_may_do_anything_unasked(full):
    """Anonymous without a rule: 401 on every route but ping, however it ends up registered."""
    full.put(f"/sources/{SOURCE}", b"source")
    routes = guarded(full.registry)
    assert len(routes) == 20
    for route in routes:
        assert anonymous(full).ask(route.method, path_of(route), b"x").status == 401, route.template


@pytest.mark.usefixtures("rules")
def test_every_route_asks_for_its_own_action(full):
    """Every other action together does not open it: 403 for readers, 404 for others."""
    full.put(f"/sources/{SOURCE}", b"source")
    for route in guarded(full.registry):
        needed = NEEDED[route.method]
        others = someone(full, *(action for action in Action if action is not needed))
        status = others.ask(route.method, path_of(route), b"source").status
        assert status == (404 if needed is Action.READ else 403), route.template
    assert full.get(f"{P}/latest").json["revision"] == "v1"


@pytest.mark.usefixtures("rules")
def test_every_route_opens_for_its_own_action(full):
    """READ and the action of the method are enough."""
    for route in sorted(guarded(full.registry), key=lambda route: route.method, reverse=True):
        if route.method == "DELETE":
            full.recipe("r1")
            full.package("r1", "p1", "v1")
        else:
            full.put(f"/sources/{SOURCE}", b"source")
        body = b"source" if "sources" in route.template else full_body(path_of(route))
        one = someone(full, Action.READ, NEEDED[route.method])
        answer = one.ask(route.method, path_of(route), body)
        assert answer.status == 200, (route.template, answer.text)


def full_body(path):
    """The bytes that are there already, so that nothing is overwritten."""
    return b"[settings]\nos=Linux\n" if path.endswith("conaninfo.txt") else b"recipe r1"
