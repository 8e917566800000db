"""``map_jax`` on the columns of two owners against JAX itself: credit data, every step, what is missing."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from jax import lax
from jax.experimental import enable_x64

import mpc_engine as mpc
from mpc_engine.cli.demo import load_example
from tests.conftest import SessionFor

Function = Callable[..., Any]
DOUBLE = 2.0**-40
"""What sums and products of doubles of these sizes are off in another order."""


def truth(function: Function, frame: pd.DataFrame, columns: list[str]) -> dict[str, np.ndarray]:
    """What JAX computes row by row; infinite numbers are missing here."""
    with enable_x64():
        made = jax.vmap(function)(*(jnp.asarray(frame[name].to_numpy()) for name in columns))
    if isinstance(made, tuple | list):
        names = getattr(made, "_fields", [str(at) for at in range(len(made))])
        made = dict(zip(names, made, strict=True))
    return {name: np.asarray(v) for name, v in (made if isinstance(made, dict) else {"~value": made}).items()}


def check(session: mpc.Session, joint: Any, frame: pd.DataFrame, cases: dict[str, tuple[Function, list[str]]]) -> None:
    """Run all in one program; every number is as near as the plan says, every missing one is missing."""
    made = {name: joint.map_jax(function, columns) for name, (function, columns) in cases.items()}
    results = mpc.collect(*made.values())
    run = session.last_run
    assert run is not None
    for at, (name, got) in enumerate(zip(made, results, strict=True), 1):
        errors = run.errors.get(f"result_{at}" if len(made) > 1 else "result", {})
        data = got if isinstance(got, pd.DataFrame) else got.to_frame("~value")
        want = truth(cases[name][0], frame, cases[name][1])
        assert sorted(data.columns) == sorted(want), name
        for column, values in want.items():
            mine, theirs = data[column].to_numpy(), values
            assert mine.dtype.kind == theirs.dtype.kind or np.isnan(mine.astype(float)).any(), (name, mine, theirs)
            mine, theirs = mine.astype(float), theirs.astype(float)
            assert (np.isnan(mine) == np.isnan(theirs)).all(), (name, mine, theirs)
            off = np.abs(mine - theirs)
            limit = errors.get(column, 0.0) + DOUBLE * (1 + np.abs(theirs))
            assert np.nanmax(off - limit, initial=-1) <= 0, (name, column, np.nanmax(off), errors)


# --- German Credit: applications at bank_a, savings at bank_b -------------------------------------------------------


@functools.cache
def german() -> tuple[Any, dict[str, dict[str, pd.DataFrame]], pd.DataFrame]:
    example = load_example("german")
    tables = example.tables()
    frame = prepared(tables["bank_a"]["applications"].merge(tables["bank_b"]["accounts"], on=example.KEY), example)
    return example, tables, frame


def prepared(joint: Any, example: Any) -> Any:
    """Numbers under short names."""
    saved = joint["savings_account_and_bonds"].map(example.SAVINGS)
    return joint.assign(
        months=joint["duration_in_month"],
        amount=joint["credit_amount"],
        age=joint["age_in_years"],
        saved=saved,
        credits=joint["number_of_existing_credits_at_this_bank"],
        home=joint["housing"] == "own",
    )


class Payment(NamedTuple):
    monthly: Any
    total: Any


def annuity(amount: Any, months: Any) -> Payment:
    """At 1 % a month; the public range of months, which is rounded outward, begins at 0."""
    months = jnp.maximum(months, 1)
    monthly = amount * 0.01 / (1 - 1.01**-months)
    return Payment(monthly, monthly * months)


def points(age: Any, months: Any, home: Any, credits: Any) -> Any:
    by_age = jnp.select([age < 26, age < 40, age < 60], [-18, 4, 11], 7)
    return by_age - 3 * (months // 12) + jnp.where(home, 9, 0) - 5 * jnp.maximum(credits - 1, 0)


WEIGHTS = np.array([[0.3, -0.7, 0.2, 0.5], [1.1, 0.4, -0.6, -0.2], [-0.3, 0.8, 0.9, 0.1]], np.float32)


@jax.jit
def network(months: Any, amount: Any, credits: Any) -> Any:
    inputs = jnp.stack([months / 24 - 1, amount / 4000 - 1, credits - 1.5])
    return jax.nn.sigmoid(jax.nn.relu(inputs @ WEIGHTS + 0.1) @ jnp.array([0.5, -1.0, 0.75, 0.25]) - 0.2)


def drawn_down(amount: Any, saved: Any) -> dict[str, Any]:
    """Six months of living on savings first."""
    rate = amount / 6

    def month(_: int, state: tuple[Any, Any]) -> tuple[Any, Any]:
        left, owed = state
        paid = jnp.minimum(left, rate)
        return left - paid, owed + (rate - paid)

    left, owed = lax.fori_loop(0, 6, month, (saved * 1.0, 0.0 * rate))
    return {"left": left, "owed": owed, "enough": owed <= 1.0}


def pressed(amount: Any, months: Any, saved: Any) -> Any:
    return jnp.where(saved > 0, amount / jnp.clip(months, 1, 72) / jnp.maximum(saved, 100), 12.5)


GERMAN: dict[str, tuple[Function, list[str]]] = {
    "burden": (lambda amount, saved: amount / (1 + saved), ["amount", "saved"]),
    "annuity": (annuity, ["amount", "months"]),
    "points": (points, ["age", "months", "home", "credits"]),
    "network": (network, ["months", "amount", "credits"]),
    "drawn down": (drawn_down, ["amount", "saved"]),
    "pressed": (pressed, ["amount", "months", "saved"]),
    "slope": (jax.grad(lambda saved, age: jnp.tanh(saved / 500.0) * age), ["rate", "age"]),
    "band": (
        lambda age, credits: jnp.searchsorted(jnp.array([25, 30, 40, 60]), age + credits, method="compare_all"),
        ["age", "credits"],
    ),
}


@pytest.fixture(scope="module", params=["plaintext", "aby3", "shares"])
def banks(request: pytest.FixtureRequest) -> Iterator[tuple[mpc.Session, Any]]:
    """In the clear; among three parties; and there without what owners could compute alone."""
    example, tables, _ = german()
    with mpc.Session.local(
        tables,
        protocol="plaintext" if request.param == "plaintext" else "aby3",
        executor="threads",
        pushdown=request.param != "shares",
    ) as session:
        joint = session.table("bank_a.applications").merge(session.table("bank_b.accounts"), on=example.KEY)
        yield session, prepared(joint, example).assign(rate=lambda t: t.saved / 4)


def test_functions_of_two_banks_columns(banks: tuple[mpc.Session, Any]) -> None:
    check(*banks, german()[2].assign(rate=lambda t: t.saved / 4), GERMAN)


def test_a_mapped_column_is_a_column(banks: tuple[mpc.Session, Any]) -> None:
    """Filters, groups, aggregates and models take it."""
    (_, joint), frame = banks, german()[2]
    found = joint.assign(points=lambda t: t.map_jax(points, ["age", "months", "home", "credits"]))
    want = frame.assign(points=truth(points, frame, ["age", "months", "home", "credits"])["~value"])
    got = found[found.points > 0].groupby("housing").agg(n=("points", "size"), total=("points", "sum")).collect()
    true = want[want.points > 0].groupby("housing").agg(n=("points", "size"), total=("points", "sum"))
    pd.testing.assert_frame_equal(got, true)
    both = found.map_jax(drawn_down, ["amount", "saved"])
    assert both.columns == ["left", "owed", "enough"]
    assert (
        found[both.enough].agg(n=("age", "size")).collect().n[0]
        == truth(drawn_down, frame, ["amount", "saved"])["enough"].sum()
    )


# --- Taiwan: limits at bank, bills at partner -----------------------------------------------------------------------

BILLS = [f"bill_amt_{month}" for month in range(1, 7)]
PAID = [f"pay_amt_{month}" for month in range(1, 7)]
STATUS = [f"pay_status_{month}" for month in (0, 2, 3, 4, 5, 6)]


def utilisation(limit: Any, *bills: Any) -> dict[str, Any]:
    parts = jnp.stack(bills) / jnp.maximum(limit, 10_000)
    return {"mean": jnp.mean(parts), "most": jnp.max(parts), "above": jnp.sum(parts > 0.9)}


def trend(limit: Any, *bills: Any) -> Any:
    """The slope of a line through six bills."""
    months = jnp.arange(6.0) - 2.5
    return -jnp.dot(months / jnp.sum(months**2), jnp.stack(bills)) / jnp.maximum(limit, 10_000)


def paid_share(*amounts: Any) -> Any:
    """Of what was billed and above 0."""
    bills, paid = jnp.stack(amounts[:2]), jnp.stack(amounts[2:])
    billed = jnp.sum(jnp.maximum(bills, 0))
    return jnp.where(billed > 0, jnp.minimum(jnp.sum(paid) / jnp.where(billed > 0, billed, 1), 2.0), 1.0)


def worst(age: Any, *status: Any) -> Any:
    """Months late, with a year's grace for the young, and in which month first."""
    late = jnp.stack(status)
    return jnp.max(late) - (age < 25), jnp.argmax(late)


