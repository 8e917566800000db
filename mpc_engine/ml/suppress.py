"""Small groups are left out before anything opens, so that sums over all rows do not give them away."""

from __future__ import annotations

from collections.abc import Sequence

from mpc_compiler.errors import SchemaError
from mpc_compiler.ir import Rel
from mpc_engine.frame.base import Lazy, identity
from mpc_engine.frame.dataframe import DataFrame
from mpc_engine.frame.over import Over

__all__ = ["least_of", "without_small"]

_LARGE = 1 << 40


def least_of(min_count: int) -> int:
    """The least number of rows, checked."""
    if not isinstance(min_count, int) or isinstance(min_count, bool) or min_count < 1:
        raise SchemaError(f"min_count must be a number of rows, not {min_count!r}", code="MPC-0120")
    return min_count


def without_small(of: Lazy, groups: Rel, counts: Sequence[str], least: int) -> Rel:
    """The groups with at least ``least`` rows in each of their ``counts``; the others are dropped on shares.

    Where all rows together are known, groups that were dropped follow from the others if they are few. So the smallest
    of the groups that could stay is dropped, too, if those that are too small have some, but fewer than ``least`` rows
    together (complementary suppression; Hundepool et al., "Statistical Disclosure Control", 2012, section 4.2).

    Parameters
    ----------
    of : Lazy
        Of the same session.
    groups : Rel
        One row a group.
    counts : sequence of str
        Columns with numbers of rows.
    least : int
    """
    table = DataFrame(of._session, groups, identity(groups))
    small = table[counts[0]] < least
    for name in counts[1:]:
        small = small | (table[name] < least)
    place = table[counts[0]].mask(small, _LARGE).rank(method="first")
    extra = None
    for name in counts:
        lost = table[name].where(small, 0)._windowed(lambda base, expr: Over(base, ()).total(expr, "sum"))
        told = (lost > 0) & (lost < least)
        extra = told if extra is None else extra | told
    kept: DataFrame = table[~small & ~((place == 1) & extra)]
    return kept._rel
