"""Failures of signing in add up, in all processes together, and then there is a pause."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import attrs
import pytest
from sqlalchemy import text

import repocore
from repocore import (
    ApiKey,
    Bearer,
    NotAuthenticatedError,
    Password,
    TooManyAttemptsError,
    hookimpl,
)
from repocore.catalog import tables
from repocore.config import SignInSettings, load_settings

HERE, THERE = "192.0.2.7", "198.51.100.9"
RIGHT, WRONG = Password("ann", "correct horse battery"), Password("ann", "wrong")


class Doorman:
    """An authenticator that counts whom it looks at."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.gate: threading.Event | None = None

    @hookimpl
    def repocore_authenticate(self, credentials):
        self.asked.append(getattr(credentials, "username", "?"))
        if self.gate is not None:
            self.gate.wait(10)


@pytest.fixture
def doorman() -> Doorman:
    return Doorman()


@pytest.fixture
def site(settings, doorman):
    bounds = SignInSettings(
        attempts=3,
        attempts_of_account=6,
        attempts_of_address=8,
        block=timedelta(minutes=1),
        longest_block=timedelta(minutes=3),
    )
    settings = attrs.evolve(settings, sign_in=bounds)
    with repocore.open_registry(settings=settings, plugins=[doorman]) as registry:
        admin = registry.session(registry.admin())
        admin.accounts.add("ann", "correct horse battery")
        admin.accounts.add("bob", "another long secret")
        yield registry


_numbers = itertools.count()


def fail(site, credentials=WRONG, source=HERE, times=1) -> None:
    """Try so many times, each time something else."""
    for _ in range(times):
        tried = credentials
        if isinstance(tried, Password):
            tried = Password(tried.username, f"{tried.password}{next(_numbers)}")
        elif isinstance(tried, ApiKey):
            tried = ApiKey(f"{tried.value}{next(_numbers)}")
        elif isinstance(tried, Bearer):
            tried = Bearer(f"{tried.value}{next(_numbers)}")
        with pytest.raises(NotAuthenticatedError):
            site.authenticate(tried, source=source)


def refused(site, credentials=WRONG, source=HERE) -> int:
    with pytest.raises(TooManyAttemptsError) as error:
        site.authenticate(credentials, source=source)
    return error.value.retry_after


def later(site, seconds: int) -> None:
    """Let time pass for what was counted."""

    def work(transaction) -> None:
        for column in ("last_at", "blocked_until"):
            change = f"UPDATE attempts SET {column} = {column} - {seconds * 1_000_000}"
            transaction.execute(text(change))

    site._services.catalog.write(work)


def test_after_some_failures_nobody_looks_any_more(site, doorman) -> None:
    """Not even at the right password; how long that is, is said. Elsewhere she still gets in."""
    fail(site, times=3)
    asked = len(doorman.asked)
    assert 55 <= refused(site) <= 60
    assert 55 <= refused(site, RIGHT) <= 60
    assert len(doorman.asked) == asked
    assert site.authenticate(RIGHT, source=THERE).name == "ann"


def test_the_count_is_of_all_processes(site, settings) -> None:
    """What fails in one is known in the other."""
    with repocore.open_registry(settings=site.settings) as other:
        fail(site, times=2)
        fail(other)
        refused(site)
        refused(other)


def test_each_further_failure_doubles_the_pause(site) -> None:
    """Up to the longest that is set."""
    fail(site, times=3)
    for longest in (120, 180, 180):
        later(site, 200)
        fail(site)
        assert longest - 5 <= refused(site) <= longest
        later(site, -1)  # still within the window


def test_failures_that_are_far_apart_do_not_add_up(site) -> None:
    """The window is over."""
    fail(site, times=2)
    later(site, 16 * 60)
    fail(site, times=2)


def test_who_gets_in_begins_anew(site) -> None:
    """A typing error now and then blocks nobody."""
    for _ in range(3):
        fail(site, times=2)
        site.access.verified.clear()
        assert site.authenticate(RIGHT, source=HERE).name == "ann"


def test_an_account_is_guarded_against_many_addresses(site) -> None:
    """Whoever has many addresses gets no more attempts for it."""
    for number in range(6):
        fail(site, source=f"192.0.2.{number}")
    refused(site, source="192.0.2.99")
    refused(site, Password("ANN", "x"), source="192.0.2.98")


def test_an_address_is_guarded_with_many_names_and_tokens(site) -> None:
    """Names that are not there, tokens, bearers: all count; others are not concerned."""
    for number in range(4):
        fail(site, Password(f"nobody{number}", "x"))
    fail(site, ApiKey("rpc-aaaaaaaaaaaa-bbbbbbbbbbbbbbbbbbbbbbbb"), times=2)
    fail(site, Bearer("e30.e30.e30"), times=2)
    refused(site, ApiKey("rpc-aaaaaaaaaaaa-bbbbbbbbbbbbbbbbbbbbbbbb"))
    refused(site, Password("bob", "another long secret"))
    assert site.authenticate(Password("bob", "another long secret"), source=THERE).name == "bob"


