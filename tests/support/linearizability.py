"""Whether calls that overlapped can have come one after the other, and given the same answers.

A history is linearizable (Herlihy and Wing, 1990) if each call can be given a moment between its
beginning and its end, so that a model which takes them in that order gives the answers that were
given.  The search is Wing and Gong's, which tries the calls that could be next, with Lowe's memory
of what was tried before: the same calls done and the same state need not be tried twice.

A call without an answer may take its moment at any time after it began, or never.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import attrs

__all__ = ["UNKNOWN", "Model", "NotLinearizableError", "Operation", "UndecidedError", "linearize"]

#: The answer of a call that nobody has heard of again.
UNKNOWN = "?"
#: How many states are tried, and for how many seconds, before nothing is said of a history.
STATES = 2_000_000
SECONDS = 120.0


class NotLinearizableError(AssertionError):
    """No order of the calls gives their answers."""


class UndecidedError(AssertionError):
    """The search took too long.  That is a failure: who does not know has not seen it pass."""


@attrs.frozen
class Operation:
    """One call of one client: what was asked, what was answered, and when, on one clock."""

    client: int
    call: tuple[Any, ...]
    answer: Any
    began: int
    #: None: no answer ever came.
    ended: int | None


@attrs.frozen
class Model:
    """What one object has to do: its state at first, and the next state and answer of a call.

    ``reads`` are the first words of calls that change nothing in any state.
    """

    start: Hashable
    act: Callable[[Any, tuple[Any, ...]], tuple[Any, Any]]
    reads: frozenset[str]


@attrs.define
class _Place:
    """A state on the way, and what can still be tried from there."""

    done: int
    state: Any
    chosen: int | None
    choices: list[tuple[int, Any]]


@attrs.define
class _Search:
    operations: Sequence[Operation]
    model: Model
    states: int
    until: float
    tried: set[tuple[int, Any]] = attrs.field(factory=set)
    #: The longest way that was found, for whoever reads of the failure.
    farthest: list[_Place] = attrs.field(factory=list)

    def run(self) -> list[Operation]:
        wanted = sum(1 << n for n, one in enumerate(self.operations) if one.ended is not None)
        way = [self._place(0, self.model.start, None)]
        while way:
            here = way[-1]
            if here.done & wanted == wanted:
                return [self.operations[one.chosen] for one in way if one.chosen is not None]
            if len(way) > len(self.farthest):
                self.farthest = list(way)
            if not here.choices:
                way.pop()
                continue
            number, state = here.choices.pop()
            done = here.done | 1 << number
            if (done, state) not in self.tried:
                self._count(done, state)
                way.append(self._place(done, state, number))
        raise NotLinearizableError(self._told())

    def _count(self, done: int, state: Any) -> None:
        self.tried.add((done, state))
        if len(self.tried) > self.states or time.monotonic() > self.until:
            message = f"undecided after {len(self.tried)} states of {len(self.operations)} calls"
            raise UndecidedError(message)

    def _place(self, done: int, state: Any, chosen: int | None) -> _Place:
        choices: list[tuple[int, Any]] = []
        for number, operation in self._next(done):
            then, answer = self.model.act(state, operation.call)
            if operation.ended is None:
                if then != state:
                    choices.append((number, then))
            elif answer == operation.answer:
                if operation.call[0] in self.model.reads:
                    # It fits and changes nothing: if any order is right, one that has it here is.
                    # Of a change that would change nothing now, that could not be said.
                    return _Place(done, state, chosen, [(number, then)])
                choices.append((number, then))
        # The last is tried first: whose answer came first, and those without one at last.
        choices.sort(key=lambda one: -(self.operations[one[0]].ended or 1 << 80))
        return _Place(done, state, chosen, choices)

    def _next(self, done: int) -> list[tuple[int, Operation]]:
        """The calls that are not done and began before any of these had ended."""
        left = [(n, one) for n, one in enumerate(self.operations) if not done >> n & 1]
        ends = [one.ended for _, one in left if one.ended is not None]
        first = min(ends, default=None)
        return [(n, one) for n, one in left if first is None or one.began <= first]

    def _told(self) -> str:
        last = self.farthest[-1]
        lines = ["no order of these calls gives their answers; the farthest that one came:"]
        lines += [
            f"  {_line(self.operations[place.chosen])}"
            for place in self.farthest
            if place.chosen is not None
        ]
        lines.append(f"then the state is {last.state}, and none of these can be next:")
        for _, operation in self._next(last.done):
            due = self.model.act(last.state, operation.call)[1]
            lines.append(f"  {_line(operation)}, where {due} is right")
        lines.append("all of them, as they began:")
        lines += [f"  {_line(operation)}" for operation in self.operations]
        return "\n".join(lines)


def _line(operation: Operation) -> str:
    ended = "never" if operation.ended is None else operation.ended
    return f"{operation.client} [{operation.began}, {ended}] {operation.call}: {operation.answer}"


def linearize(
    operations: Iterable[Operation],
    model: Model,
    *,
    states: int = STATES,
    seconds: float = SECONDS,
) -> list[Operation]:
    """An order of the calls that gives their answers.

    Raises `NotLinearizableError` where there is none, and `UndecidedError` where the search would
    take more states or seconds than that.
    """
    ordered = sorted(operations, key=lambda one: one.began)
    return _Search(ordered, model, states, time.monotonic() + seconds).run()
