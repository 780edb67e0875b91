"""``identity``: what people read and what programs get."""

from __future__ import annotations


def test_an_identity_is_linked_and_unlinked(house):
    """And listed in between, with whose it is."""
    house("user", "add", "ann", "--no-password")
    said = house("identity", "link", "hub", "42", "ann").stdout
    assert said == "42 of hub is ann.\n"
    [told] = house.json("identity", "list")
    assert (told["provider"], told["subject"], told["account"]) == ("hub", "42", "ann")
    assert "hub" in house("identity", "list", "--account", "ann").stdout
    assert house("identity", "unlink", "hub", "42").stdout == "42 of hub is ann no more.\n"
    assert house.json("identity", "list") == []


def test_a_provider_that_nobody_knows_is_doubted(house):
    """The link is made: the settings may get it later."""
    house("user", "add", "ann", "--no-password")
    told = house("identity", "link", "hbu", "42", "ann").stderr
    assert told == "WARNING: there is no [[provider]] hbu in the settings.\n"
    lines = '[[provider]]\nname = "hub"\nkind = "github"\nbase_url = "https://hub.example"\n'
    lines += 'client_id = "x"\nclient_secret = "y"\n'
    (house.data / "repocore.toml").write_text(lines, encoding="utf-8")
    assert "there are hub." in house("identity", "link", "hbu", "43", "ann").stderr
    assert house("identity", "link", "hub", "42", "ann").stderr == ""


def test_mistakes_are_told(house):
    """Nobody of that name, nothing to unlink."""
    assert house.refused("identity", "link", "hub", "42", "zoe")["kind"] == "MissingError"
    assert house.refused("identity", "unlink", "hub", "42")["kind"] == "MissingError"
