"""What the table of operations says of each of them, and how to run it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from mpc_compiler.cost import NEAR, Link
from mpc_engine.runtime.replicated import approx
from mpc_engine.runtime.replicated.cost import PartyCost
from tests.columns import Column, Values, number, planes, reveal, share
from tests.parties import Run, run

Accept = Callable[[Sequence[Values], Sequence[Values]], None]
ONE = 1 << approx.FRACTION
FREE = PartyCost(0, (0, 0, 0))
ANY, FLAG = number(), planes(1)


def total(*costs: PartyCost) -> PartyCost:
    return sum(costs, FREE)


def exact(found: Sequence[Values], truth: Sequence[Values]) -> None:
    for at, (one, other) in enumerate(zip(found, truth, strict=True)):
        np.testing.assert_array_equal(one, other, err_msg=f"result {at}")


def rounded(found: Sequence[Values], truth: Sequence[Values]) -> None:
    """Between floor and ceiling, which are the truth; where they agree, exact."""
    floor, ceiling = truth
    assert ((found[0] == floor) | (found[0] == ceiling)).all()


def near(absolute: float, relative: float = 0.0) -> Accept:
    """Fixed point, within a bound."""

    def accept(found: Sequence[Values], truth: Sequence[Values]) -> None:
        error = np.abs(found[0] / ONE - truth[0])
        bound = absolute + relative * np.abs(truth[0])
        worst = int((error - bound).argmax()) if error.size else 0
        assert (error <= bound).all(), f"{error[worst]} where the truth is {truth[0][worst]}"

    return accept


def moved(found: Sequence[Values], truth: Sequence[Values]) -> None:
    """Two columns in some other order, and back in the old one."""
    there, back = found[:2], found[2:]
    exact(back, truth)
    sorted_ = [[column[np.lexsort(columns)] for column in columns] for columns in (there, truth)]
    exact(*sorted_)
    assert len(there[0]) < 100 or (there[0] != truth[0]).any() or len(np.unique(truth[0])) == 1


@dataclass(frozen=True)
class Operation:
    """An operation in the table.

    Attributes
    ----------
    columns : tuple of Column
    call : function of a party and its shares
        Gives a tuple of pairs, planes or opened numbers.
    truth : function of the values
        Gives a tuple of what :func:`accept` wants, arrays that are to be met exactly by default.
    cost : function of the number of rows
    accept : function of the results and the truth
    early : int
        Rounds that may be saved where a message of one party passes together with messages of others.
    spread : (float, float), optional
        Of an operation that opens comparisons: how far bytes and rounds may lie from the declared expectation.
    link : Link
        What the parties choose by.
    """

    columns: tuple[Column, ...]
    call: Callable[..., tuple[Any, ...]]
    truth: Callable[..., tuple[Values, ...]]
    cost: Callable[[int], PartyCost] = lambda rows: FREE
    accept: Accept = exact
    early: int = 0
    spread: tuple[float, float] | None = None
    link: Link = NEAR

    def run(self, values: Sequence[Values], rng: np.random.Generator | None) -> Run:
        """Share the values, and run the operation."""
        return self.on([share(column, each, rng) for column, each in zip(self.columns, values, strict=True)])

    def on(self, shares: Sequence[Sequence[Any]]) -> Run:
        """Run the operation on shares, by column and party."""
        return run(lambda p: self.call(p, *(column[p.rank] for column in shares)), timeout=120, link=self.link)

    def check(self, done: Run, values: Sequence[Values]) -> None:
        """Compare the results with the truth."""
        self.accept([reveal(held) for held in zip(*done.results, strict=True)], self.truth(*values))

    def check_cost(self, done: Run, rows: int) -> None:
        """Compare what was sent with what is declared."""
        rounds, sent = self.cost(rows)
        if self.spread is None:
            assert done.cost[1] == sent
            assert rounds - self.early <= done.cost[0] <= rounds
            return
        assert sum(done.cost[1]) == pytest.approx(sum(sent), rel=self.spread[0])
        assert done.cost[0] == pytest.approx(rounds, rel=self.spread[1])
