"""What ``map_jax`` refuses, in whose line; that the function is called once, here; and that the plan is data."""

from __future__ import annotations

import inspect
import json
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from jax import lax

import mpc_engine as mpc
from mpc_compiler.check.scalars import SCALARS
from mpc_compiler.serde import decode_plan, encode_plan
from mpc_engine.errors import MpcError, RangeError, SchemaError, UnsupportedError
from tests.conftest import SessionFor

LOANS = pd.DataFrame(
    {
        "id": [1, 2, 3, 4],
        "x": [0.5, -1.25, 2.0, 3.5],
        "n": [1, 4, 2, 3],
        "big": [10**9, 2, 3, 4],
        "text": ["car", "house", "car", "boat"],
        "day": pd.to_datetime(["2024-01-01"] * 4),
        "flag": pd.array([True, None, False, True], dtype="boolean"),
        "ref": pd.array([1, None, 3, 4], dtype="Int64"),
    }
)
OTHER = pd.DataFrame({"id": [4, 3, 2, 1], "y": [0.5, 1.0, 1.5, 2.0]})


@pytest.fixture(scope="module")
def session() -> Iterator[mpc.Session]:
    with mpc.Session.local({"a": {"t": LOANS}, "b": {"u": OTHER}}, protocol="plaintext", executor="threads") as made:
        yield made


@pytest.fixture
def loans(session: mpc.Session) -> mpc.DataFrame:
    return session.table("a.t")


@pytest.fixture
def joint(session: mpc.Session) -> mpc.DataFrame:
    return session.table("a.t").merge(session.table("b.u"), on="id")


def refused(kind: type[MpcError], code: str, message: str, act: Callable[[], Any]) -> MpcError:
    with pytest.raises(kind, match=re.escape(message)) as caught:
        act()
    assert caught.value.code == code
    assert caught.value.where.startswith(__file__), caught.value.where
    return caught.value


# --- columns and results ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "message", "hint"),
    [
        ("text", "column 'text' is a string, of which JAX has no numbers", "df.purpose.map"),
        ("day", "column 'day' is a timestamp, of which JAX has no numbers", "df.d.dt.year"),
        ("flag", "column 'flag' is a bool with missing values, of which JAX has no numbers", "fillna(False)"),
    ],
)
def test_columns_that_jax_has_no_numbers_for(loans: mpc.DataFrame, column: str, message: str, hint: str) -> None:
    assert hint in refused(SchemaError, "MPC-0103", message, lambda: loans.map_jax(lambda x: x, column)).hint


def test_unknown_columns(loans: mpc.DataFrame) -> None:
    error = refused(SchemaError, "MPC-0102", "no column 'bigg'", lambda: loans.map_jax(lambda x: x, ["bigg"]))
    assert error.hint == "did you mean 'big'?"


@pytest.mark.parametrize(
    ("function", "columns", "message"),
    [
        (3, ["x"], "map_jax needs a function, not a int"),
        (lambda: 3, [], "map_jax needs columns"),
        (lambda x, y: x, ["x"], "the function does not take x as its arguments: missing a required argument: 'y'"),
        (lambda x: x, ["x", "n"], "the function does not take x, n as its arguments: too many positional arguments"),
        (lambda x: None, ["x"], "the function returns a NoneType"),
        (lambda x: "a", ["x"], "the function returns a str"),
        (lambda x: {}, ["x"], "the function returns no column"),
        (lambda x: {3: x}, ["x"], "the function returns a dict with the key 3"),
        (lambda x: {"a": {"b": x}}, ["x"], "the function returns a dict"),
        (lambda x: jnp.stack([x, x]), ["x"], "the function returns an array of shape (2,): a row has one number"),
        (lambda x: {"a": x, "b": x * jnp.ones((1, 2))}, ["x"], "the function returns an array of shape (1, 2) as 'b'"),
    ],
)
def test_wrong_calls(loans: mpc.DataFrame, function: Any, columns: list[str], message: str) -> None:
    refused(SchemaError, "MPC-0126", message, lambda: loans.map_jax(function, columns))


