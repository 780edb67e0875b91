"""Webhooks: events reach those who want them, signed, and again until they are taken."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import re
from datetime import timedelta
from pathlib import Path

import attrs
import pytest
from stand_in import stand_in
from tests_manifest import manifest

import repocore
from repocore import Action, JobState, Rule
from repocore.config import JobSettings, Settings, load_settings
from repocore.plugins.webhooks import HookSettings, WebhookSettings, sign

SECRET = "of-the-builds-0123456789"
RECIPE = "zlib/1.3/_/_/r1/export"


@pytest.fixture
def opened(tmp_path):
    """Open a registry with these hooks; jobs are tried again at once."""

    def make(*hooks: HookSettings):
        text = Settings(data=tmp_path, jobs=JobSettings(backoff=timedelta(milliseconds=1)))
        tables = {"webhooks": {"hook": [written(hook) for hook in hooks]}}
        plugins = attrs.evolve(text.plugins, tables=tables)
        return repocore.open_registry(settings=attrs.evolve(text, plugins=plugins))

    return make


def written(hook: HookSettings) -> dict:
    fields = attrs.asdict(hook)
    return {name: value for name, value in fields.items() if value is not None}


def hook(url: str, **more) -> HookSettings:
    return HookSettings(name="builds", url=url, secret=SECRET, allow=("127.0.0.0/8",), **more)


def deliver(registry):
    """Everything that is due; the jobs of it."""
    admin = registry.session(registry.admin())
    registry.tell()
    registry.run_jobs()
    found = [*admin.jobs.list(kind="webhook")]
    return [admin.jobs.wait(job.id, timeout=timedelta(seconds=30)) for job in found][::-1]


def test_an_event_is_sent_and_signed(opened) -> None:
    """As CloudEvents has it; the receiver computes the same signature."""
    with stand_in(lambda _: (204, {}, b"")) as server, opened(hook(server.url)) as registry:
        registry.session(registry.admin()).repositories.create("conan/main")
        [job] = deliver(registry)
        assert job.state is JobState.DONE, job.error
        [asked] = server.asked
    told = json.loads(asked.body)
    assert told["type"] == "repocore.repository.changed"
    assert (told["specversion"], told["subject"]) == ("1.0", "conan/main")
    assert told["data"] == {"repository": "conan/main", "change": "created", "by": "system"}
    assert asked.headers["content-type"].startswith("application/cloudevents+json")
    number, at = asked.headers["webhook-id"], asked.headers["webhook-timestamp"]
    signed = f"{number}.{at}.".encode() + asked.body
    digest = hmac.digest(SECRET.encode(), signed, hashlib.sha256)
    assert asked.headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
    assert number == told["id"]


def test_the_signature_is_that_of_the_rules() -> None:
    """A value that another implementation computed from the specification's example."""
    body = b'{"test": 2432232314}'
    mac = hmac.new(b"k" * 24, b"msg_1.1614265330." + body, "sha256").digest()
    assert sign("k" * 24, "msg_1", 1614265330, body) == "v1," + base64.b64encode(mac).decode()


def test_what_is_not_taken_is_sent_again(opened) -> None:
    """With the same id and another time, until it is taken."""
    answers = [500, 503, 200]
    with (
        stand_in(lambda _: (answers.pop(0), {}, b"")) as server,
        opened(hook(server.url)) as registry,
    ):
        registry.session(registry.admin()).repositories.create("conan/main")
        [job] = deliver(registry)
        assert (job.state, job.attempts) == (JobState.DONE, 3)
        assert len({asked.headers["webhook-id"] for asked in server.asked}) == 1


def test_who_has_gone_is_not_asked_again(opened) -> None:
    """410 says so."""
    with stand_in(lambda _: (410, {}, b"")) as server, opened(hook(server.url)) as registry:
        registry.session(registry.admin()).repositories.create("conan/main")
        [job] = deliver(registry)
        assert (job.state, len(server.asked)) == (JobState.DONE, 1)


def test_a_redirect_is_not_followed(opened) -> None:
    """It might lead anywhere."""
    with stand_in(lambda _: (204, {}, b"")) as other:
        there = {"Location": other.url}
        answers = [(307, there, b""), (204, {}, b"")]
        with stand_in(lambda _: answers.pop(0)) as server, opened(hook(server.url)) as registry:
            registry.session(registry.admin()).repositories.create("conan/main")
            deliver(registry)
        assert other.asked == []


