"""Ranges of what is computed on shares: those of the true values, and their errors around them."""

from __future__ import annotations

import functools
import math

import msgspec

from mpc_compiler.check import schema_of
from mpc_compiler.ir import MAX_FLOAT, DType, Rel, Schema
from mpc_compiler.lower.error_bound import error_bound
from mpc_compiler.ops.arithmetic import SLACK

__all__ = ["reach_of"]


@functools.lru_cache(maxsize=4096)
def reach_of(rel: Rel) -> Schema:
    """The schema of a relation, whose floats may be as far outside their ranges as their error bounds say.

    Codes of sort keys, and whatever else has only as many bits as a range needs, are made for these ranges. What is off
    by less than half of what operators leave room for anyhow keeps its range.

    Examples
    --------
    >>> from mpc_compiler.ir import Field, Item, Project, Shared, call, column, make
    >>> shares = make(Shared("s", (Field("x", DType("float", lo=0.0, hi=9000.5), ("a",)),), ("x",), 100))
    >>> made = make(Project(shares, (Item("x", column("x")), Item("y", call("mul", column("x"), column("x"))))))
    >>> [field.dtype for field in reach_of(made)]
    [float[0..9000.5], float[-0.068676..8.1009e+07]]
    """
    errors = error_bound(rel)
    return Schema(tuple(msgspec.structs.replace(f, dtype=_reach(f.dtype, errors[f.name])) for f in schema_of(rel)))


def _reach(dtype: DType, error: float) -> DType:
    if dtype.kind != "float" or dtype.lo is None or dtype.hi is None or not SLACK / 2 < error < math.inf:
        return dtype
    lo, hi = max(dtype.lo - error, -MAX_FLOAT), min(dtype.hi + error, MAX_FLOAT)
    return msgspec.structs.replace(dtype, lo=float(lo), hi=float(hi))
