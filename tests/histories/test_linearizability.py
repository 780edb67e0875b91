"""The checker of histories: it agrees with trying every order, and wrong histories do not pass."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from linearizability import (
    UNKNOWN,
    Model,
    NotLinearizableError,
    Operation,
    UndecidedError,
    linearize,
)


def register(state: int, call: tuple[Any, ...]) -> tuple[int, Any]:
    """A number that is written, read, and swapped if it is what somebody thinks."""
    match call:
        case ("read",):
            return state, state
        case ("write", value):
            return value, "ok"
        case ("swap", old, new):
            return (new, True) if state == old else (state, False)
    raise AssertionError(call)


REGISTER = Model(0, register, frozenset({"read"}))


def op(client: int, began: int, ended: int | None, *call: Any, says: Any = "ok") -> Operation:
    answer = UNKNOWN if ended is None else says
    return Operation(client, call, answer, began, ended)


def every_order(operations: Sequence[Operation]) -> bool:
    """Whether any order of any of the unanswered, and all others, is right: by trying them all."""
    answered = [one for one in operations if one.ended is not None]
    lost = [one for one in operations if one.ended is None]
    for count in range(len(lost) + 1):
        for some in itertools.combinations(lost, count):
            if any(right(order) for order in itertools.permutations([*answered, *some])):
                return True
    return False


def right(order: Sequence[Operation]) -> bool:
    state = 0
    for place, one in enumerate(order):
        if any(then.ended is not None and then.ended < one.began for then in order[place:]):
            return False
        state, answer = register(state, one.call)
        if one.ended is not None and one.answer != answer:
            return False
    return True


calls = st.one_of(
    st.tuples(st.just(("read",)), st.integers(0, 2)),
    st.tuples(st.tuples(st.just("write"), st.integers(1, 2)), st.just("ok")),
    st.tuples(
        st.tuples(st.just("swap"), st.integers(0, 2), st.integers(0, 2)),
        st.booleans(),
    ),
)


@st.composite
def histories(draw: st.DrawFn) -> list[Operation]:
    """Up to five calls, right or wrong."""
    made: list[Operation] = []
    for client in range(draw(st.integers(1, 5))):
        call, answer = draw(calls)
        began = draw(st.integers(0, 12))
        lasted = draw(st.one_of(st.integers(1, 8), st.none()))
        ended = None if lasted is None else began + lasted
        made.append(op(client, began, ended, *call, says=answer))
    return made


@settings(max_examples=max(settings().max_examples, 400))
@given(histories())
def test_it_agrees_with_trying_every_order(history):
    """What is found by search is found by trying them all, and nothing else is."""
    try:
        found = linearize(history, REGISTER)
    except NotLinearizableError:
        assert not every_order(history)
    else:
        assert right(found)
        assert {one.client for one in history if one.ended} <= {one.client for one in found}


@given(st.lists(calls, max_size=30), st.data())
def test_what_came_one_after_the_other_passes(done, data):
    """However much longer the calls seemed to last, and whatever answers were lost."""
    state, history = 0, []
    for moment, (call, _) in enumerate(done):
        state, answer = register(state, call)
        began = moment * 10 - data.draw(st.integers(0, 40))
        ended = data.draw(st.one_of(st.none(), st.integers(0, 40)))
        history.append(
            op(moment, began, None if ended is None else moment * 10 + ended, *call, says=answer)
        )
    linearize(history, REGISTER)


@pytest.mark.parametrize(
    "history",
    [
        pytest.param([op(1, 0, 1, "write", 1), op(2, 2, 3, "read", says=0)], id="stale"),
        pytest.param(
            [op(1, 0, 9, "write", 1), op(2, 1, 2, "read", says=1), op(3, 3, 4, "read", says=0)],
            id="there and gone",
        ),
        pytest.param([op(1, 0, 1, "read", says=2)], id="from nowhere"),
        pytest.param(
            [op(1, 0, 5, "swap", 0, 1, says=True), op(2, 0, 5, "swap", 0, 2, says=True)],
            id="two winners",
        ),
        pytest.param(
            [op(1, 5, None, "write", 1), op(2, 0, 4, "read", says=1)],
            id="before it was asked for",
        ),
        pytest.param(
            [
                op(1, 0, None, "write", 1),
                op(2, 1, 2, "read", says=1),
                op(2, 3, 4, "read", says=0),
            ],
            id="half an unanswered call",
        ),
    ],
)
def test_a_wrong_history_does_not_pass(history):
    """The failure says how far it came, and what would have been right then."""
    with pytest.raises(NotLinearizableError, match="no order") as told:
        linearize(history, REGISTER)
    assert "is right" in str(told.value)


def test_a_call_without_an_answer_may_have_been_done():
    """Then or later or never, and it is all right."""
    lost = op(1, 0, None, "write", 1)
    for value in (0, 1):
        linearize([lost, op(2, 5, 6, "read", says=value)], REGISTER)
    linearize([lost, op(2, 5, 6, "read", says=0), op(2, 7, 8, "read", says=1)], REGISTER)


def test_a_change_may_be_one_later():
    """What would change nothing now can still be what undoes another change."""
    history = [op(1, 0, 5, "write", 1), op(2, 0, 10, "write", 0), op(3, 11, 12, "read", says=0)]
    assert [one.client for one in linearize(history, REGISTER)] == [1, 2, 3]


def hard(count: int) -> list[Operation]:
    """Calls that all overlap, and whose last answer is wrong in every order."""
    writes = [op(n, 0, 100, "write", n + 1) for n in range(count)]
    return [*writes, op(count, 200, 201, "read", says=-1)]


def test_who_does_not_know_does_not_pass():
    """A search that is too long fails, by states or by time; it is never taken for a success."""
    with pytest.raises(UndecidedError, match="states of 13 calls"):
        linearize(hard(12), REGISTER, states=100)
    with pytest.raises(UndecidedError):
        linearize(hard(12), REGISTER, seconds=0.0)


def test_what_was_tried_is_remembered():
    """Twelve overlapping writes have 479,001,600 orders, and less than 50,000 states."""
    with pytest.raises(NotLinearizableError):
        linearize(hard(12), REGISTER, states=50_000)
