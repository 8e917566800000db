# %% [markdown]
"""# Champion against challenger: a score card and boosted trees on the same split.

`bank` knows limits, demographics and who defaulted; `partner` saw how the same clients paid their bills. The champion
is a score card, the challenger 50 boosted trees. Both are fitted on the same clients of *Default of Credit Card
Clients* (Yeh and Lien 2009) and measured on the same others; rows, bins, splits and scores stay secret throughout.

Run it as a script, or open it as a notebook (jupytext's percent format):

    python examples/credit_risk/taiwan_challenger.py
"""

# %%
from pathlib import Path

import pandas as pd

import mpc_engine as mpc
from mpc_engine.ml import GradientBoostingClassifier, ScoreCard, WoeEncoder, evaluate, train_test_split

DATA = Path(__file__).resolve().parents[1] / "data" / "taiwan_credit.parquet"
CLIENTS = 30_000
TREES = 50
REPORT = "champion_challenger.html"

KEY, TARGET = "customer_id", "default"
AT_BANK = ["limit_bal", "sex", "education", "marriage", "age"]
AT_PARTNER = [
    *(f"pay_status_{month}" for month in (0, 2, 3, 4, 5, 6)),
    *(f"bill_amt_{month}" for month in range(1, 7)),
    *(f"pay_amt_{month}" for month in range(1, 7)),
]
FEATURES = [*AT_BANK, *AT_PARTNER]

# %% [markdown]
# ## Two owners, one split
#
# A client belongs to the test part by a hash of its number and a public seed: the same clients for both models.

# %%
clients = pd.read_parquet(DATA).head(CLIENTS)
bank = clients[[KEY, *AT_BANK, TARGET]]
partner = clients[[KEY, *AT_PARTNER]].sample(frac=1, random_state=5).reset_index(drop=True)
session = mpc.Session.local(
    {"bank": {"clients": bank}, "partner": {"payments": partner}}, protocol="aby3", executor="ray", timeout=300
)
joint = session.table("bank.clients").merge(session.table("partner.payments"), on=KEY)
train, test = train_test_split(joint, test_size=0.2, random_state=7, key=KEY)

# %% [markdown]
# ## The champion
#
# Owners cut their columns into bins; bins are merged, weighed and turned into points on shares.

# %%
card = ScoreCard(WoeEncoder(max_bins=10, trend="auto"), pdo=20, base_score=600, base_odds=20)
card.fit(train[FEATURES], train[TARGET])

# %% [markdown]
# ## The challenger

# %%
trees = GradientBoostingClassifier(n_estimators=TREES, max_depth=4, max_bins=16)
trees.fit(train[FEATURES], train[TARGET])

# %% [markdown]
# ## Side by side
#
# One run computes all measures: areas under the curve with their intervals and DeLong's test of their difference, KS,
# log loss, Brier score, the stability of scores between both parts, and bands of scores for the curves. Bands of fewer
# than ten clients do not leave the shares.


# %%
def scores(part: mpc.DataFrame) -> dict[str, mpc.Series]:
    """Return the probability of a default as both models see it."""
    return {"score card": card.predict_proba(part[FEATURES]), "trees": trees.predict_proba(part[FEATURES])}


report = evaluate(test[TARGET], scores(test), expected=scores(train), bins=20, min_count=10).collect(to="bank")
print(report.metrics.round(4).T)
print(report.differences.round(5))

# %% [markdown]
# ## One page for the file
#
# Tables, curves, the weights of evidence of the partner's bins (which the partner releases), and everything that was
# disclosed.

# %%
evidence = card.encoder_.reveal(to="bank")
report.to_html(REPORT, title="Champion and challenger", more=evidence.sections())
print(f"{REPORT}: {report.run.seconds:.0f} s, {len(report.run.disclosed)} disclosures")
session.close()
