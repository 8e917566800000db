"""Group-by, join, selection, radix sort, scans and the exponential end in a typed error when a party dies."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mpc_engine.runtime.replicated.arithmetic import Pairs
from mpc_engine.runtime.replicated.bits import constant
from mpc_engine.runtime.replicated.core import Replicated
from mpc_engine.runtime.replicated.exponential import exp
from mpc_engine.runtime.replicated.group import Extreme, group_by
from mpc_engine.runtime.replicated.histogram import bincount_known
from mpc_engine.runtime.replicated.known import permute_known
from mpc_engine.runtime.replicated.lookup import lookup
from mpc_engine.runtime.replicated.minmax_scan import segment_extreme
from mpc_engine.runtime.replicated.radix import radix_order
from mpc_engine.runtime.replicated.topk import top_k
from tests.unit.test_replicated_arith import channels, dead_peer

ROWS = np.arange(100)


def own(p: Replicated, values: np.ndarray) -> Any:
    return values if p.rank == 1 else None


OPERATIONS: dict[str, Callable[[Replicated, Pairs], object]] = {
    "group_by": lambda p, x: group_by(p, constant(p, ROWS, 7), [x], [Extreme(constant(p, ROWS, 7))]),
    "lookup": lambda p, x: lookup(p, constant(p, ROWS, 7), constant(p, ROWS, 7), [x]),
    "lookup by comparing": lambda p, x: lookup(p, constant(p, ROWS[:9], 7), constant(p, ROWS, 7), [x[:9]]),
    "top_k": lambda p, x: top_k(p, constant(p, ROWS, 7), [x], k=3),
    "radix": lambda p, x: radix_order(p, constant(p, ROWS, 7)),
    "extreme": lambda p, x: segment_extreme(p, x, x, op="max", bits=9),
    "exp": exp,
    "permute": lambda p, x: permute_known(p, 1, own(p, ROWS.astype(np.uint32)), [x], rows=100),
    "bincount": lambda p, x: bincount_known(p, 1, own(p, ROWS), x, size=4),
}


@pytest.mark.parametrize("name", list(OPERATIONS))
@pytest.mark.parametrize("victim", [0, 1, 2])
def test_a_dead_peer_is_a_typed_error(name: str, victim: int) -> None:
    with channels("memory") as make:
        dead_peer(make, OPERATIONS[name], victim)
