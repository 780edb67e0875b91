"""Hypothesis strategies of our values; named by the plural of the type."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from repocore.model import Action, Effect, FilePath, Principal, Resource, Rule, Tier, check_segment

__all__ = ["contents", "file_paths", "principals", "resources", "rules"]

_NAMES = ("ann", "bob")
_GROUPS = ("team", "ops")
_PACKAGES = ("a", "ab", "b")
_VERSIONS = ("1", "1.0@_/_", "2@user/channel")


def contents(*, most: int = 2000) -> st.SearchStrategy[bytes]:
    """Bodies of up to ``most`` bytes, the empty one among them."""
    return st.binary(max_size=most)


def file_paths(*, depth: int = 4) -> st.SearchStrategy[FilePath]:
    """Paths in their normal form, with unusual but legal names."""
    segments = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(_is_segment)
    return st.lists(segments, min_size=1, max_size=depth).map(lambda parts: FilePath(tuple(parts)))


def _is_segment(text: str) -> bool:
    try:
        check_segment(text)
    except ValueError:
        return False
    return True


def principals() -> st.SearchStrategy[Principal]:
    """The anonymous, and members of some groups."""
    groups = st.frozensets(st.sampled_from(_GROUPS))
    known = st.builds(Principal, name=st.sampled_from(_NAMES), groups=groups, via=st.just("test"))
    return st.just(Principal(name=None)) | known


def resources(
    *, formats: Sequence[str] = ("conan", "other"), repositories: Sequence[str] = ("main", "side")
) -> st.SearchStrategy[Resource]:
    """Packages and versions in these repositories."""
    return st.builds(
        Resource,
        st.sampled_from(formats),
        st.sampled_from(repositories),
        st.sampled_from(_PACKAGES),
        st.sampled_from(_VERSIONS),
    )


def rules() -> st.SearchStrategy[Rule]:
    """Rules about what `principals` and `resources` draw."""
    subjects = (
        "*",
        "+",
        "anonymous",
        *(f"user:{n}" for n in _NAMES),
        *(f"group:{g}" for g in _GROUPS),
    )
    patterns = ("**", "conan/main", "conan/*/a*/**", "conan/main/ab/1", "*/side/**", "conan/main/b")
    return st.builds(
        Rule,
        subject=st.sampled_from(subjects),
        actions=st.frozensets(st.sampled_from([Action.READ, Action.WRITE]), min_size=1),
        pattern=st.sampled_from(patterns),
        effect=st.sampled_from(Effect),
        tier=st.sampled_from([tier for tier in Tier if tier is not Tier.ROLE]),
    )
