"""Numerics and models in the clear and in SPU (aby3) against numpy, statsmodels, scikit-learn and scipy.

Tolerances are the bounds that the docstrings state, in units of the fixed point's last bit (2**-18).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.stats import ks_2samp, norm
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.preprocessing import StandardScaler

from mpc_compiler.ops import linalg, logistic, losses, numeric, ranking, scaler, woe
from mpc_compiler.ops.gap import GAIN, roc_gap
from mpc_compiler.ops.sigmoid import sigmoid, sigmoid_and_softplus
from tests.spu_threads import in_spu

DATA = Path(__file__).parents[2] / "examples" / "data"
ULP = 2.0**-18
Array = np.ndarray
Execute = Callable[..., Any]


def in_clear(fn: Callable[..., Any], *args: Array) -> Any:
    return jax.tree.map(np.asarray, jax.jit(fn)(*args))


@pytest.fixture(params=[in_clear, in_spu], ids=["clear", "aby3"])
def execute(request: pytest.FixtureRequest) -> Execute:
    chosen: Execute = request.param
    return chosen


def encoded(x: Array) -> Array:
    """Rounded to what a share can hold."""
    return np.round(x / ULP) * ULP


# --- numeric


@pytest.mark.parametrize("den_max", [200, 2**18, 2**20])
def test_ratio_is_accurate_to_two_to_minus_16(execute: Execute, den_max: int) -> None:
    rng = np.random.default_rng(den_max)
    den = np.concatenate([np.arange(200), rng.integers(0, den_max + 1, 600), [den_max] * 200])
    quotient = rng.choice([-1, 1], 1000) * 2.0 ** rng.uniform(-10, 24, 1000)
    num = encoded(np.clip(quotient * den, -(2.0**40), 2.0**40))
    num[np.abs(num) >= 2.0**40] /= 2
    expected = np.divide(num, den, out=np.zeros(1000), where=den > 0)
    got = execute(partial(numeric.ratio, den_max=den_max), num, den)
    assert np.abs(got - expected).max() <= 2.0**-16
    assert (got[den == 0] == 0).all()


def test_ratio_of_integers(execute: Execute) -> None:
    num, den = np.array([7, -7, 0, 2**39, 5]), np.array([2, 2, 9, 2**17, 0])
    got = execute(partial(numeric.ratio, den_max=2**17), num, den)
    np.testing.assert_allclose(got, [3.5, -3.5, 0, 2.0**22, 0], rtol=0, atol=2.0**-16)


@pytest.mark.parametrize("den_max", [0, 2**23])
def test_ratio_refuses_other_bounds(den_max: int) -> None:
    with pytest.raises(ValueError, match=r"den_max must be in 1\.\.2\*\*22"):
        numeric.ratio(jnp.ones(1), jnp.ones(1, jnp.int64), den_max=den_max)


def test_fraction_of_large_integers(execute: Execute) -> None:
    rng = np.random.default_rng(1)
    den = np.floor(2.0 ** rng.uniform(0, 42, 500)).astype(np.int64)
    num = (den * rng.uniform(-1, 1, 500)).astype(np.int64)
    den[0] = num[0] = 0
    got = execute(partial(numeric.fraction, den_max=2**42), num, den)
    assert np.abs(got - np.divide(num, den, out=np.zeros(500), where=den > 0)).max() <= 2.0**-15


def test_roots_and_reciprocal(execute: Execute) -> None:
    x = np.maximum(encoded(2.0 ** np.random.default_rng(2).uniform(-18, 26, 500)), ULP)
    inverse, root = execute(numeric.roots, x)
    assert (np.abs(inverse - x**-0.5) <= 2 * ULP + 2.0**-15 * x**-0.5).all()
    assert (np.abs(root - x**0.5) <= 2 * ULP + 2.0**-15 * x**0.5).all()
    x = encoded(2.0 ** np.random.default_rng(3).uniform(-10, 10, 500))
    inverse = execute(partial(numeric.reciprocal, low=-11, high=11), x)
    assert (np.abs(inverse - 1 / x) <= 2 * ULP + 2.0**-15 / x).all()


def test_roots_of_zero_are_finite(execute: Execute) -> None:
    inverse, root = execute(numeric.roots, np.zeros(1))
    assert 0 < inverse[0] < 2.0**12
    assert root[0] == 0


def test_sigmoid_and_softplus(execute: Execute) -> None:
    x = encoded(np.concatenate([np.linspace(-14, 14, 4001), [-(2.0**25), -300, 300, 2.0**25]]))
    exact = np.exp(-np.logaddexp(0, -x))
    got = execute(sigmoid, x)
    assert np.abs(got - exact).max() <= 4e-5
    assert got.min() >= 0
    assert got.max() <= 1
    assert abs((got - exact).mean()) <= 2e-6  # unbiased: this is what a sum over rows sees
    probability, plus = execute(sigmoid_and_softplus, x)
    assert np.abs(probability - exact).max() <= 4e-5
    assert np.abs(plus - np.logaddexp(0, x)).max() <= 4e-5


def correlated(rows: int = 2000, noise: float = 0.05) -> Array:
    rng = np.random.default_rng(4)
    A = rng.normal(size=(rows, 6)) * [1, 1, 3, 0.1, 1, 1]
    A[:, 1] = A[:, 0] + noise * A[:, 1]
    return A


def test_inverse_of_a_badly_conditioned_matrix(execute: Execute) -> None:
    J = correlated().T @ correlated()
    X, d, quality = execute(partial(linalg.inverse_spd, bound=12), J)
    variances = np.diag(X) * d**2 / 2**12
    np.testing.assert_allclose(variances, np.diag(np.linalg.inv(J)), rtol=2e-3)  # variance inflation: 400
    assert quality < 0.01


def test_inverse_of_a_singular_matrix_says_so(execute: Execute) -> None:
    A = correlated(noise=0)
    _, _, quality = execute(partial(linalg.inverse_spd, bound=12), A.T @ A)
    assert quality > 0.1


# --- scaler


def test_scaler_equals_scikit_learn(execute: Execute) -> None:
    X, _ = taiwan()
    X = np.c_[X[:1500, [0, 3, 4, 10, 17]], np.ones(1500), np.zeros(1500)]
    keep = np.random.default_rng(5).random(1500) < 0.7
    ranges = [(-1.7e6, 1.7e6) if v > 1000 else (-10.0, 100.0) for v in np.abs(X).max(0)]

    def program(X: jax.Array, keep: jax.Array) -> tuple[jax.Array, ...]:
        mean, scale, inverse = scaler.fit(X, ranges=ranges, valid=keep)
        return mean, scale, scaler.transform(X, mean, inverse, ranges=ranges)

    mean, scale, Z = execute(program, X, keep)
    u, reference = scaler.units(ranges), StandardScaler().fit(X[keep])
    np.testing.assert_allclose(mean, reference.mean_ * u, rtol=0, atol=2.0**-16)
    varying = X[keep].std(0) > 0
    np.testing.assert_allclose((scale / u)[varying], reference.scale_[varying], rtol=2e-3)
    assert (scale[~varying] == 1).all()
    np.testing.assert_allclose(Z[:, varying], reference.transform(X)[:, varying], rtol=2e-3, atol=2e-3)


# --- logistic regression


class Errors(NamedTuple):
    coefficient: float
    """Largest, in standard errors."""
    p_value: float
    loglik: float
    """Relative, of the fit and of the null model."""


@cache
def german(*, everything: bool = False) -> tuple[Array, Array]:
    frame = pd.read_csv(DATA / "german_credit.csv", keep_default_na=False)
    target = (frame.pop("creditability") == "bad").to_numpy(np.int64)
    frame = frame.drop(columns="customer_id")
    numbers = frame.select_dtypes("number")
    chosen = ["status_of_existing_checking_account", "savings_account_and_bonds", "credit_history", "purpose"]
    words = frame.drop(columns=numbers.columns) if everything else frame[chosen]
    return pd.concat([numbers, pd.get_dummies(words, drop_first=True)], axis=1).to_numpy(np.float64), target


@cache
def taiwan() -> tuple[Array, Array]:
    frame = pd.read_parquet(DATA / "taiwan_credit.parquet").drop(columns="customer_id")
    target = frame.pop("default").to_numpy(np.int64)
    return frame.to_numpy(np.float64), target


def ranges_of(X: Array) -> list[tuple[float, float]]:
    return [(float(low), float(high)) for low, high in zip(X.min(0), X.max(0), strict=True)]


def errors(fit: dict[str, Array], X: Array, y: Array, ranges: list[tuple[float, float]], rows: int) -> Errors:
    spread = X.std(0)
    exact = sm.Logit(y, sm.add_constant(X / spread)).fit(disp=False, tol=1e-12, maxiter=50)
    raw = np.r_[1, spread]
    unit = np.r_[1, logistic.units(ranges)]
    coef, se = fit["coef"] * unit, fit["bse"] * unit * logistic.bse_scale(rows)
    gap = np.abs(2 * norm.sf(np.abs(coef / se)) - exact.pvalues)
    logliks = abs(fit["loglik"] / exact.llf - 1), abs(fit["loglik_null"] / exact.llnull - 1)
    return Errors(np.abs((coef * raw - exact.params) / exact.bse).max(), gap.max(), max(logliks))


def check_fit(execute: Execute, X: Array, y: Array) -> None:
    ranges = ranges_of(X)
    fit = execute(partial(logistic.fit, ranges=ranges, rows=len(y)), X, y)
    assert fit["converged"]
    assert fit["nobs"] == len(y)
    found = errors(fit, X, y, ranges, len(y))
    assert found.coefficient < 0.01
    assert found.p_value < 0.001
    assert found.loglik < 1e-4


def test_german_credit_equals_statsmodels(execute: Execute) -> None:
    check_fit(execute, *german())


@pytest.mark.slow
def test_german_credit_with_every_feature(execute: Execute) -> None:
    check_fit(execute, *german(everything=True))


@pytest.mark.slow
def test_taiwan_credit_equals_statsmodels(execute: Execute) -> None:
    check_fit(execute, *taiwan())


def simulated(rows: int = 400) -> tuple[Array, Array, Array]:
    """X, y, and the log-odds that made y."""
    rng = np.random.default_rng(6)
    X = encoded(rng.normal(size=(rows, 4)))
    eta = X @ [1, -0.5, 0, 0.3] - 0.5
    return X, (rng.random(rows) < 1 / (1 + np.exp(-eta))).astype(np.int64), eta


def test_rows_that_are_not_valid_do_not_count(execute: Execute) -> None:
    X, y, _ = simulated()
    X = np.c_[X, np.random.default_rng(7).integers(1990, 2021, len(y))]  # far from 0: an intercept with a large error
    keep = np.arange(len(y)) % 3 > 0
    ranges, rows = ranges_of(X), 5000
    fit = execute(partial(logistic.fit, ranges=ranges, rows=rows), X, y, keep)
    found = errors(fit, X[keep], y[keep], ranges, rows)
    assert fit["converged"]
    assert fit["nobs"] == keep.sum()
    assert found.coefficient < 0.01
    assert found.p_value < 0.001


def unusable() -> dict[str, tuple[Array, Array]]:
    X, y, eta = simulated()
    return {
        "separable": (X, (eta > 0).astype(np.int64)),
        "one-class": (X, np.zeros_like(y)),
        "constant-column": (np.c_[X[:, :3], np.full(len(y), 3.0)], y),
        "zero-column": (np.c_[X[:, :3], np.zeros(len(y))], y),
        "collinear": (np.c_[X[:, :3], X[:, 0] + X[:, 1]], y),
        "no-rows": (X[:0], y[:0]),
        "one-row": (X[:1], y[:1]),
    }


@pytest.mark.parametrize("case", unusable())
def test_unusable_data_gives_finite_results_and_the_bit(case: str) -> None:
    X, y = unusable()[case]
    fit = in_clear(partial(logistic.fit, ranges=[(-4, 4)] * 4, rows=max(len(y), 1)), X, y)
    assert not fit["converged"]
    assert all(np.isfinite(value).all() for value in fit.values())


@pytest.mark.slow
@pytest.mark.parametrize("case", unusable())
def test_unusable_data_in_spu(case: str) -> None:
    X, y = unusable()[case]
    fit = in_spu(partial(logistic.fit, ranges=[(-4, 4)] * 4, rows=max(len(y), 1)), X, y)
    assert not fit["converged"]


def test_predicted_probabilities_and_their_auc(execute: Execute) -> None:
    X, y = german()
    ranges = ranges_of(X)
    exact = sm.Logit(y, sm.add_constant(X)).fit(disp=False)
    coef = exact.params / np.r_[1, logistic.units(ranges)]

    def program(X: jax.Array, y: jax.Array, coef: jax.Array) -> tuple[jax.Array, ...]:
        probability = logistic.predict(X, coef, ranges=ranges)
        return probability, *ranking.roc(y, probability)

    probability, auc, ks = execute(program, X, y, coef)
    assert np.abs(probability - exact.predict()).max() < 1e-4
    assert abs(auc - roc_auc_score(y, exact.predict())) < 1e-4
    assert abs(ks - ks_2samp(exact.predict()[y == 1], exact.predict()[y == 0]).statistic) < 2e-3


# --- ranking


def scores(rows: int, levels: int) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(rows + levels)
    label = rng.integers(0, 2, rows)
    label[:2] = 0, 1
    score = np.clip(rng.normal(0.4 + 0.2 * label, 0.3), 0, 1)
    keep = rng.random(rows) < 0.8
    keep[:2] = True
    return label, encoded(np.round(score * levels) / levels), keep


@pytest.mark.parametrize(
    ("rows", "levels"), [(2, 100), (33, 5), (700, 3), pytest.param(700, 2**18, marks=pytest.mark.slow)]
)
def test_auc_and_ks_with_ties(execute: Execute, rows: int, levels: int) -> None:
    label, score, keep = scores(rows, levels)
    for valid in (None, keep):
        kept = np.ones(rows, bool) if valid is None else valid
        y, s = label[kept], score[kept]
        got = execute(ranking.roc, label, score, *(() if valid is None else (valid,)))
        expected = roc_auc_score(y, s), ks_2samp(s[y == 1], s[y == 0]).statistic
        np.testing.assert_allclose(got, expected, rtol=0, atol=2e-5)


def test_auc_and_ks_each_alone() -> None:
    label, score, keep = scores(500, 20)
    auc, ks = in_clear(ranking.roc, label, score, keep)
    assert in_clear(ranking.roc_auc, label, score, keep) == auc
    assert in_clear(ranking.ks, label, score, keep) == ks


def test_auc_of_integer_scores() -> None:
    label, score, _ = scores(500, 50)
    points = 600 - np.round(score * 50).astype(np.int64) * 7
    got = in_clear(partial(ranking.roc_auc, bounds=(200, 600)), label, points)
    assert got == pytest.approx(roc_auc_score(label, points), abs=1e-9)


@pytest.mark.parametrize("label", [[0, 0, 0], [1, 1, 1], []])
def test_auc_of_one_class_is_zero(execute: Execute, label: list[int]) -> None:
    score = np.linspace(0, 1, len(label))
    assert [float(v) for v in execute(ranking.roc, np.array(label, np.int64), score)] == [0, 0]


# --- weight of evidence


def test_information_value_of_many_rows(execute: Execute) -> None:
    counts, events = np.array([[9000, 11000, 7000, 3000]]), np.array([[500, 2500, 2200, 1436]])
    bad, good = events / events.sum(), (counts - events) / (counts - events).sum()
    program = partial(woe.fit, rule=woe.Rule(), rows=1 << 15)
    totals = np.array(events.sum()), np.array(counts.sum())
    done = execute(lambda e, n, b, t: program(e, n, (b, t)), events, counts, *totals)
    np.testing.assert_allclose(done[0], np.log(good / bad), rtol=0, atol=3e-4)
    np.testing.assert_allclose(done[1], (good - bad) * np.log(good / bad), rtol=0, atol=1e-4)


# --- DeLong's error, losses, stability


def delong(label: Array, score: Array) -> float:
    """The standard error of the AUC from its definition."""
    good, bad = score[label == 0], score[label == 1]
    wins = (bad[:, None] > good[None]) + 0.5 * (bad[:, None] == good[None])
    return float(np.sqrt(wins.mean(1).var(ddof=1) / len(bad) + wins.mean(0).var(ddof=1) / len(good)))


@pytest.mark.parametrize(
    ("rows", "levels"), [(9, 4), *(pytest.param(700, levels, marks=pytest.mark.slow) for levels in (5, 2**18))]
)
def test_error_of_the_auc_with_ties(execute: Execute, rows: int, levels: int) -> None:
    label, score, keep = scores(rows, levels)
    for valid in (None, keep):
        kept = np.ones(rows, bool) if valid is None else valid
        auc, _, error = execute(ranking.roc_error, label, score, *(() if valid is None else (valid,)))
        assert auc == pytest.approx(roc_auc_score(label[kept], score[kept]), abs=2e-5)
        assert error == pytest.approx(delong(label[kept], score[kept]), rel=5e-4)


@pytest.mark.parametrize("label", [[0, 0, 0], [1, 1, 1], [0, 1], []])
def test_error_of_the_auc_without_enough_rows_is_zero(execute: Execute, label: list[int]) -> None:
    found = execute(ranking.roc_error, np.array(label, np.int64), np.linspace(0, 1, len(label)))
    assert abs(float(found[2])) < 2**-8


def gap(label: Array, one: Array, other: Array) -> tuple[float, float]:
    """The difference of two AUCs and its standard error from the definition."""
    parts = []
    for score in (one, other):
        good, bad = score[label == 0], score[label == 1]
        wins = (bad[:, None] > good[None]) + 0.5 * (bad[:, None] == good[None])
        parts.append((wins.mean(1), wins.mean(0)))
    d, e = parts[0][0] - parts[1][0], parts[0][1] - parts[1][1]
    return float(d.mean()), float(np.sqrt(d.var(ddof=1) / len(d) + e.var(ddof=1) / len(e)))


@pytest.mark.parametrize(
    ("rows", "noise", "levels"),
    [(60, 0.3, 8), *(pytest.param(*case, marks=pytest.mark.slow) for case in ((900, 0.3, 2**18), (3000, 0.01, 2**18)))],
)
def test_difference_of_two_aucs(execute: Execute, rows: int, noise: float, levels: int) -> None:
    label, score, keep = scores(rows, levels)
    rng = np.random.default_rng(rows)
    other = np.clip(score + noise * rng.normal(size=rows), 0, 1)
    other = encoded(np.floor(other * levels) / levels)
    for valid in (None, keep):
        kept = np.ones(rows, bool) if valid is None else valid
        found = execute(roc_gap, label, score, other, *(() if valid is None else (valid,)))
        want = gap(label[kept], score[kept], other[kept])
        assert found[0] / GAIN == pytest.approx(want[0], abs=2e-6, rel=2.0**-14)
        assert found[1] / GAIN == pytest.approx(want[1], rel=2e-3)


@pytest.mark.parametrize(("label", "want"), [([0, 0, 0], 0), ([1, 1, 1], 0), ([0, 1], 1), ([], 0)])
def test_difference_of_two_aucs_without_enough_rows(execute: Execute, label: list[int], want: int) -> None:
    score = np.linspace(0, 1, len(label))
    found = execute(roc_gap, np.array(label, np.int64), score, score[::-1].copy())
    assert float(found[0]) / GAIN == pytest.approx(want, abs=1e-4)
    assert abs(float(found[1])) / GAIN < 2**-8


def test_log_loss_of_valid_rows(execute: Execute) -> None:
    label, score, keep = scores(300, 2**18)
    probability = encoded(score.clip(2.0**-10, 1 - 2.0**-10))
    for valid in (None, keep):
        kept = np.ones(300, bool) if valid is None else valid
        got = execute(losses.log_loss, label, probability, *(() if valid is None else (valid,)))
        assert got == pytest.approx(log_loss(label[kept], probability[kept]), abs=2e-4)
    sure = execute(losses.log_loss, np.array([1, 1]), np.array([0.0, 1.0]))
    assert sure == pytest.approx(17 * np.log(2) / 2, abs=2e-3)  # held to 2**-17


def test_stability_of_valid_rows(execute: Execute) -> None:
    rng = np.random.default_rng(4)
    sample, keep = rng.integers(0, 2, 3000), rng.random(3000) < 0.7
    code = np.where(sample == 1, rng.integers(0, 6, 3000), rng.integers(0, 4, 3000) + rng.integers(0, 3, 3000))
    psi, least = execute(partial(losses.stability, bands=8), sample, code, keep)
    counts = [np.bincount(code[keep & (sample == s)], minlength=8) for s in (0, 1)]
    e, a = (np.maximum(c, 0.5) / c.sum() for c in counts)
    exact = counts[1] / counts[1].sum() - counts[0] / counts[0].sum()
    assert counts[0].min() == 0
    assert psi == pytest.approx(float((exact * np.log(a / e)).sum()), abs=2e-4)
    assert least == min(c.sum() for c in counts)
    empty = execute(partial(losses.stability, bands=2), np.zeros(4, np.int64), np.array([0, 1, 1, 0]))
    assert [float(v) for v in empty] == [0, 0]
