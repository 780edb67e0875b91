"""Changes that keep what was not given, and hold only for what was seen; lists from a place on."""

from __future__ import annotations

import threading

import pytest

from repocore import Policy, PreconditionFailedError, RepositoryMissingError

MAIN = "conan/main"


def test_a_change_holds_for_what_was_seen_only(house) -> None:
    """Somebody else's change in between is not overwritten."""
    rooms = house.admin.repositories
    seen = rooms.get(MAIN)
    rooms.configure(MAIN, description="theirs")
    with pytest.raises(PreconditionFailedError):
        rooms.configure(MAIN, description="mine", expected=seen)
    assert rooms.get(MAIN).description == "theirs"
    now = rooms.configure(MAIN, policy=Policy(quota=5), expected=rooms.get(MAIN))
    assert (now.description, now.policy.quota) == ("theirs", 5)


def test_of_changes_at_once_one_holds(house) -> None:
    """Each saw the same; the others are told."""
    seen = house.admin.repositories.get(MAIN)
    done: list[object] = []

    def change(number: int) -> None:
        try:
            room = house.admin.repositories
            done.append(room.configure(MAIN, description=str(number), expected=seen).description)
        except PreconditionFailedError as error:
            done.append(error)

    threads = [threading.Thread(target=change, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [winner] = [one for one in done if isinstance(one, str)]
    assert len(done) == 6
    assert house.admin.repositories.get(MAIN).description == winner


def test_changes_of_other_fields_at_once_all_hold(house) -> None:
    """What is not given is that of the moment, not of a moment before."""
    rooms = house.admin.repositories
    stale = house.as_("root")
    house.allow("user:root", "all", "**")
    stale.repositories.get(MAIN)
    rooms.configure(MAIN, description="theirs")
    changed = stale.repositories.configure(MAIN, policy=Policy(quota=9))
    assert (changed.description, changed.policy.quota) == ("theirs", 9)
    with pytest.raises(RepositoryMissingError):
        rooms.configure("conan/other", private=True)


def test_an_account_keeps_what_is_not_given(house) -> None:
    """Its address and its state are changed alone or together."""
    accounts = house.admin.accounts
    accounts.add("ann", email="ann@one.example")
    accounts.configure("ann", disabled=True)
    assert (accounts.get("ann").email, accounts.get("ann").disabled) == ("ann@one.example", True)
    accounts.configure("ann", email="", disabled=False)
    assert (accounts.get("ann").email, accounts.get("ann").disabled) == ("", False)
    record = house.admin.audit.list(limit=1)[0]
    assert (record.kind, record.after) == ("account.changed", {"email": "", "disabled": False})


def test_lists_start_behind_a_place(house) -> None:
    """Files, releases and packages, as if what is before were not there."""
    for name in ("b", "a", "c"):
        house.recipe("r1", f"{name}/1.0/_/_")
    files = [str(file.path) for file in house.admin.files.list(MAIN)]
    assert [str(f.path) for f in house.admin.files.list(MAIN, after=files[2])] == files[3:]
    releases = list(house.admin.releases.all(MAIN))
    after = (releases[0].partition, releases[0].name)
    assert list(house.admin.releases.all(MAIN, after=after)) == releases[1:]
    found = house.admin.releases.packages(MAIN, start="B")
    assert [name for name, _ in found] == ["b", "c"]
