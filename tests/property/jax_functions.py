"""Random functions for ``map_jax``: steps of its closed list over columns of eighths, which doubles and shares hold.

What is exact on shares is tracked, since a difference in the last bit may otherwise become another decision: products
of floats and fractions of constants are not, and are neither compared nor rounded afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
from hypothesis import strategies as st
from jax import lax

__all__ = ["COLUMNS", "Function", "functions", "table"]

COLUMNS = ("k", "n", "x", "g", "m", "f")
ROWS = 24


def table(seed: int) -> pd.DataFrame:
    """Whole numbers, eighths, gaps in both, and flags."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "k": rng.integers(-9, 10, ROWS),
            "n": rng.integers(0, 4, ROWS),
            "x": rng.integers(-40, 41, ROWS) / 8,
            "g": np.where(rng.random(ROWS) < 0.25, np.nan, rng.integers(-20, 21, ROWS) / 8),
            "m": pd.array(np.where(rng.random(ROWS) < 0.25, None, rng.integers(-9, 10, ROWS)), dtype="Int64"),
            "f": rng.random(ROWS) < 0.5,
        }
    )
    return frame.assign(id=rng.permutation(ROWS))


@dataclass(frozen=True)
class Kind:
    """What is known of a value: int, float or bool, perhaps missing, exact on shares, binary digits, size."""

    kind: str
    nullable: bool = False
    exact: bool = True
    bits: int = 0
    size: float = 64.0


_KINDS = {
    "k": Kind("i"),
    "n": Kind("i"),
    "x": Kind("f", bits=3),
    "g": Kind("f", nullable=True, bits=3),
    "m": Kind("f", nullable=True),
    "f": Kind("b"),
}


@dataclass(frozen=True)
class Step:
    """One step: what it computes of earlier values, by their numbers."""

    name: str
    of: tuple[int, ...]
    apply: Callable[..., Any]


@dataclass(frozen=True, repr=False)
class Function:
    """A function of the columns, by its steps; returns the last values."""

    columns: tuple[str, ...]
    steps: tuple[Step, ...]
    returns: tuple[int, ...]

    def __call__(self, *args: Any) -> dict[str, Any]:
        values = list(args)
        for step in self.steps:
            values.append(step.apply(*(values[at] for at in step.of)))
        return {f"v{at}": values[at] for at in self.returns}

    def __repr__(self) -> str:
        names = [*self.columns, *(f"v{at}" for at in range(len(self.columns), len(self.columns) + len(self.steps)))]
        lines = [f"v{at} = {step.name}({', '.join(names[of] for of in step.of)})" for at, step in
                 enumerate(self.steps, len(self.columns))]  # fmt: skip
        return "; ".join([f"({', '.join(self.columns)})", *lines, f"return {self.returns}"])


Made = tuple[Step, Kind]
Maker = Callable[[st.DrawFn, Sequence[Kind]], "Made | None"]


def _pick(draw: st.DrawFn, kinds: Sequence[Kind], want: Callable[[Kind], bool]) -> int | None:
    """One of the values, mostly a late one."""
    found = [at for at, kind in enumerate(kinds) if want(kind)]
    return draw(st.sampled_from([*found[:-2], *found[-2:] * 4])) if found else None


def _number(kind: Kind) -> bool:
    return kind.kind in "if"


def _exact(kind: Kind) -> bool:
    return _number(kind) and kind.exact


def _joined(*kinds: Kind, **changes: Any) -> Kind:
    kind = "f" if any(k.kind == "f" for k in kinds) else "i"
    found = {
        "nullable": any(k.nullable for k in kinds),
        "exact": all(k.exact for k in kinds),
        "bits": max(k.bits for k in kinds),
        "size": max(k.size for k in kinds),
    }
    return Kind(kind, **(found | changes))


_SUMS = {"add": jnp.add, "sub": jnp.subtract}
_PICKS = {"maximum": jnp.maximum, "minimum": jnp.minimum}
_ORDERS = {
    "==": jnp.equal, "!=": jnp.not_equal, "<": jnp.less, "<=": jnp.less_equal, ">": jnp.greater, ">=": jnp.greater_equal
}  # fmt: skip
_CONSTANTS = st.sampled_from([-7, -2, 0, 1, 3, 5])