TAIWAN: dict[str, tuple[Function, list[str]]] = {
    "utilisation": (utilisation, ["limit_bal", *BILLS]),
    "trend": (trend, ["limit_bal", *BILLS]),
    "paid": (paid_share, [*BILLS[:2], *PAID[:2]]),
    "worst": (worst, ["age", *STATUS]),
}


@pytest.mark.parametrize(("protocol", "kernels"), [("plaintext", "auto"), ("aby3", "native"), ("aby3", "spu")])
def test_functions_of_six_months(protocol: Any, kernels: Any) -> None:
    example = load_example("taiwan")
    tables = example.tables()
    clients = tables["bank"]["clients"].head(400)
    tables["bank"]["clients"] = clients
    frame = clients.merge(tables["partner"]["payments"], on=example.KEY)
    with mpc.Session.local(
        tables, protocol=protocol, executor="threads", kernels=kernels, pushdown=kernels != "spu"
    ) as session:
        joint = session.table("bank.clients").merge(session.table("partner.payments"), on=example.KEY)
        check(session, joint, frame, TAIWAN)


# --- steps -----------------------------------------------------------------------------------------------------------


def table(seed: int, rows: int = 48) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    gaps = rng.random(rows) < 0.25
    return pd.DataFrame(
        {
            "id": rng.permutation(rows),
            "k": rng.integers(-9, 10, rows),
            "n": rng.integers(0, 4, rows),
            "x": rng.integers(-40, 41, rows) / 8,
            "w": rng.uniform(-3, 3, rows),
            "g": np.where(gaps, np.nan, rng.integers(-20, 21, rows) / 4),
            "m": pd.array(np.where(rng.random(rows) < 0.25, None, rng.integers(-9, 10, rows)), dtype="Int64"),
            "f": rng.random(rows) < 0.5,
        }
    )


