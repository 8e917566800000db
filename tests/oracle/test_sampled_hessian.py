"""Step lengths, and models whose Hessians are of a sample of the rows: the same results as with exact ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

import mpc_engine as mpc
from mpc_compiler.ops import glm, sampled
from mpc_compiler.ops.design import Design, Moments
from mpc_compiler.ops.families import family_of
from mpc_compiler.ops.likelihood import Problem, problem_of
from mpc_engine.ml import LogisticRegression

ROWS, COLUMNS = 12_000, 8


@pytest.fixture
def _few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every 26th row of those here is sampled."""
    monkeypatch.setattr(sampled, "LEAST_ROWS", 400)


@dataclass(frozen=True)
class Case:
    """Standardised columns and targets of a kind."""

    z: np.ndarray
    y: np.ndarray


def _case(kind: str) -> Case:
    rng = np.random.default_rng(7)
    x = rng.normal(size=(ROWS, COLUMNS))
    if kind == "skewed":
        x = np.exp(x)
    if kind == "rare":
        x[:, :2] = 0
        x[1:20, 0] = x[30:45, 1] = 1  # between rows that are sampled
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    eta = np.clip(z, -4, 4) @ np.linspace(-0.5, 0.7, COLUMNS)
    if kind == "poisson":
        return Case(z, rng.poisson(np.exp(0.4 * eta)))
    base = -4.6 if kind == "imbalanced" else -1.0
    y = (rng.random(ROWS) < 1 / (1 + np.exp(-base - eta))).astype(int)
    y[1:50:4] = 1  # or the few rows may all be alike, and no maximum exists
    return Case(z, y)


def _problem(z: np.ndarray, y: np.ndarray, **more: Any) -> Problem:
    design = Design((), jnp.asarray(z.T), Moments(jnp.zeros(z.shape[1]), jnp.ones(z.shape[1])), len(z))
    return problem_of(design, jnp.asarray(y, jnp.float64), None, family=family_of("binomial"), rows=len(z), **more)


@pytest.mark.parametrize("kind", ["ordinary", "imbalanced", "skewed", "rare", "poisson"])
@pytest.mark.parametrize("held", ["owned", "secret", "both"])
@pytest.mark.usefixtures("_few_rows")
def test_exact_results(kind: str, held: str) -> None:
    case = _case(kind)
    cut = {"owned": COLUMNS, "secret": 0, "both": 5}[held]
    owned = tuple(jnp.asarray(part) for part in (case.z[:, : cut // 2], case.z[:, cut // 2 : cut]) if part.size)
    secret = jnp.asarray(case.z[:, cut:].T) if cut < COLUMNS else None
    design = Design(owned, secret, Moments(jnp.zeros(COLUMNS), jnp.ones(COLUMNS)), ROWS)
    name = "poisson" if kind == "poisson" else "binomial"
    unit = 4.0 / 64 if kind == "poisson" else 1.0
    found = glm.fit(design, jnp.asarray(case.y * unit), None, family=family_of(name), rows=ROWS)
    assert found["converged"]
    family = sm.families.Poisson() if kind == "poisson" else sm.families.Binomial()
    want = sm.GLM(case.y, sm.add_constant(case.z), family=family).fit(tol=1e-12)
    coef = np.asarray(found["coef"]) - np.eye(COLUMNS + 1)[0] * np.log(unit)
    errors = np.asarray(found["bse"]) * glm.bse_scale(ROWS) * np.sqrt(unit)
    assert np.abs((coef - want.params) / want.bse).max() < 0.02
    assert np.abs(errors / want.bse - 1).max() < 0.01


@pytest.mark.parametrize("weighted", [False, True])
def test_few_rows_are_bad_and_well_told_apart(weighted: bool) -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(5_000, COLUMNS))
    y = (rng.random(len(x)) < 1 / (1 + np.exp(6.5 - x @ np.linspace(-1.0, 1.2, COLUMNS)))).astype(float)
    assert 0.01 < y.mean() < 0.05
    z, weights = (x - x.mean(axis=0)) / x.std(axis=0), rng.uniform(0.5, 2.0, len(x)) if weighted else np.ones(len(x))
    problem = Design((), jnp.asarray(z.T), Moments(jnp.zeros(COLUMNS), jnp.ones(COLUMNS)), len(z))
    given = jnp.asarray(weights) if weighted else None
    found = glm.fit(problem, jnp.asarray(y), None, family=family_of("binomial"), rows=len(z), weights=given)
    assert found["converged"]
    want = sm.GLM(y, sm.add_constant(z), family=sm.families.Binomial(), freq_weights=weights).fit(tol=1e-12)
    assert np.abs((np.asarray(found["coef"]) - want.params) / want.bse).max() < 0.005
    assert np.abs(np.asarray(found["bse"]) * glm.bse_scale(len(z)) / want.bse - 1).max() < 0.001
    assert abs(float(found["loglik"]) - want.llf) < 0.01


def test_who_is_sampled() -> None:
    z, y = np.zeros((100_000, 2)), np.zeros(100_000)
    assert sampled.sample_step(_problem(z, y)) == 6
    assert sampled.sample_step(_problem(z[:30_000], y[:30_000])) == 1
    assert sampled.sample_step(_problem(z, y, weights=jnp.ones(100_000))) == 1


@pytest.mark.usefixtures("_few_rows")
def test_collinear_columns_are_not_said_to_converge() -> None:
    case = _case("ordinary")
    z = np.column_stack([case.z, case.z[:, 0]])
    design = Design((jnp.asarray(z),), None, Moments(jnp.zeros(z.shape[1]), jnp.ones(z.shape[1])), ROWS)
    assert not glm.fit(design, jnp.asarray(case.y * 1.0), None, family=family_of("binomial"), rows=ROWS)["converged"]


@pytest.mark.slow
@pytest.mark.usefixtures("_few_rows")
def test_on_shares() -> None:
    case = _case("imbalanced")
    names = [f"x{at}" for at in range(COLUMNS)]
    table = pd.DataFrame(case.z.round(4), columns=names).assign(id=np.arange(ROWS), bad=case.y)
    tables = {"bank": {"a": table[["id", "bad", *names[:5]]]}, "bureau": {"b": table[["id", *names[5:]]]}}
    with mpc.Session.local(tables, protocol="aby3", executor="threads") as session:
        joint = session.table("bank.a").merge(session.table("bureau.b"), on="id")
        found = LogisticRegression().fit(joint[names], joint["bad"]).reveal()
        assert session.last_run is not None
        titles = [step.what for step in session.last_run.steps if "owned_gram" in step.what]
    want = sm.Logit(case.y, sm.add_constant(table[names])).fit(disp=0)
    assert found.converged_
    assert len(titles) == 4
    assert np.abs((found.params - want.params.to_numpy()) / want.bse.to_numpy()).max() < 0.05
    assert np.abs(found.bse_ / want.bse.to_numpy() - 1).max() < 0.01
    assert np.abs(found.pvalues_ - want.pvalues.to_numpy()).max() < 0.005
