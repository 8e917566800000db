"""Small arrays of a row's numbers: moved, summed up, multiplied with matrices. Rows are never mixed: there is one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpc_engine.frame.traced import logic, numbers
from mpc_engine.frame.traced.elements import Element, Maker

__all__ = ["ARRAYS", "Values", "is_known", "limited", "settled"]

Values = NDArray[Any]
"""An array of constants, or of objects: numpy scalars and expressions."""
_MOST = 4096
"""Numbers in an array that are not all constants."""


def is_known(values: Any) -> bool:
    """Whether all are constants."""
    return not (isinstance(values, np.ndarray) and values.dtype == object)


def settled(values: Values, dtype: Any) -> Values:
    """Objects as constants, if all are."""
    constant = all(isinstance(value, np.generic) for value in values.flat)
    return np.array(values.tolist(), dtype).reshape(values.shape) if constant else values


def _objects(values: Values) -> Values:
    made = np.empty(values.shape, object)
    for at in np.ndindex(values.shape):
        made[at] = values[at]
    return made


def limited(make: Maker, shape: Sequence[int]) -> None:
    """Refuse arrays that are too large to be written out."""
    if math.prod(shape) > _MOST:
        raise make.refused(f"an array of {math.prod(shape)} numbers in each row", f"at most {_MOST}")


Array = Callable[[Maker, Any, Sequence[Values]], Values]


# --- moved -----------------------------------------------------------------------------------------------------------


def _broadcast(make: Maker, eqn: Any, args: Sequence[Values]) -> Values:
    shape, axes = eqn.params["shape"], eqn.params["broadcast_dimensions"]
    inner: list[int] = [1] * len(shape)
    for axis, size in zip(axes, args[0].shape, strict=True):
        inner[axis] = size
    limited(make, shape)
    return np.broadcast_to(args[0].reshape(inner), shape)


def _reshaped(make: Maker, eqn: Any, args: Sequence[Values]) -> Values:
    return args[0].reshape(eqn.outvars[0].aval.shape)


def _joined(make: Maker, eqn: Any, args: Sequence[Values]) -> Values:
    return np.concatenate([_objects(part) for part in args], axis=eqn.params["dimension"])


def _moved(*data: int) -> Array:
    """A primitive that only moves the operands ``data``: it moves their places, and the numbers follow."""

    def rule(make: Maker, eqn: Any, args: Sequence[Values]) -> Values:
        pool: list[Any] = []
        operands: list[Any] = []
        for at, values in enumerate(args):
            if at in data:
                operands.append(np.arange(len(pool), len(pool) + values.size, dtype=np.int64).reshape(values.shape))
                pool += list(_objects(values).flat)
            elif is_known(values):
                operands.append(values)
            else:
                raise make.refused(f"{eqn.primitive.name!r} at a secret place", _PLACES)
        functions, params = eqn.primitive.get_bind_params(eqn.params)
        places = np.asarray(eqn.primitive.bind(*functions, *operands, **params))
        if places.size and not 0 <= places.min() <= places.max() < len(pool):
            raise make.refused(f"{eqn.primitive.name!r} outside of an array", "places that exist")
        flat = np.empty(places.size, object)
        for at, place in enumerate(places.ravel()):
            flat[at] = pool[place]
        return flat.reshape(places.shape)

    return rule


_PLACES = "jnp.where or jnp.select over the values that there are, or table[place] with one secret place"
_LONGEST = 64


def _slice_at(make: Maker, eqn: Any, args: Sequence[Values]) -> Values:
    """``table[place]``: every place is tried where one is secret; like JAX, the nearest that there is."""
    table, *starts = args
    secret = [axis for axis, start in enumerate(starts) if not is_known(start)]
    if not secret:
        return _moved(0)(make, eqn, args)
    sizes = eqn.params["slice_sizes"]
    (axis, *others) = secret
    count = table.shape[axis] - sizes[axis] + 1
    if others or count > _LONGEST:
        raise make.refused(
            "several secret places at once" if others else f"a secret place among {count}",
            f"{_PLACES} among at most {_LONGEST}",
        )
    found = []
    for place in range(count):
        here = [np.asarray(place) if at == axis else start for at, start in enumerate(starts)]
        clipped = [min(max(int(s), 0), n - size) for s, n, size in zip(here, table.shape, sizes, strict=True)]
        found.append(table[tuple(slice(s, s + size) for s, size in zip(clipped, sizes, strict=True))])
    made = np.empty(tuple(sizes), object)
    for at in np.ndindex(*sizes):
        made[at] = logic.selected(make, starts[axis].item(), [part[at] for part in found])
    return made


# --- combined --------------------------------------------------------------------------------------------------------

Join = Callable[[Element, Element], Element]


def _halved(join: Join, values: Sequence[Element]) -> Element:
    """All joined, neighbours first, so that as few as possible come one after another."""
    left = list(values)
    while len(left) > 1:
        pairs = [join(*left[at : at + 2]) for at in range(0, len(left) - 1, 2)]
        left = pairs + left[len(left) - len(left) % 2 :]
    return left[0]


def _join_of(make: Maker, eqn: Any, how: str) -> Join:
    flags = np.dtype(eqn.invars[0].aval.dtype).kind == "b"
    joins: dict[str, Join] = {
        "sum": lambda a, b: numbers.added(make, a, b),
        "prod": lambda a, b: numbers.product(make, a, b),
        "max": lambda a, b: logic.either(make, a, b) if flags else numbers.extreme(make, a, b, largest=True),
        "min": lambda a, b: logic.both(make, a, b) if flags else numbers.extreme(make, a, b, largest=False),
        "and": lambda a, b: logic.both(make, a, b),
        "or": lambda a, b: logic.either(make, a, b),
    }
    return joins[how]


def _alone(make: Maker, eqn: Any) -> Exception:
    return make.refused(
        f"{eqn.primitive.name!r} of one number",
        "the function sees one row at a time; totals of a column are df.c.sum(), df.c.cumsum() and so on",
    )


def _reduced(how: str) -> Array:
    def rule(make: Maker, eqn: Any, args: Sequence[Values]) -> Values:
        axes = tuple(eqn.params["axes"])
        if not axes:
            raise _alone(make, eqn)
        join = _join_of(make, eqn, how)
        front = np.moveaxis(args[0], axes, range(len(axes)))
        shape = front.shape[len(axes) :]
        made = np.empty(shape, object)
        flat = front.reshape((-1, *shape))
        for at in np.ndindex(shape):
            made[at] = _halved(join, [flat[(k, *at)] for k in range(len(flat))])
        return made

    return rule


def _running(how: str) -> Array:
    def rule(make: Maker, eqn: Any, args: Sequence[Values]) -> Values:
        axis, join = eqn.params["axis"], _join_of(make, eqn, how)
        if args[0].shape[axis] == 1:
            raise _alone(make, eqn)
        made = np.moveaxis(_objects(args[0]), axis, 0)
        made = made[::-1] if eqn.params["reverse"] else made
        for k in range(1, len(made)):
            for at in np.ndindex(made.shape[1:]):
                made[(k, *at)] = join(made[(k - 1, *at)], made[(k, *at)])
        return np.moveaxis(made[::-1] if eqn.params["reverse"] else made, 0, axis)

    return rule


def _first_extreme(*, largest: bool) -> Array:
    """The place of the largest or smallest number, of equal ones the first."""

    def rule(make: Maker, eqn: Any, args: Sequence[Values]) -> Values:
        (axis,) = eqn.params["axes"]
        front = np.moveaxis(args[0], axis, 0)
        made = np.empty(front.shape[1:], object)
        for at in np.ndindex(made.shape):
            made[at] = _place(make, [front[(k, *at)] for k in range(len(front))], largest=largest)
        return made

    return rule


def _place(make: Maker, values: Sequence[Element], *, largest: bool) -> Element:
    if any(make.nullable(value) for value in values):
        raise make.refused("the place of the largest of numbers that may be missing", "jnp.where(jnp.isnan(x), ...)")
    if all(make.type(value).kind == "bool" for value in values):
        found: Element = np.int64(0)
        for at, flag in reversed(list(enumerate(values))):
            found = logic.where(make, flag if largest else logic.inverted(make, flag), np.int64(at), found)
        return found
    best, place = values[0], np.int64(0)
    for at, value in enumerate(values[1:], 1):
        better = logic.compared(make, "gt" if largest else "lt", value, best)
        place = logic.where(make, better, np.int64(at), place)  # type: ignore[assignment]
        best = numbers.extreme(make, best, value, largest=largest)
    return place


def _matrix_product(make: Maker, eqn: Any, args: Sequence[Values]) -> Values:
    (contract, batch), shapes = eqn.params["dimension_numbers"], [part.shape for part in args]
    free = [
        [axis for axis in range(len(shape)) if axis not in (*inner, *outer)]
        for shape, inner, outer in zip(shapes, contract, batch, strict=True)
    ]
    sides = [
        np.transpose(part, (*first, *rest, *inner))
        for part, first, rest, inner in zip(args, batch, free, contract, strict=True)
    ]
    outer = tuple(shapes[0][axis] for axis in batch[0])
    ends = [tuple(shape[axis] for axis in rest) for shape, rest in zip(shapes, free, strict=True)]
    left, right = (side.reshape((*outer, *end, -1)) for side, end in zip(sides, ends, strict=True))
    made = np.empty((*outer, *ends[0], *ends[1]), object)
    for b in np.ndindex(outer):
        for i in np.ndindex(ends[0]):
            for j in np.ndindex(ends[1]):
                pairs = zip(left[(*b, *i)], right[(*b, *j)], strict=True)
                products = [numbers.product(make, x, y) for x, y in pairs]
                made[(*b, *i, *j)] = _halved(lambda x, y: numbers.added(make, x, y), products)
    return made


ARRAYS: Mapping[str, Array] = {
    "broadcast_in_dim": _broadcast,
    "reshape": _reshaped,
    "squeeze": _reshaped,
    "expand_dims": _reshaped,
    "concatenate": _joined,
    "transpose": _moved(0),
    "rev": _moved(0),
    "slice": _moved(0),
    "dynamic_slice": _slice_at,
    "dynamic_update_slice": _moved(0, 1),
    "gather": _moved(0),
    "scatter": _moved(0, 2),
    "pad": _moved(0, 1),
    **{f"reduce_{how}": _reduced(how) for how in ("sum", "prod", "max", "min", "and", "or")},
    **{f"cum{how}": _running(how) for how in ("sum", "prod", "max", "min")},
    "argmax": _first_extreme(largest=True),
    "argmin": _first_extreme(largest=False),
    "dot_general": _matrix_product,
}
"""Primitives on arrays."""
