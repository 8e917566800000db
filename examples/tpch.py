"""Eight queries of TPC-H as one would write them in pandas.

``python examples/tpch.py`` runs them over tables of two owners, three parties under ``aby3``. The SQL of the same
queries is in ``mpc_engine/cli/tpch``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date

import mpc_engine as mpc

Tables = Mapping[str, mpc.DataFrame]


def tables_of(session: mpc.Session) -> dict[str, mpc.DataFrame]:
    """All tables by their own name; one that several owners hold is the rows of all of them."""
    parts: dict[str, list[mpc.DataFrame]] = {}
    for name in session.tables():
        parts.setdefault(name.split(".")[1], []).append(session.table(name))
    return {name: held[0] if len(held) == 1 else mpc.concat(held) for name, held in parts.items()}


def revenue(lines: mpc.DataFrame) -> mpc.Series:
    """The price of line items after discount."""
    return lines.l_extendedprice * (1 - lines.l_discount)


def q01(t: Tables) -> mpc.DataFrame:
    """Pricing summary."""
    lines = t["lineitem"]
    lines = lines[lines.l_shipdate <= date(1998, 9, 2)]
    lines = lines.assign(net=revenue, gross=lambda x: revenue(x) * (1 + x.l_tax))
    found = lines.groupby(["l_returnflag", "l_linestatus"]).agg(
        sum_qty=("l_quantity", "sum"),
        sum_base_price=("l_extendedprice", "sum"),
        sum_disc_price=("net", "sum"),
        sum_charge=("gross", "sum"),
        avg_qty=("l_quantity", "mean"),
        avg_price=("l_extendedprice", "mean"),
        avg_disc=("l_discount", "mean"),
        count_order=("l_quantity", "size"),
    )
    return found.sort_values(["l_returnflag", "l_linestatus"])


def q03(t: Tables) -> mpc.DataFrame:
    """Shipping priority."""
    customers, orders, lines = t["customer"], t["orders"], t["lineitem"]
    customers = customers[customers.c_mktsegment == "BUILDING"]
    orders = orders[orders.o_orderdate < date(1995, 3, 15)]
    lines = lines[lines.l_shipdate > date(1995, 3, 15)]
    joined = lines.merge(orders, left_on="l_orderkey", right_on="o_orderkey")
    joined = joined.merge(customers, left_on="o_custkey", right_on="c_custkey")
    joined = joined.assign(revenue=revenue)
    found = joined.groupby(["l_orderkey", "o_orderdate", "o_shippriority"]).agg(revenue=("revenue", "sum"))
    return found.sort_values(["revenue", "o_orderdate"], ascending=[False, True]).head(10)


def q04(t: Tables) -> mpc.DataFrame:
    """Order priority checking."""
    orders, lines = t["orders"], t["lineitem"]
    orders = orders[(orders.o_orderdate >= date(1993, 7, 1)) & (orders.o_orderdate < date(1993, 10, 1))]
    late = lines[lines.l_commitdate < lines.l_receiptdate]
    orders = orders.merge(late, left_on="o_orderkey", right_on="l_orderkey", how="semi")
    return orders.groupby("o_orderpriority").agg(order_count=("o_orderkey", "size")).sort_values("o_orderpriority")


def q05(t: Tables) -> mpc.DataFrame:
    """Local supplier volume."""
    orders, region = t["orders"], t["region"]
    orders = orders[(orders.o_orderdate >= date(1994, 1, 1)) & (orders.o_orderdate < date(1995, 1, 1))]
    nation = t["nation"].merge(region[region.r_name == "ASIA"], left_on="n_regionkey", right_on="r_regionkey")
    supplier = t["supplier"].merge(nation, left_on="s_nationkey", right_on="n_nationkey")
    joined = t["lineitem"].merge(orders, left_on="l_orderkey", right_on="o_orderkey")
    joined = joined.merge(t["customer"], left_on="o_custkey", right_on="c_custkey")
    joined = joined.merge(supplier, left_on=["l_suppkey", "c_nationkey"], right_on=["s_suppkey", "s_nationkey"])
    joined = joined.assign(revenue=revenue)
    return joined.groupby("n_name").agg(revenue=("revenue", "sum")).sort_values("revenue", ascending=False)


def q06(t: Tables) -> mpc.DataFrame:
    """Forecast of revenue change."""
    lines = t["lineitem"]
    lines = lines[
        (lines.l_shipdate >= date(1994, 1, 1))
        & (lines.l_shipdate < date(1995, 1, 1))
        & lines.l_discount.between(0.05, 0.07)
        & (lines.l_quantity < 24)
    ]
    return lines.assign(saved=lambda x: x.l_extendedprice * x.l_discount).agg(revenue=("saved", "sum"))


def q12(t: Tables) -> mpc.DataFrame:
    """Shipping modes and order priority."""
    lines = t["lineitem"]
    lines = lines[
        lines.l_shipmode.isin(["MAIL", "SHIP"])
        & (lines.l_commitdate < lines.l_receiptdate)
        & (lines.l_shipdate < lines.l_commitdate)
        & (lines.l_receiptdate >= date(1994, 1, 1))
        & (lines.l_receiptdate < date(1995, 1, 1))
    ]
    joined = lines.merge(t["orders"], left_on="l_orderkey", right_on="o_orderkey")
    joined = joined.assign(high=lambda x: x.o_orderpriority.isin(["1-URGENT", "2-HIGH"]).astype(int))
    joined = joined.assign(low=lambda x: 1 - x.high)
    found = joined.groupby("l_shipmode").agg(high_line_count=("high", "sum"), low_line_count=("low", "sum"))
    return found.sort_values("l_shipmode")


def q14(t: Tables) -> mpc.DataFrame:
    """Promotion effect."""
    lines, part = t["lineitem"], t["part"]
    lines = lines[(lines.l_shipdate >= date(1995, 9, 1)) & (lines.l_shipdate < date(1995, 10, 1))]
    part = part.assign(promoted=part.p_type.str.startswith("PROMO"))
    joined = lines.merge(part, left_on="l_partkey", right_on="p_partkey").assign(revenue=revenue)
    joined = joined.assign(promo=lambda x: x.revenue.where(x.promoted, 0))
    sums = joined.agg(promo=("promo", "sum"), revenue=("revenue", "sum"))
    share = 100 * sums.promo / sums.revenue.where(sums.revenue != 0)
    return sums.assign(promo_revenue=share)[["promo_revenue"]]


def q18(t: Tables) -> mpc.DataFrame:
    """Large volume customers."""
    lines = t["lineitem"]
    large = lines.groupby("l_orderkey").agg(quantity=("l_quantity", "sum"))
    large = large[large.quantity > 300]
    joined = t["orders"].merge(large, left_on="o_orderkey", right_on="l_orderkey")
    joined = joined.merge(t["customer"], left_on="o_custkey", right_on="c_custkey")
    found = joined[["c_name", "c_custkey", "o_orderkey", "o_orderdate", "o_totalprice", "quantity"]]
    return found.sort_values(["o_totalprice", "o_orderdate"], ascending=[False, True]).head(100)


QUERIES: dict[int, Callable[[Tables], mpc.DataFrame]] = {
    1: q01,
    3: q03,
    4: q04,
    5: q05,
    6: q06,
    12: q12,
    14: q14,
    18: q18,
}
"""By number."""


def main() -> None:
    """Run all of them at a small scale."""
    from mpc_engine.cli.tpch import generate, sources

    with mpc.Session.local(sources(generate(0.01), "owners")) as session:
        tables = tables_of(session)
        for number, query in QUERIES.items():
            print(f"query {number}: {query.__doc__}")
            print(query(tables).collect())


if __name__ == "__main__":
    main()
