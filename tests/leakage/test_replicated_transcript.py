"""What a party sees of an operation does not depend on the secrets: sizes, order, rounds and bytes of messages.

Operations that open comparisons of shuffled rows exchange more or fewer messages from run to run; these must be
distributed alike for all secrets. Every check is shown a planted leak, which it must find.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from mpc_engine.runtime.replicated import arithmetic, bits, convert, recompose, sort, topk
from mpc_engine.runtime.replicated.core import Replicated
from mpc_engine.runtime.replicated.shuffle import Shuffle
from mpc_kernels.bits import planes_to_rows
from tests.columns import KINDS, Values, number
from tests.operation import ANY, Operation
from tests.operations import OPERATIONS
from tests.relational import OPENING
from tests.views import HIGH, LOW, Seen, observe, show_openings, statistic, telling

ROWS = 200
RUNS = 200
SILENT = {name for name, operation in OPERATIONS.items() if operation.cost(ROWS).total == 0}


def transcript(operation: Operation, kind: str, rows: int = ROWS) -> tuple[Any, ...]:
    (seen,) = observe(operation, kind, rows)
    return seen.transcript


@pytest.mark.parametrize("name", list(OPERATIONS))
def test_messages_are_the_same_for_all_secrets(name: str) -> None:
    """So few rows are sorted in one step, always of the same size."""
    operation = OPERATIONS[name]
    expected = transcript(operation, "random")
    for kind in KINDS[1:]:
        assert transcript(operation, kind) == expected
    assert any(expected[0]) != (name in SILENT)


def without_zeros(p: Replicated, x: Any) -> tuple[Any, ...]:
    """A leak: squares only what is not zero."""
    zero = bits.open_bits(p, convert.is_zero(p, x))[:, 0]
    rest = np.ascontiguousarray(x[zero == 0])
    return (arithmetic.multiply(p, rest, rest),)


def test_messages_that_depend_on_a_secret_are_seen() -> None:
    operation = Operation((number(0, 3),), without_zeros, lambda x: (x[x != 0] ** 2,))
    assert transcript(operation, "sorted") == transcript(operation, "reversed")  # as many zeros
    assert transcript(operation, "sorted") != transcript(operation, "equal")


# bytes

DISCLOSING = {"open", "open to each", "open bits"}
"""What they send are shares as they are: uniform if they were made at random."""
PLACES = {"permutation of an owner", "bincount by an owner"}
"""Permutations of row numbers: uniform as such, not byte by byte (tests/unit/test_replicated_known.py)."""


@pytest.mark.parametrize("rows", [1 << 13, pytest.param(1 << 17, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", sorted(set(OPERATIONS) - SILENT - PLACES))
def test_what_arrives_is_noise(name: str, rows: int) -> None:
    """Secrets are constant, and not even shared at random: masks alone must hide them."""
    (seen,) = observe(OPERATIONS[name], "equal", rows, shared=name in DISCLOSING)
    assert any(view.received for view in seen.views)
    for rank in range(3):
        assert telling(seen, rank) == []


def planted(call: Any) -> Seen:
    (seen,) = observe(Operation((ANY,), lambda p, x: call(p, x) or (), lambda x: ()), "equal", 1 << 14, shared=False)
    return seen


def test_a_message_without_a_mask_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bits, "zero_bits", lambda p, words: np.zeros(words, np.uint64))
    (seen,) = observe(OPERATIONS["and"], "equal", 1 << 14, shared=False)
    assert any("message 0:" in each for rank in range(3) for each in telling(seen, rank))


def test_a_mask_that_the_receiver_knows_is_seen() -> None:
    def call(p: Replicated, x: Any) -> None:
        if p.rank == 0:
            p.send(1, x[:, 0] + p.stream(1, len(x)))
        if p.rank == 1:
            p.recv(0, 8 * len(x))

    seen = planted(call)
    assert LOW < statistic(np.frombuffer(seen.views[1].received[0], np.uint8)) < HIGH
    assert any("own numbers 0 by subtraction" in each for each in telling(seen, 1))


def test_a_mask_that_is_used_twice_is_seen() -> None:
    def call(p: Replicated, x: Any) -> None:
        if p.rank == 0:
            mask = p.stream(0, len(x))
            for factor in (1, 3):
                p.send(1, x[:, 0] * np.uint64(factor) + mask)
        if p.rank == 1:
            for _ in range(2):
                p.recv(0, 8 * len(x))

    seen = planted(call)
    assert all(LOW < statistic(np.frombuffer(content, np.uint8)) < HIGH for content in seen.views[1].received)
    assert any("messages 0 and 1" in each for each in telling(seen, 1))


# distributions


@pytest.fixture
def small_steps() -> Iterator[pytest.MonkeyPatch]:
    """Sorts in many steps, whose number and sizes vary; what they open is kept."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (sort, topk):
            patch.setattr(module, "spare_comparisons", lambda bits, link=None: 0)
        show_openings(patch)
        yield patch


def narrow(operation: Operation) -> Operation:
    """Take numbers of four bits: fewer rounds, and ties among random ones too."""
    columns = (replace(column, bits=4, high=15) if (column.bits or 0) > 4 else column for column in operation.columns)
    return replace(operation, columns=tuple(columns))


