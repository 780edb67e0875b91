"""What ``[plugins.attestations]`` accepts, and what is wrong with the rest."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import repocore
from repocore.config import load_settings
from repocore.errors import ConfigurationError
from repocore.plugins.attestations.settings import AttestationSettings, PolicySettings

POLICY = """
[plugins.attestations]
max_size = "32 KiB"
max_count = 3
[[plugins.attestations.policy]]
pattern = "conda/main/**"
require = true
trust_root = "root.json"
[[plugins.attestations.policy.identity]]
issuer = "https://ci.example"
subject = "https://ci.example/harbour/*"
"""


def opened(folder: Path, text: str) -> AttestationSettings:
    """The settings as a registry that has opened has them."""
    path = folder / "repocore.toml"
    path.write_text(text, encoding="utf-8")
    settings = load_settings(data=folder / "data", config=path, environ={})
    with repocore.open_registry(settings=settings) as registry:
        return registry.plugin_settings("attestations")


def problems(folder: Path, text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        opened(folder, text)
    return str(caught.value)


def test_without_a_word_nothing_is_verified(tmp_path):
    """Attestations are bounded all the same."""
    found = opened(tmp_path, "")
    assert (found.max_size, found.max_count, found.policy) == (64 << 10, 10, ())


def test_a_policy_is_read(tmp_path, authority):
    """Its trust root lies beside the file of settings."""
    pytest.importorskip("sigstore", reason="pip install 'repocore[attestations]'")
    authority.write_root(tmp_path).rename(tmp_path / "root.json")
    found = opened(tmp_path, POLICY)
    assert (found.max_size, found.max_count) == (32 << 10, 3)
    [policy] = found.policy
    assert (policy.pattern, policy.require) == ("conda/main/**", True)
    assert policy.trust_root == tmp_path / "root.json"
    [identity] = policy.identity
    assert (identity.issuer, identity.subject) == (
        "https://ci.example",
        "https://ci.example/harbour/*",
    )


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ('"conda/main/**"', '"conda//main"', "policy[0].pattern"),
        ('"https://ci.example"', '" "', "identity[0].issuer"),
        ('"https://ci.example/harbour/*"', '""', "identity[0].subject"),
        ("max_count = 3", "max_count = 0", "max_count"),
        ('max_size = "32 KiB"', "max_size = 0", "max_size"),
        ('trust_root = "root.json"', "", "trust_root"),
        ('trust_root = "root.json"', 'trust_root = "none.json"', "none.json"),
        ("require = true", "require = 1", "require"),
    ],
)
def test_mistakes_are_told(tmp_path, old, new, word):
    """By their place in the settings."""
    assert word in problems(tmp_path, POLICY.replace(old, new))


def test_whose_attestations_count_is_said(tmp_path):
    """Everybody with a certificate could sign, else."""
    without = POLICY.partition("[[plugins.attestations.policy.identity]]")[0]
    assert "identity" in problems(tmp_path, without)
    text = re.sub(r"\[\[plugins.attestations.policy.identity\]\][^[]*", "identity = []", POLICY)
    assert "name whose attestations count" in problems(tmp_path, text)


def test_a_policy_needs_the_package_that_verifies(monkeypatch):
    """And says how it is installed."""
    monkeypatch.setattr("repocore.plugins.attestations.settings.find_spec", lambda _: None)
    with pytest.raises(ValueError, match=re.escape("repocore[attestations]")):
        PolicySettings(pattern="conda/**", trust_root=Path("root.json"), identity=())
