"""rattler-build: its uploads in three forms, and packages of its making under our reader."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from pathlib import Path

import pytest
from conda_channels import Quay
from rattler_builder import HARBOUR_RECIPE, Builder, builder, tide
from recorder import recording

from repocore.model import Action, Policy, Rule

pytestmark = [pytest.mark.clients, pytest.mark.slow]
#: For each form, the URL that its users give, and what they call the key.
FORMS = {"quetz": ("", "api_key"), "prefix": ("", "api_key"), "artifactory": ("/conda", "token")}
#: One is not for installing, and the list of files of the other does not tell the truth.
UNUSUAL = ("conda-forge-repodata-patches", "spiffy-test-app")
REAL = Path(__file__).parents[3] / "shared" / "data" / "conda" / "packages"


@pytest.fixture(scope="module", params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    """One of the servers whose uploads rattler-build speaks."""
    return request.param


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two packages of one name, with other bytes in them."""
    one = builder(tmp_path_factory.mktemp("built"))
    return one.build(tide("1.0")), one.build(tide("1.0", "low"))


@pytest.fixture
def overwritable(quay: Quay) -> Quay:
    """A channel whose files may be replaced."""
    quay.session.repositories.configure(quay.address, policy=Policy(overwrite=True))
    return quay


@pytest.fixture
def build(tmp_path: Path) -> Builder:
    return builder(tmp_path / "build")


def key(form: str, secret: str) -> dict[str, str]:
    return {FORMS[form][1]: secret}


def url(form: str, address: str) -> str:
    return address + FORMS[form][0]


def content(quay: Quay, path: Path) -> bytes:
    """What the channel has where a package belongs."""
    return quay.ask("GET", f"/{path.parent.name}/{path.name}", known=False).body


def names(quay: Quay, path: Path) -> list[str]:
    """The packages in the index where a package belongs."""
    answer = quay.ask("GET", f"/{path.parent.name}/repodata.json", known=False)
    return [] if answer.status == 404 else sorted(answer.json["packages.conda"])


def test_an_upload_is_in_the_next_index(quay, build, built, form):
    """Whichever form it takes, the package is there when the command ends, with its bytes."""
    path, _ = built
    build.upload(form, url(form, quay.server.address), quay.name, path, **key(form, quay.token))
    assert names(quay, path) == [path.name]
    assert content(quay, path) == path.read_bytes()


def test_the_same_bytes_again_are_no_error(quay, build, built, form):
    """A job that runs twice succeeds twice."""
    path, _ = built
    for _ in range(2):
        build.upload(form, url(form, quay.server.address), quay.name, path, **key(form, quay.token))
    assert names(quay, path) == [path.name]


def test_other_bytes_under_a_name_are_refused(quay, build, built, form):
    """The second is a 409 and changes nothing."""
    first, second = built
    assert first.name == second.name
    given = key(form, quay.token)
    build.upload(form, url(form, quay.server.address), quay.name, first, **given)
    with recording(quay.server.address) as (address, exchanges):
        said = build.refused(form, url(form, address), quay.name, second, **given)
    assert [seen.status for seen in exchanges] == [409]
    assert said
    assert content(quay, first) == first.read_bytes()


def test_what_exists_may_be_skipped(quay, build, built):
    """With `skip_existing` a name that is taken is no error, and stays what it was."""
    first, second = built
    quay.upload(first)
    quay.upload(second, skip_existing=True)
    assert content(quay, first) == first.read_bytes()


def test_force_replaces_nothing_in_a_channel_that_keeps_its_files(quay, build, built):
    """Channels keep what is published, as lock files name its digest: 409 for `force`, too."""
    first, second = built
    quay.upload(first)
    given = {"api_key": quay.token, "force": True}
    said = build.refused("prefix", quay.server.address, quay.name, second, **given)
    assert "keeps what is published" in said
    assert content(quay, first) == first.read_bytes()


def test_whoever_might_replace_is_told_that_nothing_asked_for_it(overwritable, build, built):
    """Where `force` would help, a refusal without it says so."""
    quay = overwritable
    first, second = built
    quay.upload(first)
    said = build.refused(
        "prefix", quay.server.address, quay.name, second, api_key=quay.token, force=False
    )
    assert "does not ask to replace it" in said


def test_force_replaces_what_is_published(overwritable, built):
    """With `force`, the permission for it and a channel that allows it, all of it is new."""
    quay = overwritable
    first, second = built
    quay.upload(first)
    quay.upload(second, force=True)
    answer = quay.ask("GET", f"/{first.parent.name}/repodata.json", known=False)
    digest = hashlib.sha256(second.read_bytes()).hexdigest()
    assert answer.json["packages.conda"][second.name]["sha256"] == digest


def test_force_wants_its_own_permission(harbourmaster, overwritable, build, built):
    """A token that may only write cannot replace: 409 that says so, and nothing changes."""
    quay = overwritable
    first, second = built
    quay.upload(first)
    scope = (Rule(subject="*", actions=frozenset({Action.WRITE}), pattern=f"{quay.address}/**"),)
    _, secret = harbourmaster.session.accounts.create_token("admin", "writes", rules=scope)
    given = {"api_key": secret, "force": True}
    said = build.refused("prefix", quay.server.address, quay.name, second, **given)
    assert "you lack the permission to overwrite" in said
    assert content(quay, first) == first.read_bytes()


def test_a_wrong_token_is_refused(quay, build, built, form):
    """401, whether anybody may read the channel or not; nothing is published."""
    path, _ = built
    with recording(quay.server.address) as (address, exchanges):
        given = key(form, "rpc-nobody-knows-it")
        build.refused(form, url(form, address), quay.name, path, **given)
    assert [seen.status for seen in exchanges] == [401]
    assert names(quay, path) == []