LEFT, RIGHT = table(51).add_prefix("a_"), table(52).add_prefix("b_")
BOTH = LEFT.merge(RIGHT, left_on="a_id", right_on="b_id").astype({"a_m": float, "b_m": float})
TABLE = np.array([0.5, -2.0, 7.25, 3.0])

STEPS: dict[str, tuple[Function, str]] = {
    "sums": (lambda a, b: a + b - 3, "a_k b_n"),
    "products": (lambda a, b: a * b * -1 + 0 * a, "a_k b_k"),
    "quotients": (lambda a, b: (a / 4, a / (1 + b), 1 / (b + 0.5)), "a_x b_n"),
    "floor division": (lambda a, b: ((a - b) // 4, (a + b) % 4, (a - b) // -3, (a - b) % -3), "a_k b_k"),
    "floor division of floats": (lambda a, b: ((a - b) // 0.5, (a + b) % 0.5), "a_x b_x"),
    "division towards 0": (lambda a, b: (lax.div(a - b, 4), lax.rem(a + b, -4)), "a_k b_k"),
    "remainders of floats": (lambda a, b: (lax.rem(a + b, 0.5), jnp.fmod(a - b, 2.0)), "a_x b_x"),
    "signs": (lambda a, b: (jnp.sign(a - b), jnp.abs(a - b), jnp.negative(-a), jnp.sign(b + 9.5)), "a_k b_x"),
    "extremes": (lambda a, b: (jnp.maximum(a, b), jnp.minimum(a, 2 * b), jnp.maximum(a, 0.25)), "a_x b_k"),
    "extremes of what may be missing": (lambda a, b: (jnp.maximum(a, b), jnp.minimum(a, 1)), "a_g b_m"),
    "clip": (lambda a, b: (jnp.clip(a + b, -2, 3), lax.clamp(0.5, a * 1.0, b + 1.0)), "a_k b_n"),
    "choices": (lambda a, b, f: (jnp.where(f, a, b), jnp.select([a > b, f], [a, 1.5], b)), "a_x b_x a_f"),
    "nested choices": (lambda a, b: lax.select_n(a, b, -b, b * b, b - 7), "a_n b_k"),
    "comparisons": (lambda a, b: (a == b, a != b, a < b, a <= b, a > b, a >= b), "a_n b_n"),
    "comparisons of what may be missing": (
        lambda a, b: (a == b, a != b, a < b, a <= b, a > b, a >= b, jnp.equal(a, a), jnp.less(a, a)),
        "a_g b_m",
    ),
    "logic": (lambda a, b, c: (a & ~b, a | (c > 1), a ^ b, ~(a ^ (c > 1)), a == b), "a_f b_f b_n"),
    "flags as numbers": (lambda a, b: (a * 3 + b, a.astype(float) - b, a + b), "a_f b_k"),
    "conversions": (lambda a, b: ((a + b).astype(int), a.astype(bool), b.astype(jnp.float32)), "a_x b_k"),
    "rounding": (
        lambda a, b: (jnp.floor(a + b), jnp.ceil(a + b), jnp.round(a + b), jnp.trunc(a - b), lax.round(a - b)),
        "a_x b_x",
    ),
    "rounding of whole numbers": (lambda a, b: (jnp.floor(a * 1.0), jnp.round(a + b), lax.round(b * 1.0)), "a_k b_k"),
    "powers": (lambda a, b: (a**3, (a + b) ** 0, (b + 1.0) ** -2, a**2.0, jnp.square(a + b)), "a_k b_n"),
    "roots": (lambda a, b: (jnp.sqrt(a + b), (a + 1.0) ** 0.5, (b + 1.0) ** -1.5, lax.rsqrt(b + 1.0)), "a_n b_n"),
    "roots of sums of squares": (lambda a, b: jnp.sqrt(a * a + b * b + 1), "a_k b_k"),
    "owners' functions": (
        lambda a, b: jnp.log(a + 1.0) + jnp.exp(-b * b / 4) - jnp.log1p(a) + jnp.expm1(b / 4),
        "a_n a_k",
    ),
    "powers with a constant": (lambda a: (1.05**a, (a + 1.0) ** 0.3, jnp.exp2(-a)), "b_n"),
    "sigmoid": (lambda a, b: (jax.nn.sigmoid(a + b), jnp.tanh(a - b), jax.nn.silu(b)), "a_w b_w"),
    "softplus": (lambda a: (jax.nn.softplus(a), jnp.logaddexp(a, 0.5)), "a_w"),
    "missing numbers": (lambda a, b: a * b + 1, "a_g b_m"),
    "missing numbers filled": (
        lambda a, b: (jnp.where(jnp.isnan(a), b, a), jnp.nan_to_num(a), jnp.where(jnp.isfinite(a), 1, 0)),
        "a_g b_k",
    ),
    "missing numbers made": (lambda a, b: jnp.where(a > b, a, jnp.nan), "a_k b_k"),
    "missing numbers compared": (lambda a, b: jnp.where(a > b, 1, 0), "a_g b_m"),
    "safe division": (lambda a, b: jnp.where(b != 0, a / jnp.where(b != 0, b, 1), 0.0), "a_x b_k"),
    "division by what is above 0": (lambda a, b: a / jnp.where(b > 0, b, 5) + a / jnp.maximum(b, 2), "a_x b_k"),
    "cond": (lambda a, b: lax.cond(a > b, lambda v: v * 2, lambda v: -v, a), "a_x b_x"),
    "switch": (lambda a, b: lax.switch(a, [lambda v: v * 2, lambda v: -v, lambda v: v + 1], b), "a_k b_x"),
    "for": (lambda a, b: lax.fori_loop(0, 4, lambda k, v: v * 0.5 + a * k, b * 1.0), "a_k b_k"),
    "while": (lambda a: lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] * 2), (0, a))[1], "a_k"),
    "scan": (lambda a, b: lax.scan(lambda c, v: (c + v, c * v), a, jnp.stack([b, a, b]))[1].sum(), "a_k b_k"),
    "scan backwards": (
        lambda a, b: lax.scan(lambda c, v: (c - v, c), a, jnp.arange(3), reverse=True)[1][0] + b,
        "a_k b_k",
    ),
    "polynomial": (lambda a, b: jnp.polyval(jnp.array([0.5, -1.0, 2.0]), a) + b, "a_x b_x"),
    "piecewise": (lambda a, b: jnp.piecewise(a + b, [a < 0, a > 2], [jnp.negative, jnp.square, 0.5]), "a_x b_x"),
    "reductions": (
        lambda a, b, c: [f(jnp.stack([a, b, c])) for f in (jnp.sum, jnp.mean, jnp.max, jnp.min, jnp.prod)],
        "a_k b_k b_n",
    ),
    "flags reduced": (
        lambda a, b: (jnp.all(jnp.array([a > 0, b > 0])), jnp.any(jnp.array([a > 3, b > 3]))),
        "a_k b_k",
    ),
    "spread": (lambda a, b, c: jnp.var(jnp.stack([a, b, c])), "a_x b_x b_n"),
    "running": (
        lambda a, b, c: list(jnp.cumsum(jnp.stack([a, b, c])) + jnp.cumprod(jnp.array([a, 1, c]))),
        "a_k b_k b_n",
    ),
    "places": (
        lambda a, b, c: (jnp.argmax(jnp.stack([a, b, c])), jnp.argmin(jnp.array([a, b, c]))),
        "a_k b_k b_n",
    ),
    "moves": (
        lambda a, b, c: list(
            jnp.flip(jnp.stack([jnp.stack([a, b]), jnp.stack([c, a])]).T.reshape(4)[jnp.array([2, 0])])
        ),
        "a_k b_k b_n",
    ),
    "set": (lambda a, b: jnp.zeros(3).at[1].set(a).at[2].set(b) @ jnp.array([5.0, 1.0, -2.0]), "a_x b_x"),
    "matrices": (
        lambda a, b: jnp.linalg.norm(jnp.array([[1.0, 2.0], [0.5, -1.0]]) @ jnp.stack([a, b])),
        "a_x b_x",
    ),
    "tables": (lambda a, b: jnp.array(TABLE)[a] * b, "a_n b_k"),
    "places beyond a table": (lambda a, b: jnp.array(TABLE)[a + b], "a_n b_n"),
    "places before a table": (lambda a, b: jnp.array(TABLE)[a - 4] + jnp.array(TABLE)[b - 9], "a_n b_n"),
    "sorted into": (lambda a, b: jnp.searchsorted(jnp.array([-5, 0, 4.5]), a + b, method="compare_all"), "a_x b_k"),
    "members": (lambda a, b: jnp.isin(a + b, jnp.array([1, 4, -3])), "a_k b_k"),
    "gradient": (jax.grad(lambda a, b: a * a * jax.nn.sigmoid(b) + jnp.where(a > 0, a * b, b)), "a_w b_w"),
    "second derivative": (jax.grad(jax.grad(lambda a, b: a**3 * b)), "a_x b_x"),
    "jit": (jax.jit(lambda a, b: {"low": jnp.minimum(a, b), "high": jnp.maximum(a, b)}), "a_k b_k"),
    "constants": (lambda a: (3, 2.5, True, jnp.pi * 0 + a, jnp.where(True, a, -a)), "a_k"),
    "random constants": (lambda a: a + jax.random.randint(jax.random.key(3), (), 0, 100), "a_k"),
    "numpy constants": (lambda a, b: a * np.float32(0.5) + np.int64(3) * b, "a_k b_k"),
    "heaviside": (lambda a, b: jnp.heaviside(a - b, 0.5), "a_k b_k"),
    "one name twice": (lambda a, b: a * 2 - b, "a_k a_k"),
}


ON_SPU = (
    "products", "floor division", "signs", "extremes of what may be missing", "choices", "logic", "rounding", "sigmoid",
    "missing numbers filled", "safe division", "switch", "tables",
)  # fmt: skip
"""The steps that SPU's compiler is asked for, which takes long."""


@pytest.mark.parametrize("how", ["plaintext", "aby3", "shares", "spu"])
def test_every_step(how: str) -> None:
    names = ON_SPU if how == "spu" else tuple(STEPS)
    with mpc.Session.local(
        {"a": {"t": LEFT}, "b": {"t": RIGHT}},
        protocol="plaintext" if how == "plaintext" else "aby3",
        executor="threads",
        pushdown=how in ("plaintext", "aby3"),
        kernels="spu" if how == "spu" else "auto",
    ) as session:
        joint = session.table("a.t").merge(session.table("b.t"), left_on="a_id", right_on="b_id")
        check(session, joint, BOTH, {name: (STEPS[name][0], STEPS[name][1].split()) for name in names})


def test_loops_that_read_their_state_twice(session_for: SessionFor) -> None:
    """Written out, twenty turns would be a million operations; at an owner as on shares they are not."""

    def grown(a: Any, b: Any) -> Any:
        return lax.fori_loop(0, 20, lambda _, v: jnp.clip(v * (2.5 - v) + b / 64, 0.0, 2.0), jnp.abs(a) / 8)

    for protocol, owners in (("plaintext", ["a_x", "a_n"]), ("aby3", ["a_x", "b_n"])):
        with mpc.Session.local({"a": {"t": LEFT}, "b": {"t": RIGHT}}, protocol=protocol, executor="threads") as session:  # type: ignore[arg-type]
            joint = session.table("a.t").merge(session.table("b.t"), left_on="a_id", right_on="b_id")
            made = joint.map_jax(grown, owners)
            assert len(made.explain(stage="logical").text) < 20_000
            check(session, joint, BOTH, {"grown": (grown, owners)})
            kept = joint[made > 1].agg(n=("a_id", "size")).collect().n[0]
            near = np.abs(truth(grown, BOTH, owners)["~value"] - 1) < 1e-3
            want = (truth(grown, BOTH, owners)["~value"] > 1).sum()
            assert abs(kept - want) <= near.sum()
