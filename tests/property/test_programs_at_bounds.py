"""Programs at the bounds of what the checker takes: each is refused, or right on shares within its stated error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import jax
import numpy as np
import pytest

from mpc_compiler.check import schema_of
from mpc_compiler.lower.error_bound import error_bound
from mpc_compiler.lower.program import build_program
from mpc_compiler.lower.stages import Compute, Input, Wanted
from tests.property.programs import ROWS, UNIT, Program, draw
from tests.spu_threads import in_spu
from tests.unit.test_native_programs import run as run_natively

BATCH = 160


Execute = Callable[..., Any]


def natively(fn: Execute, *args: Any) -> list[Any]:
    """Run a program in the native protocol, which takes all of it."""
    return run_natively(lambda *given: list(fn(*given)), args)[0]


def check(programs: Sequence[Program], rng: np.random.Generator, execute: Execute) -> None:
    """Run programs as one on shares, and compare with fractions."""
    wanted, rels, arrays, values = [], [], [], []
    for at, program in enumerate(programs):
        prefix = f"p{at}"
        values.append(program.values(rng))
        for field, units in zip(program.fields(prefix), values[-1], strict=True):
            wanted.append(Wanted(field.name, "", "a", field))
            kind = field.dtype.kind
            arrays.append(np.array([u / UNIT for u in units]) if kind == "float" else units.astype(np.int64))
        rels.append(program.rel(prefix))
    names = tuple(f"r{at}" for at in range(len(programs)))
    compute = Compute("compute", (Input("s", "", tuple(wanted), False, "", ROWS),), names, tuple(rels))
    built = build_program(compute, {"s": ROWS})
    found = execute(jax.core.jaxpr_as_fun(built.jaxpr), *arrays)
    results = {(slot.relation, slot.valid): array for slot, array in zip(built.outputs, found, strict=True)}
    for at, program in enumerate(programs):
        rel = rels[at]
        bound, got = error_bound(rel)[f"p{at}y"], results[f"r{at}", False]
        valid, dtype = results.get((f"r{at}", True), np.ones(len(got), bool)), schema_of(rel)[0].dtype
        for mine, present, true in zip(got, valid, program.truth(values[at]), strict=True):
            if not present or true is None:
                assert program.may_miss() or (not present and true is None), (program, values[at])
                continue
            number = Fraction(float(mine)) if dtype.kind == "float" else Fraction(int(mine), dtype.unit)
            slack = abs(true) / 2**50 if dtype.kind == "float" else 0
            assert abs(number - true) <= bound + slack, (program, values[at], float(number), float(true), bound)


def run(seed: int, count: int, execute: Execute) -> None:
    rng = np.random.default_rng(seed)
    drawn: list[Program] = []
    while len(drawn) < count:
        drawn += draw(rng)
    taken = [program for program in drawn[:count] if program.accepted()]
    assert count / 3 < len(taken) < count
    for start in range(0, len(taken), BATCH):
        check(taken[start : start + BATCH], rng, execute)


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3))])
def test_programs_at_the_bounds(seed: int) -> None:
    run(seed, 500, natively)


def test_programs_at_the_bounds_in_spu() -> None:
    run(4, 60, in_spu)


@pytest.mark.slow
@pytest.mark.timeout(36000)
@pytest.mark.parametrize("seed", range(10, 60))
def test_many_programs_at_the_bounds(seed: int) -> None:
    run(seed, 2000, natively)
