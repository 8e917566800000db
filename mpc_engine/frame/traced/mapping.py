"""``DataFrame.map_jax``: what goes in, what comes out, and what is said when it cannot be read."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import enable_x64

from mpc_compiler.check import schema_of
from mpc_compiler.errors import SchemaError, UnsupportedError
from mpc_compiler.ir import DType, Expr, Rel, call
from mpc_compiler.ir.parts import apart
from mpc_engine.frame.base import extended, named_by
from mpc_engine.frame.constants import constant
from mpc_engine.frame.place import mark
from mpc_engine.frame.traced.arrays import Values, is_known
from mpc_engine.frame.traced.elements import Maker
from mpc_engine.frame.traced.lines import place_of_error
from mpc_engine.frame.traced.reader import Reader

__all__ = ["Outputs", "read_function"]

Outputs = tuple[Rel, "Expr | dict[str, Expr]"]
"""A relation, and one column over it or several by name."""


def read_function(fn: Callable[..., Any], base: Rel, arguments: Sequence[tuple[str, Expr, DType]]) -> Outputs:
    """The results of a function of columns, as expressions over a relation.

    Parameters
    ----------
    fn : callable
        Of one scalar a column; see :meth:`mpc_engine.DataFrame.map_jax`.
    base : Rel
        Rows.
    arguments : sequence of (str, Expr, DType)
        Columns over ``base``, with their names.

    Raises
    ------
    SchemaError
        MPC-0103, MPC-0126.
    UnsupportedError
        MPC-0310, MPC-0318.
    """
    specs = [jax.ShapeDtypeStruct((), _jax_type(name, dtype)) for name, _, dtype in arguments]
    _takes(fn, [name for name, _, _ in arguments])
    with enable_x64():
        closed, shape = _traced(fn, specs)
        make = Maker(schema_of(base))
        values = [np.array(None, object) for _ in specs]
        for value, (_, expr, _) in zip(values, arguments, strict=True):
            value[()] = expr
        found = Reader(make).read(closed, values)
    names = _names(shape)
    for name, aval in zip(names, closed.out_avals, strict=True):
        _one_number(name, aval)
    columns = [_put_out(make, value, aval.dtype) for value, aval in zip(found, closed.out_avals, strict=True)]
    levels, made = apart(dict(zip(names, columns, strict=True)), lambda part: named_by("~part", part))
    for level in levels:
        known = schema_of(base).names
        base = mark(extended(base, {name: part for name, part in level.items() if name not in known}))
    return base, made if isinstance(shape, dict | tuple | list) else made[_ONLY]


# --- arguments -------------------------------------------------------------------------------------------------------

_HINTS = {
    "string": "compare it with a constant first: df.assign(car=df.purpose == 'car'); or df.purpose.map({...})",
    "date": "parts of dates or numbers of days: df.d.dt.year, df.d - df.e",
    "timestamp": "parts of dates or numbers of days: df.d.dt.year, df.d - df.e",
    "bool": "fillna(False) first",
}


def _jax_type(name: str, dtype: DType) -> np.dtype[Any]:
    """What ``collect()`` would give: whole numbers of which some may be missing are floats."""
    if dtype.kind in ("int", "bool") and not dtype.nullable:
        return np.dtype(np.bool_ if dtype.kind == "bool" else np.int64)
    if dtype.kind in ("int", "float", "decimal"):
        return np.dtype(np.float64)
    missing = " with missing values" if dtype.kind == "bool" else ""
    raise SchemaError(
        f"column {name!r} is a {dtype.kind}{missing}, of which JAX has no numbers",
        code="MPC-0103",
        hint=_HINTS[dtype.kind],
    )


def _takes(fn: Callable[..., Any], names: Sequence[str]) -> None:
    if not callable(fn):
        raise SchemaError(f"map_jax needs a function, not a {type(fn).__name__}", code="MPC-0126")
    if not names:
        raise SchemaError("map_jax needs columns", code="MPC-0126", hint="df.map_jax(fn, ['income', 'debt'])")
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*names)
    except TypeError as error:
        raise SchemaError(
            f"the function does not take {', '.join(names)} as its arguments: {error}",
            code="MPC-0126",
            hint="as many columns as the function has parameters, in their order",
        ) from None


# --- tracing ---------------------------------------------------------------------------------------------------------


def _traced(fn: Callable[..., Any], specs: Sequence[jax.ShapeDtypeStruct]) -> tuple[Any, Any]:
    """The jaxpr, and the results in the form in which the function returns them."""
    shapes: list[Any] = []

    def kept(*args: Any) -> Any:
        made = fn(*args)
        wrong = _wrong_result(made)
        shapes.append(wrong or (made if isinstance(made, dict | tuple | list) else None))
        return [] if wrong else list(made.values()) if isinstance(made, dict) else made

    try:
        closed = jax.make_jaxpr(kept)(*specs)
    except jax.errors.TracerArrayConversionError as error:
        raise UnsupportedError(
            "a function of map_jax gave its arguments to numpy",
            code="MPC-0318",
            hint="jax.numpy has the same functions: jnp.log instead of np.log",
            where=place_of_error(error.__traceback__),
        ) from error
    except _DECISIONS as error:
        raise UnsupportedError(
            "a function of map_jax asked for a value, as an if, float() or a slice does",
            code="MPC-0310",
            hint="jnp.where(condition, x, y), x.astype(float), and functions of jax.numpy",
            where=place_of_error(error.__traceback__),
        ) from error
    except Exception as error:
        error.add_note("map_jax calls the function with one row: every argument is one number, without rows or axes")
        raise
    if isinstance(shapes[-1], SchemaError):
        raise shapes[-1]
    return closed, shapes[-1]


_DECISIONS = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.NonConcreteBooleanIndexError,
)


def _wrong_result(made: Any) -> SchemaError | None:
    """What is wrong with a result that is no number, and no dict, tuple or list of numbers."""
    values = list(made.values()) if isinstance(made, dict) else made if isinstance(made, tuple | list) else [made]
    said = "" if values else "no column"
    for name in made if isinstance(made, dict) else ():
        if not isinstance(name, str):
            said = f"a dict with the key {name!r}"
    for value in values:
        if not isinstance(value, bool | int | float | np.generic | np.ndarray | jax.Array):
            said = said or f"a {type(value).__name__}"
    hint = "a number for each row, or a dict or tuple of them, by names of columns"
    return SchemaError(f"the function returns {said}", code="MPC-0126", hint=hint) if said else None


_ONLY = "value"


def _names(shape: Any) -> list[str]:
    if isinstance(shape, dict):
        return list(shape)
    if isinstance(shape, tuple) and hasattr(shape, "_fields"):
        return list(shape._fields)
    return [_ONLY] if shape is None else [str(at) for at in range(len(shape))]


def _one_number(name: str, aval: Any) -> None:
    if aval.shape:
        which = "" if name == _ONLY else f" as {name!r}"
        raise SchemaError(
            f"the function returns an array of shape {aval.shape}{which}: a row has one number in a column",
            code="MPC-0126",
            hint="a reduction of it, or a dict or tuple of its numbers",
        )


def _put_out(make: Maker, value: Values, dtype: Any) -> Expr:
    """A result in the kind that JAX gives it; decimals stay exact."""
    floats = np.dtype(dtype).kind == "f"
    if is_known(value):
        return constant(float(value) if floats else value.item())
    expr: Expr = value.item()
    return call("float", expr) if floats and make.type(expr).kind in ("int", "bool") else expr
