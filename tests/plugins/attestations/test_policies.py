"""Which policy is asked, and what it makes of attestations."""

from __future__ import annotations

import json
import sys

import pytest
from own_sigstore import ISSUER, statement

from repocore.errors import ConfigurationError, TooLargeError, UploadRejectedError
from repocore.model import Attested, Resource
from repocore.plugins.attestations.policies import Policies
from repocore.plugins.attestations.settings import (
    AttestationSettings,
    IdentitySettings,
    PolicySettings,
)

NAME, SHA256 = "tide-1.0-0.conda", "ab" * 32
TIDE = Resource("conda", "main", "tide", "1.0")
ELSEWHERE = Resource("conda", "other", "tide", "1.0")
URLS = ("https://packages.example/conda/main",)


@pytest.fixture(scope="module")
def policies(trust_root):
    """Tide needs an attestation of its own workflow, the rest of the channel one if any."""
    pytest.importorskip("sigstore", reason="pip install 'repocore[attestations]'")

    def policy(pattern, subject, *, require):
        identity = (IdentitySettings(issuer=ISSUER, subject=f"https://ci.example/{subject}/*"),)
        return PolicySettings(
            pattern=pattern, trust_root=trust_root, identity=identity, require=require
        )

    return Policies(
        AttestationSettings(
            policy=(
                policy("conda/main/tide/**", "harbour", require=True),
                policy("conda/main/**", "port", require=False),
            )
        )
    )


@pytest.fixture
def said(authority):
    return authority.bundle(statement(NAME, SHA256))


def attested(*bundles, urls=URLS, others=0):
    return Attested(bundles=json.dumps(bundles).encode(), urls=urls, others=others)


def test_the_first_policy_that_fits_decides(policies, said, authority):
    """Tide's workflow may not attest the other packages of the channel."""
    policies.admit(TIDE, NAME, SHA256, attested(said))
    rest = Resource("conda", "main", "zlib", "1.3")
    with pytest.raises(UploadRejectedError, match="nobody whom the policy names"):
        policies.admit(rest, NAME, SHA256, attested(said))
    port = authority.bundle(statement(NAME, SHA256), subject="https://ci.example/port/x")
    policies.admit(rest, NAME, SHA256, attested(port))


def test_one_may_be_required(policies):
    """Of the packages that the policy is about, and of no others."""
    with pytest.raises(UploadRejectedError, match="needs an attestation"):
        policies.admit(TIDE, NAME, SHA256, None)
    policies.admit(Resource("conda", "main", "zlib", "1.3"), NAME, SHA256, None)
    policies.admit(ELSEWHERE, NAME, SHA256, None)


def test_each_one_that_comes_has_to_count(policies, said, authority):
    """One that does does not make up for one that does not."""
    foreign = authority.bundle(statement(NAME, SHA256), subject="https://else.example/")
    with pytest.raises(UploadRejectedError, match="does not count here"):
        policies.admit(TIDE, NAME, SHA256, attested(said, foreign))


def test_statements_are_checked_without_a_policy(policies, said):
    """Of every package."""
    policies.admit(ELSEWHERE, NAME, SHA256, attested(said))
    with pytest.raises(UploadRejectedError, match="other bytes"):
        policies.admit(ELSEWHERE, NAME, "cd" * 32, attested(said))


def test_they_are_bounded_together_with_those_that_are_there(policies, said):
    """Ten of a package, each of 64 KiB."""
    policies.admit(ELSEWHERE, NAME, SHA256, attested(said, others=9))
    with pytest.raises(UploadRejectedError, match="up to 10"):
        policies.admit(ELSEWHERE, NAME, SHA256, attested(said, others=10))
    large = {**said, "padding": "x" * (64 << 10)}
    with pytest.raises(TooLargeError, match="65536 bytes"):
        policies.admit(ELSEWHERE, NAME, SHA256, attested(large))


def test_findings_are_of_the_policies_of_now(policies, said, authority):
    """What was taken before a policy came is told to be unverified, with the reason."""
    foreign = authority.bundle(statement(NAME, SHA256), subject="https://else.example/")
    good, bad = policies.findings(TIDE, [said, foreign])
    assert (good.verified, good.reason, good.issuer) == (True, "", ISSUER)
    assert (bad.verified, bad.subject) == (False, None)
    assert "nobody whom the policy names" in bad.reason
    [unasked] = policies.findings(ELSEWHERE, [said])
    assert (unasked.verified, unasked.reason) == (False, "no policy covers the package")


def test_without_the_package_that_verifies_a_policy_is_refused(monkeypatch, trust_root):
    """With the words that install it; nothing else needs that package."""
    Policies(AttestationSettings())
    pytest.importorskip("sigstore", reason="pip install 'repocore[attestations]'")
    identity = (IdentitySettings(issuer=ISSUER, subject="*"),)
    policy = PolicySettings(pattern="conda/**", trust_root=trust_root, identity=identity)
    monkeypatch.setitem(sys.modules, "repocore.plugins.attestations.verifying", None)
    with pytest.raises(ConfigurationError, match=r"repocore\[attestations\]"):
        Policies(AttestationSettings(policy=(policy,)))
