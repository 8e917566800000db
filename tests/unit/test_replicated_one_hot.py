"""One-hot rows of secret codes against numpy, and their declared cost."""

from typing import Any

import numpy as np
import pytest

from mpc_engine.runtime.replicated.bits import Bits
from mpc_engine.runtime.replicated.core import Replicated
from mpc_engine.runtime.replicated.one_hot import one_hot, one_hot_cost
from mpc_kernels.bits import rows_to_planes
from tests.parties import run

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(3)


def shares(values: Array) -> list[Array]:
    parts = [RNG.integers(0, 2**64, values.shape, dtype=np.uint64) for _ in range(2)]
    parts.append(values.astype(np.uint64) - parts[0] - parts[1])
    return parts


@pytest.mark.parametrize("flagged", [False, True])
@pytest.mark.parametrize("domain", [2, 3, 4, 5, 7, 8, 100, 128])
@pytest.mark.parametrize("rows", [1, 63, 64, 200])
def test_equals_numpy_at_the_declared_cost(rows: int, domain: int, flagged: bool) -> None:
    code, keep = RNG.integers(0, domain, rows), RNG.random(rows) > 0.3
    if flagged:
        code[~keep] = RNG.integers(-(2**40), 2**40, int((~keep).sum()))  # whatever stands there
    parts = shares(code.view(np.uint64))
    planes = rows_to_planes(keep.astype(np.uint64).reshape(-1, 1), 1)
    masks = [RNG.integers(0, 2**64, planes.shape, dtype=np.uint64) for _ in range(2)]
    masks.append(planes ^ masks[0] ^ masks[1])

    def body(party: Replicated) -> Array:
        rank = party.rank
        flag = Bits(masks[rank], masks[(rank + 1) % 3], rows) if flagged else None
        return one_hot(party, np.stack([parts[rank], parts[(rank + 1) % 3]], axis=-1), domain, flag)

    done = run(body)
    got = sum(result[..., 0] for result in done.results)
    expected = (code[None] == np.arange(domain)[:, None]) & (keep if flagged else True)
    np.testing.assert_array_equal(got, expected.astype(np.uint64))
    declared = one_hot_cost(rows, domain, flag=flagged)
    rounds, sent = done.cost
    assert sent == declared.bytes_sent
    assert declared.rounds - 1 <= rounds <= declared.rounds  # one-way messages of two steps may overlap


def test_one_code_is_refused() -> None:
    with pytest.raises(ValueError, match="needs no bits"):
        run(lambda party: one_hot(party, np.zeros((3, 2), np.uint64), 1))
