"""What a channel's subdir and a Conan recipe have to do, told without a line of ours.

Each model is of one object: a subdir, or a reference, in two repositories at once, because what is
copied from one to the other is one call.  A state is of tuples and frozensets, to be remembered.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from linearizability import Model

__all__ = ["CONAN", "READS", "RECIPE", "conda"]

#: The files of a recipe revision; it is seen as soon as both are there.
RECIPE = ("conanfile.py", "conanmanifest.txt")

#: Calls that change nothing.
READS = frozenset({"download", "files", "index", "latest", "names", "revisions"})

Held = dict[str, tuple[str, bool]]


# -------------------------------------------------------------------------------------- conda


def conda(*, overwrite: tuple[bool, bool]) -> Model:
    """A subdir of two channels: file names, each with its digest, and whether it is yanked.

    ``overwrite``: in which of them what is published can be replaced.
    """

    def act(state: tuple[frozenset[Any], ...], call: tuple[Any, ...]) -> tuple[Any, Any]:
        kind, place, *rest = call
        held = {name: (digest, yanked) for name, digest, yanked in state[place]}
        if kind in {"index", "names", "download"}:
            return state, _conda_seen(kind, held, rest)
        if kind in {"copy", "promote"}:
            other = {name: (digest, yanked) for name, digest, yanked in state[1 - place]}
            status, made = _conda_copied(held, other, rest[0], overwrite[1 - place])
            return _put_back(state, 1 - place, _frozen(made)), status
        if kind == "put":
            status, made = _conda_put(held, *rest, overwrite=overwrite[place])
        else:
            status, made = _conda_changed(kind, held, rest[0])
        return _put_back(state, place, _frozen(made)), status

    return Model((frozenset(), frozenset()), act, READS)


def _frozen(held: Held) -> frozenset[Any]:
    return frozenset((name, digest, yanked) for name, (digest, yanked) in held.items())


def _put_back(state: tuple[Any, ...], place: int, own: Any) -> tuple[Any, ...]:
    return (own, state[1]) if place == 0 else (state[0], own)


def _conda_seen(kind: str, held: Held, rest: list[Any]) -> Any:
    if kind == "download":
        return held.get(rest[0], (None, False))[0]  # whoever knows a yanked one gets it
    listed = {name: digest for name, (digest, yanked) in held.items() if not yanked}
    return frozenset(listed.items()) if kind == "index" else frozenset(listed)


def _conda_put(
    held: Held, name: str, digest: str, force: bool, *, overwrite: bool
) -> tuple[int, Held]:
    known, yanked = held.get(name, (None, False))
    if known == digest:
        return (409 if yanked else 201), held
    if known is not None and not (force and overwrite):
        return 409, held
    return 201, {**held, name: (digest, False)}


def _conda_changed(kind: str, held: Held, names: Iterable[str]) -> tuple[int, Held]:
    if not set(names) <= held.keys():
        return 404, held
    if kind == "delete":
        return 200, {name: one for name, one in held.items() if name not in names}
    return 200, {**held, **{name: (held[name][0], kind == "yank") for name in names}}


def _conda_copied(
    held: Held, other: Held, names: Iterable[str], overwrite: bool
) -> tuple[int, Held]:
    if not set(names) <= held.keys():
        return 404, other
    if any(held[name][1] for name in names):
        return 422, other
    made = dict(other)
    for name in names:
        digest = held[name][0]
        known, yanked = other.get(name, (None, False))
        if known == digest:
            if yanked:
                return 409, other
        elif known is not None and not overwrite:
            return 409, other
        made[name] = (digest, False)
    return 200, made


# -------------------------------------------------------------------------------------- Conan

#: Of a reference: the revisions in the order in which they are listed, the newest last; those that
#: are yanked; and all files, of drafts as well.
_Shelf = tuple[tuple[str, ...], frozenset[str], frozenset[tuple[str, str]]]
_EMPTY: _Shelf = ((), frozenset(), frozenset())


def _conan(state: tuple[_Shelf, _Shelf], call: tuple[Any, ...]) -> tuple[Any, Any]:
    kind, place, *rest = call
    shelf = state[place]
    if kind in {"latest", "revisions", "files", "download"}:
        return state, _conan_seen(kind, shelf, rest)
    if kind in {"copy", "promote"}:
        status, made = _conan_copied(shelf, state[1 - place], rest[0])
        return _put_back(state, 1 - place, made), status
    if kind == "put":
        status, made = 200, _conan_put(shelf, *rest)
    elif kind == "delete all":
        status, made = (200, _EMPTY) if shelf[2] else (404, shelf)
    elif kind == "delete":
        status, made = _conan_deleted(shelf, rest[0])
    else:
        status, made = _conan_yanked(shelf, rest[0], to=kind == "yank")
    return _put_back(state, place, made), status


def _conan_seen(kind: str, shelf: _Shelf, rest: list[str]) -> Any:
    order, yanked, _ = shelf
    listed = tuple(name for name in reversed(order) if name not in yanked)
    if kind == "latest":
        return listed[0] if listed else None
    if kind == "revisions":
        return listed or None
    return rest[0] in order


def _conan_put(shelf: _Shelf, revision: str, file: str) -> _Shelf:
    order, yanked, files = shelf
    files |= {(revision, file)}
    whole = {(revision, name) for name in RECIPE} <= files
    # Whoever sends the manifest again has uploaded it again: it is the newest.
    if whole and (revision not in order or file == RECIPE[-1]):
        if order[-1:] != (revision,):
            order = (*(one for one in order if one != revision), revision)
        yanked -= {revision}
    return order, yanked, files


def _conan_deleted(shelf: _Shelf, revision: str) -> tuple[int, _Shelf]:
    order, yanked, files = shelf
    kept = frozenset(one for one in files if one[0] != revision)
    if kept == files:
        return 404, shelf
    return 200, (tuple(one for one in order if one != revision), yanked - {revision}, kept)


def _conan_yanked(shelf: _Shelf, revision: str, *, to: bool) -> tuple[int, _Shelf]:
    order, yanked, files = shelf
    if revision not in order:
        return 404, shelf
    return 200, (order, yanked | {revision} if to else yanked - {revision}, files)


def _conan_copied(shelf: _Shelf, other: _Shelf, revision: str) -> tuple[int, _Shelf]:
    order, yanked, _ = shelf
    if revision not in order:
        return 404, other
    if revision in yanked:
        return 422, other
    for file in RECIPE:
        other = _conan_put(other, revision, file)
    return 200, other


CONAN = Model((_EMPTY, _EMPTY), _conan, READS)