def test_a_private_address_is_not_connected_to(opened) -> None:
    """Unless the settings allow it; the job says so, and nothing of the URL."""
    with stand_in(lambda _: (204, {}, b"")) as server:
        closed = attrs.evolve(hook(f"{server.url}/secret-path"), allow=())
        with opened(closed) as registry:
            registry.session(registry.admin()).repositories.create("conan/main")
            [job] = deliver(registry)
        assert (job.state, job.attempts, server.asked) == (JobState.FAILED, 1, [])
    assert "secret-path" not in str(job)


@pytest.mark.parametrize(
    ("more", "kinds"),
    [
        ({"events": ("release.added",)}, ["release.added"]),
        ({"pattern": "conan/other/**"}, []),
        ({"pattern": "conan/main/**"}, ["repository.changed"] * 2 + ["release.added"]),
        ({"pattern": "conan/*"}, ["repository.changed"] * 2 + ["release.added"]),
        ({}, ["repository.changed"] * 2 + ["account.changed", "release.added"]),
        ({"events": ("account.changed",)}, ["account.changed"]),
    ],
)
def test_each_is_told_what_it_wants(opened, more, kinds) -> None:
    """By kinds and by repositories."""
    with stand_in(lambda _: (204, {}, b"")) as server, opened(hook(server.url, **more)) as registry:
        admin = registry.session(registry.admin())
        admin.repositories.create("conan/main")
        admin.accounts.add("ann")
        admin.files.put("conan/main", f"{RECIPE}/conanfile.py", io.BytesIO(b"x"))
        lines = io.BytesIO(manifest("conanfile.py"))
        admin.files.put("conan/main", f"{RECIPE}/conanmanifest.txt", lines)
        admin.accounts.add_rule(
            Rule(subject="user:ann", actions=frozenset({Action.READ}), pattern="conan/main/**")
        )
        deliver(registry)
        told = [json.loads(asked.body) for asked in server.asked]
    assert sorted(one["type"] for one in told) == sorted(f"repocore.{kind}" for kind in kinds)


def test_a_delivery_is_no_event_of_its_own(opened) -> None:
    """It would never end; jobs of other kinds are told of."""
    with stand_in(lambda _: (204, {}, b"")) as server, opened(hook(server.url)) as registry:
        registry.session(registry.admin()).jobs.submit("gc")
        for _ in range(3):
            deliver(registry)
        kinds = [json.loads(asked.body)["data"].get("kind") for asked in server.asked]
    assert set(kinds) == {"gc"}


def test_without_hooks_nobody_listens(opened) -> None:
    """And the outbox stays empty."""
    with opened() as registry:
        assert not registry.plugins.hook.repocore_event.get_hookimpls()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('url = "ftp://builds.example"', "https://builds.example/hooks"),
        ('url = "https://me@builds.example"', "without a user"),
        ('secret = "short"', "at least 20 characters"),
        ('events = ["file.eaten"]', "there is no event file.eaten"),
        ('pattern = "a//b"', "is not a pattern"),
        ('name = "a b"', "letters, digits"),
    ],
)
def test_mistakes_are_told(tmp_path, line, said) -> None:
    """With their place, before anything is served; secrets stay out of it."""
    fields = {"name": '"b"', "url": '"https://builds.example/h"', "secret": f'"{SECRET}"'}
    key, _, value = line.partition(" = ")
    body = "\n".join(f"{name} = {text}" for name, text in {**fields, key: value}.items())
    file = tmp_path / "repocore.toml"
    file.write_text(f"[[plugins.webhooks.hook]]\n{body}\n")
    settings = load_settings(data=tmp_path / "data", config=file, environ={})
    with pytest.raises(repocore.ConfigurationError, match=said) as error:
        repocore.open_registry(settings=settings)
    assert SECRET not in str(error.value)
    assert WebhookSettings().hook == ()


def test_the_guides_receiver_finds_it_genuine(opened) -> None:
    """And not with another secret, an old time, or a changed body."""
    page = Path(__file__).parents[2].joinpath("docs/how-to/webhooks.md").read_text("utf-8")
    [code] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict = {}
    exec(code, names)
    with stand_in(lambda _: (204, {}, b"")) as server, opened(hook(server.url)) as registry:
        registry.session(registry.admin()).repositories.create("conan/main")
        deliver(registry)
        [asked] = server.asked
    genuine = names["genuine"]
    assert genuine(SECRET, asked.headers, asked.body)
    assert not genuine("another", asked.headers, asked.body)
    assert not genuine(SECRET, asked.headers, asked.body + b" ")
    old = {**asked.headers, "webhook-timestamp": "1600000000"}
    old["webhook-signature"] = sign(SECRET, old["webhook-id"], 1600000000, asked.body)
    assert not genuine(SECRET, old, asked.body)
