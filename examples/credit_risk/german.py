"""Who defaults, seen by two banks together: Statlog German Credit, split between two owners.

``bank_a`` took the credit applications and knows who paid back. ``bank_b`` keeps the same people's accounts and
savings. Neither shows the other a row; a neutral third party only computes. They ask for default rates by a segment
that needs both, and fit one logistic regression on the columns of both.

``joined``, ``by_segment`` and ``features`` are written once and run twice: on secret frames, and on pandas frames for
the comparison.

    python examples/credit_risk/german.py
"""

from pathlib import Path
from typing import Any

import pandas as pd

import mpc_engine as mpc
from mpc_engine.ml import LogisticRegression
from mpc_engine.ml.metrics import ks_score, roc_auc_score

TITLE = "German Credit: applications at bank_a, accounts at bank_b"
DATA = Path(__file__).resolve().parents[1] / "data" / "german_credit.csv"
KEY, TARGET = "customer_id", "bad"

AT_BANK_B = [
    "status_of_existing_checking_account",
    "savings_account_and_bonds",
    "credit_history",
    "number_of_existing_credits_at_this_bank",
]
SAVINGS = {  # DM, the lower end of each class
    "unknown/ no savings account": 0,
    "... < 100 DM": 0,
    "100 <= ... < 500 DM": 100,
    "500 <= ... < 1000 DM": 500,
    "... >= 1000 DM": 1000,
}
INDICATORS = {  # feature: the column and the value that it marks
    "new_car": ("purpose", "car (new)"),
    "used_car": ("purpose", "car (used)"),
    "radio_tv": ("purpose", "radio/television"),
    "owns_home": ("housing", "own"),
    "no_account": ("status_of_existing_checking_account", "no checking account"),
    "overdrawn": ("status_of_existing_checking_account", "... < 0 DM"),
    "below_200": ("status_of_existing_checking_account", "0 <= ... < 200 DM"),
    "few_savings": ("savings_account_and_bonds", "... < 100 DM"),
    "critical_history": ("credit_history", "critical account/ other credits existing (not at this bank)"),
    "paid_duly": ("credit_history", "existing credits paid back duly till now"),
}
NUMBERS = [
    "duration_in_month",
    "credit_amount",
    "installment_rate_in_percentage_of_disposable_income",
    "age_in_years",
    "number_of_existing_credits_at_this_bank",
]


def tables() -> dict[str, dict[str, pd.DataFrame]]:
    """Return each owner's table. 50 of bank_a's customers are not at bank_b; 80 of bank_b's never applied at bank_a."""
    everyone = pd.read_csv(DATA)
    applications = everyone.drop(columns=AT_BANK_B)
    accounts = everyone[[KEY, *AT_BANK_B]].sample(n=950, random_state=2)
    strangers = accounts.sample(n=80, random_state=3).assign(**{KEY: range(5001, 5081)})
    accounts = pd.concat([accounts, strangers]).sample(frac=1, random_state=4).reset_index(drop=True)
    return {"bank_a": {"applications": applications}, "bank_b": {"accounts": accounts}}


def joined(applications: Any, accounts: Any) -> Any:
    """Return the customers of both banks, with the target and the indicator features."""
    joint = applications.merge(accounts, on=KEY)
    marks = {name: (joint[column] == value).astype(int) for name, (column, value) in INDICATORS.items()}
    return joint.assign(bad=(joint["creditability"] == "bad").astype(int), **marks)


def by_segment(joint: Any) -> Any:
    """Return default rate and exposure of those who borrow over ten times what they saved, by housing and account."""
    stretched = joint[joint["credit_amount"] > joint["savings_account_and_bonds"].map(SAVINGS) * 10]
    return stretched.groupby(["housing", "status_of_existing_checking_account"]).agg(
        customers=("bad", "size"), default_rate=("bad", "mean"), exposure=("credit_amount", "sum")
    )


def features(joint: Any) -> Any:
    """Return the 15 columns of the model, of both banks: five numbers, ten indicators of categories."""
    return joint[[*NUMBERS, *INDICATORS]]


def main() -> None:
    """Run the query and the model among three parties, in one run."""
    with mpc.Session.local(tables(), protocol="aby3", executor="ray") as session:
        joint = joined(session.table("bank_a.applications"), session.table("bank_b.accounts"))
        model = LogisticRegression().fit(features(joint), joint[TARGET])
        risk = model.predict_proba(features(joint))
        segments, fitted, auc, ks = mpc.collect(
            by_segment(joint), model.to_frame(), roc_auc_score(joint[TARGET], risk), ks_score(joint[TARGET], risk)
        )
        print(segments, fitted.summary(), f"AUC {auc:.4f}, KS {ks:.4f}", session.last_run, sep="\n\n")


if __name__ == "__main__":
    main()
