"""Who defaults on a credit card: Default of Credit Card Clients (Yeh and Lien 2009), 30,000 clients at two owners.

``bank`` knows limits, demographics and who defaulted. ``partner`` saw how the same clients paid their bills in the last
six months. Neither shows the other a row; a neutral third party only computes.

``joined``, ``by_segment`` and ``features`` are written once and run twice: on secret frames, and on pandas frames for
the comparison.

    python examples/credit_risk/taiwan.py
"""

from pathlib import Path
from typing import Any

import pandas as pd

import mpc_engine as mpc
from mpc_engine.ml import LogisticRegression
from mpc_engine.ml.metrics import ks_score, roc_auc_score

TITLE = "Taiwan credit cards: limits and defaults at bank, payment behaviour at partner"
DATA = Path(__file__).resolve().parents[1] / "data" / "taiwan_credit.parquet"
KEY, TARGET = "customer_id", "default"
AT_BANK = ["limit_bal", "sex", "education", "marriage", "age"]
AT_PARTNER = [
    *(f"pay_status_{month}" for month in (0, 2, 3, 4, 5, 6)),
    *(f"bill_amt_{month}" for month in range(1, 7)),
    *(f"pay_amt_{month}" for month in range(1, 7)),
]
FEATURES = [*AT_BANK, *AT_PARTNER]


def tables() -> dict[str, dict[str, pd.DataFrame]]:
    """Return each owner's table; the partner keeps the clients in another order."""
    clients = pd.read_parquet(DATA)
    partner = clients[[KEY, *AT_PARTNER]].sample(frac=1, random_state=5).reset_index(drop=True)
    return {"bank": {"clients": clients[[KEY, *AT_BANK, TARGET]]}, "partner": {"payments": partner}}


def joined(clients: Any, payments: Any) -> Any:
    """Return one row a client, and whether the last bill was paid late."""
    joint = clients.merge(payments, on=KEY)
    return joint.assign(late=(joint["pay_status_0"] > 0).astype(int))


def by_segment(joint: Any) -> Any:
    """Return default rate and exposure of those who owe over half of their limit, by education and lateness."""
    drawn = joint[joint["bill_amt_1"] * 2 > joint["limit_bal"]]
    return drawn.groupby(["education", "late"]).agg(
        clients=("default", "size"), default_rate=("default", "mean"), exposure=("bill_amt_1", "sum")
    )


def features(joint: Any) -> Any:
    """Return the columns of the model: five of the bank's, eighteen of the partner's."""
    return joint[FEATURES]


def main() -> None:
    """Run the query and the model among three parties, in one run."""
    with mpc.Session.local(tables(), protocol="aby3", executor="ray") as session:
        joint = joined(session.table("bank.clients"), session.table("partner.payments"))
        model = LogisticRegression().fit(features(joint), joint[TARGET])
        risk = model.predict_proba(features(joint))
        segments, fitted, auc, ks = mpc.collect(
            by_segment(joint), model.to_frame(), roc_auc_score(joint[TARGET], risk), ks_score(joint[TARGET], risk)
        )
        print(segments, fitted.summary(), f"AUC {auc:.4f}, KS {ks:.4f}", session.last_run, sep="\n\n")


if __name__ == "__main__":
    main()
