"""A joint score card, end to end: Statlog German Credit, split between two banks.

``bank_a`` took the applications and knows who paid back; ``bank_b`` keeps the same people's accounts. Each cuts its own
columns into bins, in the clear; counts of bad loans by bin, the regression and the scores stay secret. Each bank gets
the points of its own bins, ``bank_a`` the measures of how good the card is.

    python examples/credit_risk/german_card.py
"""

from pathlib import Path
from typing import Any

import pandas as pd

import mpc_engine as mpc
from mpc_engine.ml import ScoreCard, WoeEncoder
from mpc_engine.ml.metrics import ks_score, roc_auc_score

DATA = Path(__file__).resolve().parents[1] / "data" / "german_credit.csv"
KEY = "customer_id"
AT_BANK_A = ["duration_in_month", "credit_amount", "age_in_years", "purpose"]
AT_BANK_B = ["status_of_existing_checking_account", "savings_account_and_bonds", "credit_history"]
FEATURES = [*AT_BANK_A, *AT_BANK_B]


def tables() -> dict[str, dict[str, pd.DataFrame]]:
    """Return each owner's table, the second in another order."""
    everyone = pd.read_csv(DATA)
    applications = everyone[[KEY, *AT_BANK_A, "creditability"]]
    accounts = everyone[[KEY, *AT_BANK_B]].sample(frac=1, random_state=4).reset_index(drop=True)
    return {"bank_a": {"applications": applications}, "bank_b": {"accounts": accounts}}


def card() -> ScoreCard:
    """Return the card to be fitted: 20 points double the odds, 600 points stand for 50 good loans to a bad one."""
    encoder = WoeEncoder(max_bins=8, trend="auto", min_count=0.05)
    return ScoreCard(encoder, pdo=20, base_score=600, base_odds=50)


def run(session: mpc.Session) -> dict[str, Any]:
    """Fit the card; return each bank's points, and AUC and KS of the secret scores."""
    joint = session.table("bank_a.applications").merge(session.table("bank_b.accounts"), on=KEY)
    joint = joint.assign(bad=lambda t: (t["creditability"] == "bad").astype(int))
    fitted = card().fit(joint[FEATURES], joint["bad"])
    risk = -1 * fitted.score(joint[FEATURES])
    auc, ks = mpc.collect(roc_auc_score(joint["bad"], risk), ks_score(joint["bad"], risk), to="bank_a")
    return {
        "bank_a": fitted.points(to="bank_a"),
        "bank_b": fitted.points(to="bank_b"),
        "auc": auc,
        "ks": ks,
    }


def main() -> None:
    """Run among three parties, each in a process of its own."""
    with mpc.Session.local(tables(), protocol="aby3", executor="ray") as session:
        found = run(session)
    for bank in ("bank_a", "bank_b"):
        print(f"Points of {bank}", found[bank].to_string(index=False), sep="\n", end="\n\n")
    print(f"AUC {found['auc']:.4f}, KS {found['ks']:.4f}")


if __name__ == "__main__":
    main()
