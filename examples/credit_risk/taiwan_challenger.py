"""Champion against challenger: a score card and boosted trees on the same split of the Taiwan credit-card data.

``bank`` knows limits, demographics and who defaulted; ``partner`` saw how the same clients paid. Both models are fitted
on the rows marked for training and measured on the others; rows, bins, splits and scores stay secret.

    python examples/credit_risk/taiwan_challenger.py
"""

from pathlib import Path
from typing import Any

import pandas as pd

import mpc_engine as mpc
from mpc_engine.ml import GradientBoostingClassifier, LogisticRegression, WoeEncoder
from mpc_engine.ml.metrics import ks_score, roc_auc_score

DATA = Path(__file__).resolve().parents[1] / "data" / "taiwan_credit.parquet"
KEY, TARGET = "customer_id", "default"
AT_BANK = ["limit_bal", "sex", "education", "marriage", "age"]
AT_PARTNER = [
    *(f"pay_status_{month}" for month in (0, 2, 3, 4, 5, 6)),
    *(f"bill_amt_{month}" for month in range(1, 7)),
    *(f"pay_amt_{month}" for month in range(1, 7)),
]
FEATURES = [*AT_BANK, *AT_PARTNER]


def tables(rows: int = 30_000) -> dict[str, dict[str, pd.DataFrame]]:
    """Return each owner's table of the first `rows` clients; every fifth is kept from training."""
    clients = pd.read_parquet(DATA).head(rows)
    held = clients[[KEY, *AT_BANK, TARGET]].assign(held_out=clients[KEY] % 5 == 0)
    partner = clients[[KEY, *AT_PARTNER]].sample(frac=1, random_state=5).reset_index(drop=True)
    return {"bank": {"clients": held}, "partner": {"payments": partner}}


def run(session: mpc.Session, *, trees: int = 50) -> pd.DataFrame:
    """Fit both models; return AUC and KS of each on the clients that neither saw."""
    joint = session.table("bank.clients").merge(session.table("partner.payments"), on=KEY)
    train, test = joint[~joint["held_out"]], joint[joint["held_out"]]
    encoder = WoeEncoder(max_bins=10, trend="auto")
    weighed = encoder.fit(train[FEATURES], train[TARGET]).transform(train[FEATURES])
    champion = LogisticRegression().fit(weighed, weighed.assign(y=train[TARGET])["y"])
    challenger = GradientBoostingClassifier(n_estimators=trees, max_depth=4, max_bins=16)
    challenger.fit(train[FEATURES], train[TARGET])
    found: dict[str, Any] = {
        "score card": champion.predict_proba(encoder.transform(test[FEATURES])),
        "trees": challenger.predict_proba(test[FEATURES]),
    }
    labels = {name: risk.to_frame().assign(y=test[TARGET])["y"] for name, risk in found.items()}
    wanted = [metric(labels[name], found[name]) for name in found for metric in (roc_auc_score, ks_score)]
    values = iter(mpc.collect(*wanted, to="bank"))
    return pd.DataFrame({name: {"AUC": next(values), "KS": next(values)} for name in found}).T


def main() -> None:
    """Run among three parties, each in a process of its own."""
    with mpc.Session.local(tables(), protocol="aby3", executor="ray", timeout=300) as session:
        print(run(session).round(4))
        print(session.last_run)


if __name__ == "__main__":
    main()
