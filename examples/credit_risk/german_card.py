# %% [markdown]
"""# A joint score card, end to end.

`bank_a` took credit applications and knows who paid back; `bank_b` keeps the same people's accounts (Statlog German
Credit, split between two owners). Each cuts its own columns into bins, in the clear; counts of bad loans by bin, the
regression and the scores stay secret. In the end each bank has the points of its own bins, and `bank_a` a page about
how good the card is.

Run it as a script, or open it as a notebook (jupytext's percent format):

    python examples/credit_risk/german_card.py
"""

# %%
from pathlib import Path

import pandas as pd

import mpc_engine as mpc
from mpc_engine.ml import ScoreCard, WoeEncoder, evaluate, match_report, train_test_split

DATA = Path(__file__).resolve().parents[1] / "data" / "german_credit.csv"
REPORT = "german_card.html"

KEY = "customer_id"
AT_BANK_A = ["duration_in_month", "credit_amount", "age_in_years", "purpose"]
AT_BANK_B = ["status_of_existing_checking_account", "savings_account_and_bonds", "credit_history"]
FEATURES = [*AT_BANK_A, *AT_BANK_B]

# %% [markdown]
# ## The owners' tables
#
# Whether someone has savings is not known for 183 people: a missing value, which gets a bin of its own.

# %%
everyone = pd.read_csv(DATA)
applications = everyone[[KEY, *AT_BANK_A, "creditability"]]
accounts = everyone[[KEY, *AT_BANK_B]].sample(frac=1, random_state=4).reset_index(drop=True)
savings = accounts["savings_account_and_bonds"]
accounts["savings_account_and_bonds"] = savings.where(savings != "unknown/ no savings account")
session = mpc.Session.local(
    {"bank_a": {"applications": applications}, "bank_b": {"accounts": accounts}}, protocol="aby3", executor="ray"
)
left, right = session.table("bank_a.applications"), session.table("bank_b.accounts")
print(match_report(left, right, on=KEY, min_count=0).collect(to="bank_a"))

# %% [markdown]
# ## Target and split

# %%
joint = left.merge(right, on=KEY).assign(bad=lambda t: (t["creditability"] == "bad").astype(int))
train, test = train_test_split(joint, test_size=0.3, random_state=3, key=KEY)

# %% [markdown]
# ## Bins, weights of evidence, regression, points
#
# 20 points double the odds; 600 points stand for 50 good loans to a bad one. Nothing runs yet.

# %%
encoder = WoeEncoder(max_bins=8, trend="auto", min_count=0.05)
card = ScoreCard(encoder, pdo=20, base_score=600, base_odds=50).fit(train[FEATURES], train["bad"])

# %% [markdown]
# ## How good is it?
#
# Measured on secret scores of people that the card was not fitted on.

# %%
chance, before = (card.predict_proba(part[FEATURES]) for part in (test, train))
report = evaluate(test["bad"], {"score card": chance}, expected={"score card": before}, bins=10).collect(to="bank_a")
print(report.metrics.round(4).T)

# %% [markdown]
# ## Points, each bank its own

# %%
points = {bank: card.points(to=bank) for bank in ("bank_a", "bank_b")}
for bank, table in points.items():
    print(f"Points of {bank}", table.to_string(index=False), sep="\n", end="\n\n")

# %% [markdown]
# ## A released card
#
# If both banks agree that `bank_a` may have all of it, it scores new applications by itself, in whatever system it has:
# SQL, PMML, ONNX, scikit-learn. The page shows measures, curves, and weights of evidence by bin.

# %%
released = card.reveal(to="bank_a")
query = released.to_sql()
print(query.splitlines()[0])
report.to_html(REPORT, title="German score card", more=released.sections())
session.close()