def _sum(draw: st.DrawFn, kinds: Sequence[Kind]) -> Made | None:
    a, b = _pick(draw, kinds, _number), _pick(draw, kinds, _number)
    if a is None or b is None:
        return None
    name = draw(st.sampled_from(list(_SUMS)))
    return Step(name, (a, b), _SUMS[name]), _joined(kinds[a], kinds[b], size=kinds[a].size + kinds[b].size)


def _constant(draw: st.DrawFn, kinds: Sequence[Kind]) -> Made | None:
    """With a constant on either side; whole factors are exact."""
    a, c = _pick(draw, kinds, _number), draw(_CONSTANTS)
    if a is None or kinds[a].size > 1e4:
        return None
    shown = draw(st.sampled_from(["+ c", "c -", "* c"]))
    apply = {"+ c": lambda v: v + c, "c -": lambda v: c - v, "* c": lambda v: v * c}[shown]
    return Step(f"{shown} [{c}]", (a,), apply), _joined(kinds[a], size=kinds[a].size * 7 + 7)


def _product(draw: st.DrawFn, kinds: Sequence[Kind]) -> Made | None:
    a, b = _pick(draw, kinds, _number), _pick(draw, kinds, _number)
    if a is None or b is None or kinds[a].size * kinds[b].size > 1e5 or kinds[a].bits + kinds[b].bits > 30:
        return None
    made = _joined(kinds[a], kinds[b], bits=kinds[a].bits + kinds[b].bits, size=kinds[a].size * kinds[b].size)
    exact = made.kind == "i" and made.exact
    return Step("mul", (a, b), jnp.multiply), _joined(made, exact=exact)


def _half(draw: st.DrawFn, kinds: Sequence[Kind]) -> Made | None:
    a = _pick(draw, kinds, lambda k: _number(k) and k.bits < 20)
    if a is None:
        return None
    made = _joined(kinds[a], exact=False, bits=kinds[a].bits + 2)
    return Step("/ 4", (a,), lambda v: v / 4), Kind("f", made.nullable, False, made.bits, made.size)


def _unary(draw: st.DrawFn, kinds: Sequence[Kind]) -> Made | None:
    a = _pick(draw, kinds, _number)
    if a is None:
        return None
    name = draw(st.sampled_from(["negative", "abs", "square"]))
    if name == "square":
        return _product(draw, [kinds[a]]) and (
            Step(name, (a,), jnp.square),
            _joined(kinds[a], bits=2 * kinds[a].bits, size=kinds[a].size ** 2,
                    exact=kinds[a].exact and kinds[a].kind == "i"),
        )  # fmt: skip
    return Step(name, (a,), getattr(jnp, name)), kinds[a]


def _extreme(draw: st.DrawFn, kinds: Sequence[Kind]) -> Made | None:
    a, b = _pick(draw, kinds, _number), _pick(draw, kinds, _number)
    if a is None or b is None:
        return None
    name = draw(st.sampled_from(list(_PICKS)))
    return Step(name, (a, b), _PICKS[name]), _joined(kinds[a], kinds[b])


def _clip(draw: st.DrawFn, kinds: Sequence[Kind]) -> Made | None:
    a = _pick(draw, kinds, _number)
    if a is None:
        return None
    low, high = sorted((draw(_CONSTANTS), draw(_CONSTANTS)))
    low_, high_ = draw(st.sampled_from([(low, high), (low, None), (None, high)]))
    return Step(f"clip [{low_}, {high_}]", (a,), lambda v: jnp.clip(v, low_, high_)), _joined(kinds[a])


