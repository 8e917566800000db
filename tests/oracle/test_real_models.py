"""Regressions on real data sets of statsmodels and scikit-learn, and on those of the examples, against statsmodels."""

from __future__ import annotations

import pytest

import mpc_engine as mpc
from bench.credit import difference, problems

PROBLEMS = problems()


@pytest.mark.filterwarnings("ignore::UserWarning")  # statsmodels, about a formula that it may change
@pytest.mark.parametrize("protocol", ["plaintext", pytest.param("aby3", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", PROBLEMS)
def test_coefficients_errors_and_p_values(name: str, protocol: str) -> None:
    problem = PROBLEMS[name]()
    with mpc.Session.local(problem.tables(), protocol=protocol, executor="threads") as session:
        joint = session.table("bank.left").merge(session.table("partner.right"), on="row")
        found = problem.model.fit(joint[problem.features], joint[problem.target]).reveal()
    assert found.converged_
    coefficients, errors, p_values = difference(found, problem.clear())
    assert coefficients < 0.005
    assert errors < 0.001
    assert p_values < 0.001