# --- steps -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "message", "hint"),
    [
        (jnp.sin, "map_jax does not offer the step 'sin'", "let the owner compute it"),
        (lambda x: jnp.sort(jnp.stack([x, -x]))[0], "does not offer the step 'sort'", "jnp.minimum and jnp.maximum"),
        (lambda x: x + lax.cumlogsumexp(jnp.stack([x, x]))[0], "the step 'cumlogsumexp'", "offered: abs, add, and"),
        (jnp.mean, "'reduce_sum' of one number", "the function sees one row at a time; totals of a column are"),
        (lambda x: x / jnp.max(x), "'reduce_max' of one number", "df.c.sum()"),
        (lambda x: jnp.cumsum(x)[0], "'cumsum' of one number", "df.c.cumsum()"),
        (lambda x: jax.pure_callback(abs, jax.ShapeDtypeStruct((), "float64"), x), "'pure_callback'", "no Python"),
        (lambda x: (jax.debug.print("{}", x), x)[1], "the step 'debug_callback'", "no Python at run time"),
        (lambda x: lax.fori_loop(0, 999, lambda k, v: v + k, x), "a loop of 999 turns", "at most 256"),
        (lambda x: lax.while_loop(lambda v: v < 3, lambda v: v * 2, x), "a loop that ends when a secret", "fori_loop"),
        (lambda x: lax.while_loop(lambda v: v[0] < 999, lambda v: (v[0] + 1, x), (0, x))[1], "more than 256", "256"),
        (lambda x: lax.fori_loop(0, 100, lambda k, v: v * 0.5 + x, x), "96 operations one after another", "persist()"),
        (lambda x: jnp.sum(x * jnp.arange(2.0, 1200) + 1), "more than 2048 operations", "persist()"),
        (lambda x: jnp.outer(x * jnp.ones(99), jnp.ones(99))[0, 0], "an array of 9801 numbers", "at most 4096"),
        (lambda x: x**x, "a power of a secret to a secret", "jnp.exp(y * jnp.log(x))"),
        (lambda x: x**65, "the power 65", "whole powers from -64 to 64"),
        (lambda x: x.astype(int) & 3, "'and' of the bits of whole numbers", "arithmetic"),
        (lambda x: lax.div(3, x.astype(int)), "a whole-numbered division or remainder by a secret", "jnp.floor"),
        (lambda x: x.astype(complex), "a conversion to complex128", "x.astype(float)"),
        (lambda x: jnp.array([1.0, 2.0]).at[x.astype(int)].set(0)[0], "'scatter' at a secret place", "jnp.where"),
        (lambda x: jnp.ones(100)[x.astype(int)], "a secret place among 100", "at most 64"),
        (lambda x: jnp.ones((2, 2))[x.astype(int), x.astype(int)], "at a secret place", "jnp.where"),
        (np.log, "a function of map_jax gave its arguments to numpy", "jnp.log instead of np.log"),
    ],
)  # fmt: skip
def test_steps_that_are_not_offered(loans: mpc.DataFrame, function: Any, message: str, hint: str) -> None:
    error = refused(UnsupportedError, "MPC-0318", message, lambda: loans.map_jax(lambda x: function(x), "x"))
    assert hint in error.hint


@pytest.mark.parametrize(
    "function", [lambda x: x if x > 0 else -x, lambda x: float(x) * 2, lambda x: x in (1, 2), lambda x: range(x)]
)
def test_decisions_of_python_on_an_argument(loans: mpc.DataFrame, function: Any) -> None:
    message = "a function of map_jax asked for a value, as an if, float() or a slice does"
    refused(UnsupportedError, "MPC-0310", message, lambda: loans.map_jax(function, "n"))