def _compare(draw: st.DrawFn, kinds: Sequence[Kind]) -> Made | None:
    a = _pick(draw, kinds, _exact)
    if a is None:
        return None
    name = draw(st.sampled_from(list(_ORDERS)))
    if draw(st.booleans()):
        c = draw(st.sampled_from([-2, 0, 0.375, 3]))
        return Step(f"{name} {c}", (a,), lambda v: _ORDERS[name](v, c)), Kind("b")
    b = _pick(draw, kinds, _exact)
    assert b is not None
    return Step(name, (a, b), _ORDERS[name]), Kind("b")


def _logic(draw: st.DrawFn, kinds: Sequence[Kind]) -> Made | None:
    a, b = (_pick(draw, kinds, lambda k: k.kind == "b") for _ in "ab")
    if a is None or b is None:
        return None
    name = draw(st.sampled_from(["logical_and", "logical_or", "logical_xor", "logical_not"]))
    return Step(name, (a,) if name == "logical_not" else (a, b), getattr(jnp, name)), Kind("b")


def _choice(draw: st.DrawFn, kinds: Sequence[Kind]) -> Made | None:
    test, a, b = _pick(draw, kinds, lambda k: k.kind == "b"), _pick(draw, kinds, _number), _pick(draw, kinds, _number)
    if test is None or a is None or b is None:
        return None
    made = _joined(kinds[a], kinds[b])
    name = draw(st.sampled_from(["where", "cond", "nan"]))
    if name == "where":
        return Step(name, (test, a, b), jnp.where), made
    if name == "nan":
        missing = Kind("f", True, kinds[a].exact, kinds[a].bits, kinds[a].size)
        return Step(name, (test, a), lambda t, v: jnp.where(t, v, jnp.nan)), missing

    def branches(t: Any, u: Any, v: Any) -> Any:
        u, v = jnp.broadcast_arrays(u * 1.0, v * 1.0)
        return lax.cond(t, lambda p, q: p - 1, lambda p, q: -q, u, v)

    return Step(name, (test, a, b), branches), Kind("f", made.nullable, made.exact, made.bits, made.size + 1)


def _rounding(draw: st.DrawFn, kinds: Sequence[Kind]) -> Made | None:
    a = _pick(draw, kinds, _exact)
    if a is None:
        return None
    name = draw(st.sampled_from(["floor", "ceil", "round", "trunc", "sign"]))
    kind = "f" if name in ("floor", "ceil", "trunc") else kinds[a].kind
    size = 1.0 if name == "sign" else kinds[a].size + 1
    return Step(name, (a,), getattr(jnp, name)), Kind(kind, kinds[a].nullable, True, 0, size)


def _conversion(draw: st.DrawFn, kinds: Sequence[Kind]) -> Made | None:
    name = draw(st.sampled_from(["int", "float", "bool"]))
    a = _pick(draw, kinds, lambda k: k.exact and not (name == "int" and k.nullable))
    if a is None:
        return None
    to = {"int": int, "float": float, "bool": bool}[name]
    if name == "bool":
        return Step(name, (a,), lambda v: v.astype(to)), Kind("b")
    size = 1.0 if kinds[a].kind == "b" else kinds[a].size
    kind = Kind("i", size=size) if name == "int" else Kind("f", kinds[a].nullable, True, kinds[a].bits, size)
    return Step(name, (a,), lambda v: v.astype(to)), kind


def _missing(draw: st.DrawFn, kinds: Sequence[Kind]) -> Made | None:
    a = _pick(draw, kinds, lambda k: k.kind == "f")
    if a is None:
        return None
    if draw(st.booleans()):
        return Step("isnan", (a,), jnp.isnan), Kind("b")
    return Step("nan_to_num", (a,), jnp.nan_to_num), _joined(kinds[a], nullable=False)


def _division(draw: st.DrawFn, kinds: Sequence[Kind]) -> Made | None:
    """Whole-numbered: rounding down, or towards 0."""
    a = _pick(draw, kinds, lambda k: k.kind == "i")
    if a is None:
        return None
    by, name = draw(st.sampled_from([-3, 2, 5])), draw(st.sampled_from(["//", "%", "div", "rem"]))
    apply = {
        "//": lambda v: v // by, "%": lambda v: v % by, "div": lambda v: lax.div(v, jnp.int64(by)),
        "rem": lambda v: lax.rem(v, jnp.int64(by)),
    }[name]  # fmt: skip
    return Step(f"{name} {by}", (a,), apply), kinds[a]


