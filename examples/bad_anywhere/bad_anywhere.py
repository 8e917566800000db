# %% [markdown]
"""# Bad anywhere: a target that no bank can compute alone.

A borrower who stops paying at one bank is a bad risk for every bank, but each bank sees its own accounts only. Here
`bank_a` lends, and asks: which of my customers fell two months behind, *with me or with* `bank_b`? Neither bank shows
the other an account, and `bank_b` does not learn which of its customers apply at `bank_a`.

Run it as a script, or open it as a notebook (jupytext's percent format):

    python examples/bad_anywhere/bad_anywhere.py

The data are real: the monthly records of the first 6,000 clients of *Default of Credit Card Clients* (Yeh and Lien
2009). It has one card a client; to make two banks of it, the six months of each card are dealt out in turn, as if most
clients had an account at each bank. A fifth of the clients is at `bank_a` alone, a fifth at `bank_b` alone.
"""

# %%
from pathlib import Path

import pandas as pd

import mpc_engine as mpc
from mpc_engine.ml import ScoreCard, WoeEncoder, match_report, metrics, train_test_split

DATA = Path(__file__).resolve().parents[1] / "data" / "taiwan_credit.parquet"
KEY = "customer_id"
DELAYS = dict(
    zip(range(4, 10), [f"pay_status_{number}" for number in (6, 5, 4, 3, 2, 0)], strict=True)
)  # April to September


def tables(clients: int = 6_000) -> dict[str, dict[str, pd.DataFrame]]:
    """Return each bank's tables: applications at bank_a, and one row an account and month at both."""
    everyone = pd.read_parquet(DATA).head(clients)
    months = [
        pd.DataFrame(
            {
                KEY: everyone[KEY],
                "month": month,
                "months_late": everyone[status].clip(lower=0),
                "balance": everyone[f"bill_amt_{10 - month}"],
                "paid": everyone[f"pay_amt_{10 - month}"],
            }
        )
        for month, status in DELAYS.items()
    ]
    accounts = pd.concat(months, ignore_index=True)
    turn, even = accounts[KEY] % 10, accounts["month"] % 2 == 0
    at_a, at_b = turn.isin([6, 7]) | (turn < 6) & even, turn.isin([8, 9]) | (turn < 6) & ~even
    known = everyone[everyone[KEY] % 10 < 8]
    return {
        "bank_a": {"applications": known[[KEY, "limit_bal", "age", "education"]], "accounts": accounts[at_a]},
        "bank_b": {"accounts": accounts[at_b].sample(frac=1, random_state=1).reset_index(drop=True)},
    }


session = mpc.Session.local(tables(), protocol="aby3", executor="ray", timeout=300)

# %% [markdown]
# ## How many customers do the banks have in common?
#
# Counted on shares: nobody learns who they are.

# %%
applications = session.table("bank_a.applications")
report = match_report(applications, session.table("bank_b.accounts"), on=KEY).collect(to="bank_a")
print(report)


# %% [markdown]
# ## What each bank knows of a customer
#
# The first three months are what a score may look at, the last three are the outcome. Both are aggregates of one bank's
# own rows, which it computes alone.


# %%
def customers(bank: str) -> mpc.DataFrame:
    """Return one row a customer of the bank: what it saw until June, and the longest delay since."""
    accounts = session.table(f"{bank}.accounts")
    seen = (
        accounts[accounts["month"] <= 6]
        .groupby(KEY)
        .agg(late=("months_late", "max"), balance=("balance", "max"), paid=("paid", "sum"))
    )
    outcome = accounts[accounts["month"] > 6].groupby(KEY).agg(worst=("months_late", "max"))
    return seen.reset_index().merge(outcome.reset_index(), on=KEY)


# %% [markdown]
# ## The joint target
#
# A left merge keeps all of `bank_a`'s customers. It runs on shares: whether a customer is at `bank_b`, too, stays
# secret, and is a bin of its own ("missing") for each of `bank_b`'s features.

# %%
BAD = 2  # months late
joint = applications.merge(customers("bank_a"), on=KEY)
joint = joint.merge(customers("bank_b"), on=KEY, how="left", suffixes=("", "_at_b"))
joint = joint.assign(
    bad_here=lambda t: (t["worst"] >= BAD).astype(int),
    bad_anywhere=lambda t: ((t["worst"] >= BAD) | (t["worst_at_b"] >= BAD).fillna(False)).astype(int),
)
rates = joint.agg(customers=(KEY, "size"), bad_here=("bad_here", "mean"), bad_anywhere=("bad_anywhere", "mean"))
rates = rates.collect(to="bank_a")
print(rates)

# %% [markdown]
# ## Two score cards
#
# One as `bank_a` would make it alone, of its own columns and its own bad customers; one of both banks' columns against
# the joint target. Both are measured by the joint target, on customers that neither was fitted on.

# %%
OWN = ["limit_bal", "age", "education", "late", "balance", "paid"]
ALL = [*OWN, "late_at_b", "balance_at_b", "paid_at_b"]
delays = {name: [1, 2] for name in ("late", "late_at_b")}
train, test = train_test_split(joint, test_size=0.3, random_state=7, key=KEY)


def card(features: list[str], target: str) -> ScoreCard:
    """Return a card fitted on the training part."""
    encoder = WoeEncoder(max_bins=6, edges={name: cuts for name, cuts in delays.items() if name in features})
    return ScoreCard(encoder, base_odds=20).fit(train[features], train[target])


alone, together = card(OWN, "bad_here"), card(ALL, "bad_anywhere")
label = test["bad_anywhere"]
chances = {"alone": alone.predict_proba(test[OWN]), "together": together.predict_proba(test[ALL])}
measures = [metrics.roc_auc_score, metrics.ks_score, metrics.log_loss, metrics.brier_score]
found = mpc.collect(*(measure(label, chance) for chance in chances.values() for measure in measures), to="bank_a")
run = session.last_run
names = ["AUC", "KS", "log loss", "Brier"]
quality = pd.DataFrame({name: found[4 * at : 4 * at + 4] for at, name in enumerate(chances)}, index=names)
print(quality.round(4))

# %% [markdown]
# The card of one bank ranks customers nearly as well, but takes them for better risks than they are: a quarter of the
# bad ones pay it and stop paying the other bank. That is in the log loss and the Brier score.

# %% [markdown]
# ## The points
#
# Each bank gets the points of its own bins, and scores its own part of an application.

# %%
points = {bank: together.points(to=bank) for bank in ("bank_a", "bank_b")}
for bank, table in points.items():
    print(f"Points of {bank}", table.to_string(index=False), sep="\n", end="\n\n")

# %% [markdown]
# ## What was disclosed, and what it took
#
# For the two cards and their measures, in one run.

# %%
print(run)
session.close()