def test_what_a_plan_refuses_is_refused_here(loans: mpc.DataFrame, joint: mpc.DataFrame) -> None:
    refused(SchemaError, "MPC-0105", "division by the constant 0", lambda: loans.map_jax(lambda x: x / 0, "x"))
    refused(SchemaError, "MPC-0105", "a constant must be finite", lambda: loans.map_jax(lambda x: x + jnp.inf, "x"))
    refused(
        SchemaError, "MPC-0103", "missing values into integers", lambda: loans.map_jax(lambda r: r.astype(int), "ref")
    )
    message = "a number that may be from 0 to 2.14748e+09 does not fit into int32"
    refused(RangeError, "MPC-0202", message, lambda: loans.map_jax(lambda b: (b * 2).astype(jnp.int32), "big"))
    message = "cannot divide by the secret ~value~1 with range"
    refused(
        UnsupportedError, "MPC-0306", message, lambda: joint.map_jax(lambda x, y: x / (y - 1), ["x", "y"]).collect()
    )


def helper(value: Any) -> Any:
    doubled = value * 2
    return jnp.cos(doubled)  # this line


@jax.jit
def compiled(value: Any) -> Any:
    return jnp.tan(value) * 2  # and this line


@pytest.mark.parametrize("function", [helper, compiled])
def test_the_place_is_the_line_of_the_function(loans: mpc.DataFrame, function: Any) -> None:
    error = refused(
        UnsupportedError, "MPC-0318", "does not offer", lambda: loans.map_jax(lambda x: function(x) + 1, "x")
    )
    source, first = inspect.getsourcelines(function)
    line = next(at for at, text in enumerate(source) if "this line" in text)
    assert error.where == f"{__file__}:{first + line}: {source[line].strip()}"


def test_errors_of_the_function_itself_pass(loans: mpc.DataFrame) -> None:
    with pytest.raises(KeyError, match="gone") as caught:
        loans.map_jax(lambda x: {}["gone"], "x")
    assert any("every argument is one number" in note for note in caught.value.__notes__)
    with pytest.raises(IndexError):
        loans.map_jax(lambda x: x[0], "x")


# --- what it is ------------------------------------------------------------------------------------------------------


class Pair(NamedTuple):
    low: Any
    high: Any


def test_results_in_their_form(loans: mpc.DataFrame) -> None:
    assert loans.map_jax(lambda x: Pair(x, 2 * x), "x").columns == ["low", "high"]
    assert loans.map_jax(lambda x: (x, 2 * x), "x").columns == ["0", "1"]
    assert loans.map_jax(lambda x: {"z": x, "a": 1}, "x").columns == ["z", "a"]
    assert isinstance(loans.map_jax(lambda x: x, "x"), mpc.Series)


def test_types_are_those_that_jax_gives(loans: mpc.DataFrame) -> None:
    made = loans.map_jax(
        lambda n, r: {"n": n + 1, "half": n / 2, "whole": n * 1.0, "r": r, "flag": n > 2}, ["n", "ref"]
    )
    got = made.collect()
    assert [got[name].dtype.kind for name in got] == ["i", "f", "f", "f", "b"]
    assert made.dtypes["n"].kind == "int"
    assert made.dtypes["whole"].kind == "float"
    assert got.r.isna().tolist() == LOANS.ref.isna().tolist()


def test_decimals_stay_exact() -> None:
    import pyarrow as pa

    prices = pa.table({"p": pa.array([0.05, 0.15, 19.99]).cast(pa.decimal128(9, 2))})
    with mpc.Session.local({"a": {"t": prices}}, protocol="plaintext", executor="threads") as session:
        made = session.table("a.t").map_jax(lambda p: {"twice": p * 2 + 0.1, "is": p == 0.05, "up": p > 0.15}, "p")
        assert made.dtypes["twice"].kind == "decimal"
        got = made.collect()
    assert got.twice.tolist() == [0.2, 0.4, 40.08]
    assert got["is"].tolist() == [True, False, False]
    assert got.up.tolist() == [False, False, True]