def _vector(draw: st.DrawFn, kinds: Sequence[Kind]) -> Made | None:
    """Sums, extremes and places of small arrays."""
    name = draw(st.sampled_from(["sum", "max", "min", "dot", "argmax", "cumsum", "any"]))
    if name == "any":
        of = [_pick(draw, kinds, lambda k: k.kind == "b") for _ in "abc"]
    elif name == "argmax":
        of = [_pick(draw, kinds, lambda k: _exact(k) and not k.nullable) for _ in "abc"]
    else:
        of = [_pick(draw, kinds, lambda k: _number(k) and k.size < 1e5) for _ in "abc"]
    if None in of:
        return None
    at = tuple(place for place in of if place is not None)
    apply = {
        "sum": lambda *v: jnp.sum(jnp.stack(v)), "max": lambda *v: jnp.max(jnp.stack(v)),
        "min": lambda *v: jnp.min(jnp.stack(v)), "dot": lambda *v: jnp.stack(v) @ jnp.array([2, -1, 3]),
        "argmax": lambda *v: jnp.argmax(jnp.stack(v)), "cumsum": lambda *v: jnp.cumsum(jnp.stack(v))[1],
        "any": lambda *v: jnp.any(jnp.stack(v)),
    }[name]  # fmt: skip
    if name in ("any", "argmax"):
        return Step(name, at, apply), Kind("b" if name == "any" else "i", size=2.0)
    made = _joined(*(kinds[place] for place in at))
    return Step(name, at, apply), _joined(made, size=made.size * 6)


def _table(draw: st.DrawFn, kinds: Sequence[Kind]) -> Made | None:
    a = _pick(draw, kinds, lambda k: k.kind == "i")
    if a is None:
        return None
    values = np.array([0.5, -2.0, 7.25, 3.0])
    if draw(st.booleans()):
        return Step("table", (a,), lambda v: jnp.array(values)[v]), Kind("f", bits=2, size=8.0)

    def chosen(v: Any) -> Any:
        return lax.switch(v, [lambda w: w * 2, lambda w: -w, lambda w: w + 5], v)

    return Step("switch", (a,), chosen), _joined(kinds[a], size=kinds[a].size * 2 + 5)


def _loop(draw: st.DrawFn, kinds: Sequence[Kind]) -> Made | None:
    a, b = (_pick(draw, kinds, lambda k: _number(k) and k.size < 1e3) for _ in "ab")
    if a is None or b is None:
        return None

    def grown(v: Any, w: Any) -> Any:
        return lax.fori_loop(0, 3, lambda at, s: jnp.minimum(s * 2 - w, 99.0) + at, v * 1.0 + w * 0.0)

    made = _joined(kinds[a], kinds[b], size=1e4)
    return Step("loop", (a, b), grown), Kind("f", made.nullable, made.exact, made.bits, made.size)


_MAKERS: tuple[Maker, ...] = (
    _sum, _constant, _product, _half, _unary, _extreme, _clip, _compare, _compare, _logic, _choice, _choice, _rounding,
    _conversion, _missing, _division, _vector, _table, _loop,
)  # fmt: skip


@st.composite
def functions(draw: st.DrawFn, most: int = 9) -> Function:
    """A function of all columns of two tables, of up to ``most`` steps."""
    names = draw(st.lists(st.sampled_from([f"{side}_{name}" for side in "ab" for name in COLUMNS]), min_size=3,
                          max_size=5, unique=True))  # fmt: skip
    kinds, steps = [_KINDS[name[2:]] for name in names], list[Step]()
    for _ in range(draw(st.integers(4, most))):
        made = draw(st.sampled_from(_MAKERS))(draw, kinds)
        if made is not None:
            steps.append(made[0])
            kinds.append(made[1])
    last = range(len(kinds) - 1, max(len(kinds) - 4, -1), -1)
    return Function(tuple(names), tuple(steps), tuple(last))