def test_an_expired_token_is_refused(harbourmaster, quay, build, built, form):
    """401 once its time is over."""
    path, _ = built
    lifetime = timedelta(microseconds=1)
    _, secret = harbourmaster.session.accounts.create_token("admin", "brief", lifetime=lifetime)
    with recording(quay.server.address) as (address, exchanges):
        build.refused(form, url(form, address), quay.name, path, **key(form, secret))
    assert [seen.status for seen in exchanges] == [401]


def test_a_reader_may_not_upload(harbourmaster, quay, build, built, form):
    """403 for a token that is known and may only read."""
    path, _ = built
    scope = (Rule(subject="*", actions=frozenset({Action.READ}), pattern="conda/**"),)
    _, secret = harbourmaster.session.accounts.create_token("admin", "reads", rules=scope)
    with recording(quay.server.address) as (address, exchanges):
        build.refused(form, url(form, address), quay.name, path, **key(form, secret))
    assert [seen.status for seen in exchanges] == [403]
    assert names(quay, path) == []


def test_a_channel_that_is_not_there_is_told_of(quay, build, built, form):
    """404 for somebody who may know it."""
    path, _ = built
    with recording(quay.server.address) as (address, exchanges):
        build.refused(form, url(form, address), "no-such-channel", path, **key(form, quay.token))
    assert [seen.status for seen in exchanges] == [404]


def test_a_file_that_is_no_package_is_refused_for_good(quay, build, built, form, tmp_path):
    """422, which the command does not try again."""
    path = tmp_path / "linux-64" / "tide-1.0-0.conda"
    path.parent.mkdir()
    path.write_bytes(built[0].read_bytes()[:-30])
    with recording(quay.server.address) as (address, exchanges):
        build.refused(form, url(form, address), quay.name, path, **key(form, quay.token))
    assert len(exchanges) <= 1
    assert {seen.status for seen in exchanges} <= {422}
    assert names(quay, path) == []


def test_the_token_may_be_in_an_authentication_file(quay, build, built):
    """The command finds the token of the host where rattler's programs keep it."""
    path, _ = built
    file = build.folder / "credentials.json"
    file.parent.mkdir()
    for name, kind in (("quetz", "CondaToken"), ("prefix", "BearerToken")):
        file.write_text(json.dumps({"127.0.0.1": {kind: quay.token}}), encoding="utf-8")
        build.upload(name, quay.server.address, quay.name, path, auth_file=str(file))
    assert names(quay, path) == [path.name]


def test_several_files_in_one_command(quay, build, form):
    """All of them are published."""
    made = [build.build(tide(version)) for version in ("1.0", "1.1", "1.2")]
    build.upload(form, url(form, quay.server.address), quay.name, *made, **key(form, quay.token))
    assert names(quay, made[0]) == sorted(path.name for path in made)


def test_a_record_says_what_the_builder_wrote(quay, build):
    """The index has the fields of the package's own metadata, and digests of its bytes."""
    (path,) = quay.publish(tide("1.0"))
    answer = quay.ask("GET", f"/{path.parent.name}/repodata.json", known=False)
    record = answer.json["packages.conda"][path.name]
    content = path.read_bytes()
    assert record["sha256"] == hashlib.sha256(content).hexdigest()
    assert record["md5"] == hashlib.md5(content).hexdigest()
    assert record["size"] == len(content)
    assert {name: record[name] for name in ("name", "version", "build_number", "license")} == {
        "name": "tide",
        "version": "1.0",
        "build_number": 0,
        "license": "MIT",
    }
    exports = quay.ask("GET", f"/{path.parent.name}/run_exports.json", known=False).json
    assert exports["packages.conda"][path.name]["run_exports"] == {"weak": ["tide >=1.0,<2"]}


def test_a_build_reads_a_private_channel(harbourmaster, tmp_path, build):
    """Dependencies come from a channel whose token stands in its address."""
    private = harbourmaster.quay("builds-of-the-navy", tmp_path / "quay", private=True)
    private.publish(tide("1.0"))
    host, _, path = private.url.removeprefix("http://").partition("/")
    inside = Builder(build.folder, (f"http://{host}/t/{private.token}/{path}",))
    made = inside.build(HARBOUR_RECIPE)
    private.upload(made)
    answer = private.ask("GET", f"/{made.parent.name}/repodata.json")
    assert answer.json["packages.conda"][made.name]["depends"] == ["tide >=1.0,<2"]


@pytest.mark.skipif(not REAL.is_dir(), reason="no folder of published packages beside the checkout")
def test_published_packages_of_many_builders_are_taken(quay, build):
    """What others published is uploaded by rattler-build as it stands, and indexed."""
    files = [path for path in sorted(REAL.glob("*/*")) if not path.name.startswith(UNUSUAL)]
    build.upload("prefix", quay.server.address, quay.name, *files, api_key=quay.token)
    for subdir in {path.parent.name for path in files}:
        index = quay.ask("GET", f"/{subdir}/repodata.json", known=False).json
        found = index["packages"] | index["packages.conda"]
        for path in files:
            if path.parent.name == subdir:
                assert found[path.name]["size"] == path.stat().st_size


@pytest.mark.skipif(not REAL.is_dir(), reason="no folder of published packages beside the checkout")
def test_a_published_package_that_lists_absent_files_is_refused(quay, build):
    """It could not be installed anywhere; the sentence names the file."""
    (path,) = REAL.glob("*/spiffy-test-app-*")
    said = build.refused("prefix", quay.server.address, quay.name, path, api_key=quay.token)
    assert "which is not in the package" in said
    assert quay.ask("GET", "/noarch/repodata.json", known=False).json["packages"] == {}