def test_the_index_of_groups_stays(loans: mpc.DataFrame) -> None:
    sums = loans.groupby("text").agg(n=("n", "sum")).map_jax(lambda n: n * 2, "n").collect()
    assert sums.to_dict() == {"boat": 6, "car": 6, "house": 8}


def test_wide_and_narrow_floats_are_the_same(loans: mpc.DataFrame) -> None:
    weights = np.array([0.1, 0.2], np.float32)
    made = loans.map_jax(lambda x, n: jnp.dot(weights, jnp.stack([x, n]).astype(jnp.float32)), ["x", "n"]).collect()
    want = LOANS.x * float(weights[0]) + LOANS.n * float(weights[1])
    np.testing.assert_allclose(made, want, atol=1e-12)


def test_the_function_is_called_once_and_here(session_for: SessionFor) -> None:
    calls: list[Any] = []

    def counted(w: Any, y: Any) -> Any:
        calls.append((w, y))
        return w * y + 1

    session = session_for("aby3", "threads", pushdown=False)
    joint = session.table("a.plain").merge(session.table("b.plain"), on="id")
    made = joint.map_jax(counted, ["w", "y"])
    made.collect()
    made.sum().collect()
    assert len(calls) == 1
    assert all(argument.shape == () for argument in calls[0])


def test_the_plan_is_data(session: mpc.Session, loans: mpc.DataFrame) -> None:
    """Of the function, the message has the closed list's operations and constants; nothing else."""

    def a_secret_name(x: Any, n: Any) -> Any:
        another_name = jax.nn.sigmoid(x) * 0.375
        return lax.fori_loop(0, 3, lambda _, v: jnp.where(v > n, v - 1, v * another_name), x)

    content = encode_plan(session._plan([loans.map_jax(a_secret_name, ["x", "n"])], None))
    assert decode_plan(content) == session._plan([loans.map_jax(a_secret_name, ["x", "n"])], None)
    assert b"0.375" in content
    for word in (b"a_secret_name", b"another_name", b"lambda", b"jax", b"test_map_jax", b"pjit", b"\x80\x04"):
        assert word not in content
    found: set[str] = set()

    def look(node: Any) -> None:
        if isinstance(node, dict):
            found.update([node["op"]] if "op" in node else [])
            node = list(node.values())
        for part in node if isinstance(node, list) else ():
            look(part)

    look(json.loads(content))
    assert {"sigmoid", "mul", "where", "gt", "sub"} <= found <= set(SCALARS)


def test_one_function_makes_one_plan(loans: mpc.DataFrame) -> None:
    def grown(x: Any) -> Any:
        return lax.fori_loop(0, 9, lambda _, v: jnp.clip(v * (2 - v), 0.0, 1.0), x)

    twice = loans.assign(one=loans.map_jax(grown, "x"), two=lambda t: t.map_jax(grown, "x"))
    got = twice[["one", "two"]].collect()
    assert got.one.tolist() == got.two.tolist()


def test_mapped_columns_are_mapped_again(loans: mpc.DataFrame) -> None:
    """What one function may not have at once, several have; where it is too much for one plan, it says so."""
    frame = loans
    for turn in range(3):
        frame = frame.assign(x=frame.map_jax(lambda x: lax.fori_loop(0, 12, lambda _, v: v * 0.5 + 1, x), "x"))
        assert frame.x.dtype.kind == "float", turn
    want = LOANS.x.copy()
    for _ in range(36):
        want = want * 0.5 + 1
    np.testing.assert_allclose(frame.x.collect(), want)
    with pytest.raises(UnsupportedError, match="96 operations one after another"):
        frame.map_jax(lambda x: lax.fori_loop(0, 15, lambda _, v: v * 0.5 + 1, x), "x")


def test_tracing_warns_of_nothing(loans: mpc.DataFrame) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loans.map_jax(lambda x: (x.astype(jnp.float32) * 2).astype(jnp.int64), "x")