def summary(seen: Seen) -> list[int]:
    """Of one run: bytes, messages and the largest one that party 0 sends; ones among what is opened, first and in all.

    Of opened places, the first.
    """
    sent, opened = seen.views[0].sent, seen.views[0].opened
    ones = [int(np.unpackbits(words.view(np.uint8)).sum()) for words in opened]
    places = [int(words.reshape(-1)[0]) for words in opened if words.size and words.max() < words.size]
    return [sum(sent), len(sent), max(sent), ones[0], sum(ones), places[-1] if places else 0]


def sample(operation: Operation, kind: str, rows: int, runs: int = RUNS) -> Values:
    """Summaries of many runs, each kind with randomness of its own."""
    seen = observe(operation, kind, rows, seed=KINDS.index(kind), repeat=runs)
    return np.array([summary(each) for each in seen]).T


def p_values(one: Values, other: Values) -> list[float]:
    """Two-sample Kolmogorov-Smirnov tests of every entry of the summaries."""
    return [float(stats.ks_2samp(a, b, method="asymp").pvalue) for a, b in zip(one, other, strict=True)]


def check_alike(operation: Operation, kinds: Sequence[str], rows: int) -> None:
    """Secrets of each kind against random ones, corrected for the number of tests (Bonferroni)."""
    random = sample(operation, "random", rows)
    assert len(np.unique(random[0])) > 1, "nothing varies"
    found = [p for kind in kinds for p in p_values(random, sample(operation, kind, rows))]
    assert min(found) > 0.001 / (len(found) * len(OPENING))


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize(("name", "kind"), [("group_by by sort", "equal"), ("top_k first", "reversed")])
def test_opening_operations_look_alike(name: str, kind: str) -> None:
    """All of them, with all kinds: the slow test. Sorts alone: test_sort_transcript.py."""
    check_alike(narrow(OPENING[name]), [kind], 24)


@pytest.mark.slow
@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("name", list(OPENING))
def test_all_opening_operations_look_alike(name: str) -> None:
    check_alike(OPENING[name], KINDS[1:], 90)


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("name", ["sort", "order there and back", "top_k smallest"])
def test_rows_in_one_order_look_the_same(name: str) -> None:
    """For one randomness, what is opened follows from the order of the rows alone, ties or not."""
    shown = []
    for kind in ("equal", "sorted"):
        seen = list(observe(OPENING[name], kind, 60, repeat=5))
        opened = [[words.tolist() for words in view.opened] for each in seen for view in each.views]
        shown.append(([each.transcript for each in seen], opened))
    assert shown[0] == shown[1]


def first_places(name: str, kind: str) -> Values:
    """Of every permutation that is opened, the first place: one a run."""
    seen = observe(OPERATIONS[name], kind, 8, seed=KINDS.index(kind), repeat=RUNS)
    return np.array([[int(words.reshape(-1)[0]) for words in each.views[0].opened] for each in seen]).T


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize(("name", "kind", "openings"), [("compact", "equal", 1), ("radix", "reversed", 4)])
def test_opened_places_are_uniform(name: str, kind: str, openings: int) -> None:
    places = first_places(name, kind)
    assert len(places) == openings
    assert min(stats.chisquare(np.bincount(each, minlength=8)).pvalue for each in places) > 0.001 / openings


def unshuffled(party: Replicated, rows: int) -> Shuffle:
    order = np.arange(rows, dtype=np.uint32)
    return Shuffle(rows, dict.fromkeys((party.rank, (party.rank + 1) % 3), order))


def test_places_of_rows_in_their_old_order_are_seen(small_steps: pytest.MonkeyPatch) -> None:
    small_steps.setattr(Shuffle, "draw", unshuffled)
    (places,) = first_places("compact", "random")
    assert stats.chisquare(np.bincount(places, minlength=8)).pvalue < 1e-6


def opened_differences(monkeypatch: pytest.MonkeyPatch) -> Values:
    """What party 0 is shown by a conversion of bits to numbers, as bytes."""
    shown: list[Values] = []

    def keep(planes: Values, rows: int) -> Values:
        shown.append(planes_to_rows(planes, rows))
        return shown[-1]

    monkeypatch.setattr(recompose, "planes_to_rows", keep)
    (_,) = observe(OPERATIONS["recompose 32"], "equal", 1 << 14, shared=False)
    (opened,) = shown
    return opened.reshape(-1).view(np.uint8)


def test_the_difference_that_is_opened_is_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert LOW < statistic(opened_differences(monkeypatch)) < HIGH


def test_a_difference_from_nothing_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    true = recompose._add_known
    monkeypatch.setattr(recompose, "_add_known", lambda p, x, addend: true(p, x, np.zeros_like(addend)))
    assert statistic(opened_differences(monkeypatch)) > HIGH


def test_ties_that_show_are_seen(small_steps: pytest.MonkeyPatch) -> None:
    """A leak: row numbers do not make keys different."""
    small_steps.setattr(sort, "constant", lambda p, values, width: bits.constant(p, np.zeros_like(values), width))
    pair = [sample(narrow(OPENING["sort"]), kind, 24, 50) for kind in ("random", "equal")]
    assert min(p_values(*pair)[:3]) < 1e-6  # traffic alone tells


def test_comparisons_of_rows_in_their_old_order_are_seen(small_steps: pytest.MonkeyPatch) -> None:
    """A leak: the rows are not shuffled."""
    small_steps.setattr(Shuffle, "draw", unshuffled)
    pair = [sample(narrow(OPENING["sort"]), kind, 24, 40) for kind in ("sorted", "reversed")]
    assert min(p_values(*pair)[3:]) < 1e-6  # what is opened tells