def test_a_name_that_nobody_has_is_answered_alike(site) -> None:
    """The same errors in the same order, and the same pause."""
    told = []
    for name, source in (("ann", "203.0.113.1"), ("zoe", "203.0.113.2")):
        said = []
        for number in range(5):
            with pytest.raises(repocore.RepocoreError) as error:
                site.authenticate(Password(name, f"x{number}"), source=source)
            said.append((type(error.value), str(error.value)))
        told.append(said)
    assert told[0] == told[1]
    assert told[0][-1][0] is TooManyAttemptsError


def test_a_network_of_ipv6_is_one_client(site) -> None:
    """It has as many addresses as it likes; mapped addresses are those of IPv4."""
    for number in range(8):
        fail(site, Password(f"n{number}", "x"), source=f"2001:db8:0:1::{number}")
    refused(site, Password("new", "x"), source="2001:db8:0:1:ffff::1")
    fail(site, Password("new", "x"), source="2001:db8:0:2::1")
    fail(site, times=3)
    refused(site, source=f"::ffff:{HERE}")


def test_many_at_once_are_no_more_than_one_after_the_other(site, doorman) -> None:
    """Attempts that are under way count."""
    doorman.gate = threading.Event()
    with ThreadPoolExecutor(20) as pool:

        def attempt(number) -> str:
            try:
                site.authenticate(Password("ann", f"wrong{number}"), source=HERE)
            except repocore.RepocoreError as error:
                return type(error).__name__
            return "in"

        answers = [pool.submit(attempt, number) for number in range(20)]
        while sum(one.done() for one in answers) < 17:
            pass
        doorman.gate.set()
    said = [one.result() for one in answers]
    assert 1 <= said.count("NotAuthenticatedError") <= 3
    assert len(doorman.asked) <= 3
    assert said.count("TooManyAttemptsError") >= 17


def test_old_counts_are_forgotten(site) -> None:
    """The table does not grow with the names that somebody tries."""
    for number in range(7):
        fail(site, Password(f"n{number}", "x"))
    later(site, 7200)
    fail(site, Password("last", "x"))
    with site._services.catalog.snapshot() as connection:
        keys = {row.key for row in connection.execute(tables.attempts.select())}
    assert len(keys) <= 8


def test_names_of_any_length_are_counted(site) -> None:
    """In whichever letters."""
    fail(site, Password("x" * 10_000, "y"), times=3)
    refused(site, Password("x" * 10_000, "y"))
    fail(site, Password("zoë", "y"), source=THERE, times=3)
    refused(site, Password("ZOË", "y"), source=THERE)


def test_the_settings_are_read(tmp_path) -> None:
    """As durations and numbers."""
    file = tmp_path / "repocore.toml"
    file.write_text(
        "[sign_in]\nattempts = 5\nattempts_of_account = 50\nattempts_of_address = 60\n"
        'window = "5m"\nblock = "10s"\nlongest_block = "2h"\n'
    )
    read = load_settings(data=tmp_path, config=file, environ={}).sign_in
    assert read == SignInSettings(
        attempts=5,
        attempts_of_account=50,
        attempts_of_address=60,
        window=timedelta(minutes=5),
        block=timedelta(seconds=10),
        longest_block=timedelta(hours=2),
    )


def test_an_administrator_ends_a_pause(site) -> None:
    """Of one account, wherever it was blocked; nobody else's, and nobody else does."""
    fail(site, times=3)
    fail(site, Password("bob", "x"), source=THERE, times=3)
    with pytest.raises(repocore.AccessDeniedError):
        site.session(repocore.Principal(name="bob", via="test")).accounts.unblock("ann")
    site.session(site.admin()).accounts.unblock("ann")
    assert site.authenticate(RIGHT, source=HERE).name == "ann"
    refused(site, Password("bob", "x"), source=THERE)
    [record] = site.session(site.admin()).audit.list(limit=1)
    assert (record.what, record.details["change"]) == ("ann", "unblocked")


@pytest.mark.parametrize("sent", [WRONG, ApiKey("rpc-aaaaaaaaaaaa-b"), Bearer("e30.e30.e30")])
def test_a_program_with_an_old_secret_keeps_nobody_out(site, sent) -> None:
    """The same again and again counts once; it is refused as ever."""
    for _ in range(30):
        with pytest.raises(NotAuthenticatedError):
            site.authenticate(sent, source=HERE)
    assert site.authenticate(RIGHT, source=HERE).name == "ann"
    assert site.authenticate(Password("bob", "another long secret"), source=HERE).name == "bob"
