"""What an owner keeps of its columns: right, in a small type, and made of a few columns at a time."""

from __future__ import annotations

import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from mpc_compiler.ir import DType, Field
from mpc_compiler.lower.stages import Owned, Wanted
from mpc_engine.runtime.blocks import block_arrays

ROWS, COLUMNS = 500, 4


def _block(how: str) -> Owned:
    kind = DType("int", lo=0, hi=2) if how == "onehot" else DType("float", lo=-8.0, hi=8.0)
    fields = [Field(f"x{at}", kind, ("bank",)) for at in range(COLUMNS)]
    return Owned("block1", "local1", 0, tuple(Wanted(f.name, "local1", "bank", f) for f in fields), how, ROWS)


def _columns(how: str) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    if how == "onehot":
        return [rng.integers(0, 3, ROWS) for _ in range(COLUMNS)]
    return [rng.normal(at, 1 + at / 4, ROWS).clip(-8, 8) for at in range(COLUMNS - 1)] + [np.full(ROWS, 3.5)]


def test_standardised() -> None:
    x = np.stack(_columns("standard"), axis=1)
    made = block_arrays(_block("standard"), _columns("standard"), ROWS)
    deviation = x.std(axis=0)
    varies = deviation > 0
    z = np.where(varies, (x - x.mean(axis=0)) / np.where(varies, deviation, 1), 0)
    assert made["__matrix"].dtype == np.int32
    assert np.abs(made["__matrix"] / 2**18 - z).max() <= 2.0**-18
    np.testing.assert_allclose(made["__mean"], np.where(varies, x.mean(axis=0), 3.5) / 2, atol=2.0**-18)
    np.testing.assert_allclose(
        made["__inverse"], np.where(varies, 2 / np.where(varies, deviation, 1), 0), atol=2.0**-18
    )


def test_units_and_codes() -> None:
    made = block_arrays(_block("units"), _columns("units"), ROWS)
    assert list(made) == ["__matrix"]
    assert np.abs(made["__matrix"] / 2**18 - np.stack(_columns("units"), axis=1) / 2).max() <= 2.0**-19
    made = block_arrays(_block("onehot"), _columns("onehot"), ROWS)
    np.testing.assert_array_equal(made["__matrix"], np.concatenate([np.eye(3)[c] for c in _columns("onehot")], axis=1))


@pytest.mark.parametrize("how", ["standard", "units", "onehot"])
def test_few_columns_at_a_time(how: str) -> None:
    alive: list[weakref.ref[np.ndarray]] = []

    def each() -> Iterator[np.ndarray]:
        for column in _columns(how):
            values = column.copy()
            assert sum(ref() is not None for ref in alive) <= 2
            alive.append(weakref.ref(values))
            yield values
            del values

    block_arrays(_block(how), each(), ROWS)
    assert len(alive) == COLUMNS
