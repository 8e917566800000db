"""Aggregate functions as users name them: text, numpy's and Python's own, or a function of the group's column."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mpc_compiler.errors import SchemaError, UnsupportedError

__all__ = ["FUNCTIONS", "Statistic", "degrees", "distinct_values", "level", "statistic"]

FUNCTIONS = (
    "sum", "mean", "count", "size", "min", "max", "var", "std", "median", "quantile", "nunique", "first", "last",
)  # fmt: skip
"""Aggregate functions of frames."""


@dataclass(frozen=True)
class Statistic:
    """A function and its parameter.

    ``param`` is the level of a quantile, the ``ddof`` of a variance, and for ``nunique`` 1 if missing values count.
    """

    function: str
    param: float | None = None

    @property
    def plain(self) -> bool:
        """Whether it is one aggregate of the plan."""
        return self.function not in ("var", "std") and not (self.function == "nunique" and self.param)


def statistic(how: Any) -> Statistic:
    """The function that ``how`` names, or that it calls: ``"sum"``, ``np.sum``, ``lambda c: c.quantile(0.9)``.

    Raises
    ------
    UnsupportedError
        For a function that is not offered, or a callable that computes anything else.

    Examples
    --------
    >>> statistic("std"), statistic(lambda c: c.quantile(0.9))
    (Statistic(function='std', param=1), Statistic(function='quantile', param=0.9))
    """
    if callable(how):
        name = getattr(how, "__name__", "")
        how = {"amin": "min", "amax": "max", "len": "size"}.get(name, name) if name != "<lambda>" else how(_Group())
        if isinstance(how, Statistic):
            return how
    if not isinstance(how, str) or how not in FUNCTIONS:
        near = difflib.get_close_matches(str(how), FUNCTIONS, n=1)
        raise UnsupportedError(
            f"aggregate {how!r} is not supported" if isinstance(how, str) else "this function is no aggregate",
            code="MPC-0304",
            hint=f"did you mean {near[0]!r}?" if near else f"supported: {', '.join(FUNCTIONS)}",
        )
    return _DEFAULTS.get(how, Statistic(how))


_DEFAULTS = {
    "var": Statistic("var", 1),
    "std": Statistic("std", 1),
    "quantile": Statistic("quantile", 0.5),
}


class _Group:
    """Stands for a group's column in a function of the user, and writes down what is called."""

    def __getattr__(self, name: str) -> Callable[..., Statistic]:
        found = statistic(name)
        return lambda *args, **options: _with(found, *args, **options)


def _with(found: Statistic, *args: Any, **options: Any) -> Statistic:
    if found.function == "quantile":
        return Statistic("quantile", level(*args, **options))
    if found.function in ("var", "std"):
        return Statistic(found.function, degrees(*args, **options))
    if found.function == "nunique":
        return Statistic("nunique", _missing_too(*args, **options))
    if args or options:
        raise UnsupportedError(f"{found.function} takes no options here", code="MPC-0301", hint="leave them out")
    return found


def level(q: float = 0.5, interpolation: str = "linear") -> float:
    """A quantile's level.

    Raises
    ------
    SchemaError, UnsupportedError
        When it is not from 0 to 1; for other ways to interpolate.
    """
    if interpolation != "linear":
        raise UnsupportedError(
            f"quantile(interpolation={interpolation!r}) is not supported", code="MPC-0301", hint="linear"
        )
    if isinstance(q, bool) or not isinstance(q, int | float) or not 0 <= q <= 1:
        raise SchemaError(f"a quantile's level is a number from 0 to 1, not {q!r}", code="MPC-0105")
    return float(q)


def degrees(ddof: int = 1) -> int:
    """Rows that a variance has less: 0 or 1.

    Raises
    ------
    UnsupportedError
        For any other.
    """
    if ddof not in (0, 1):
        raise UnsupportedError(f"ddof={ddof!r} is not supported", code="MPC-0301", hint="ddof=1, or 0 for all rows")
    return ddof


def _missing_too(dropna: bool = True) -> int | None:
    return None if dropna else 1


def distinct_values(*, dropna: bool = True) -> Statistic:
    """``nunique``, which may count a missing value as one more."""
    return Statistic("nunique", _missing_too(dropna))
