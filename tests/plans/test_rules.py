"""Each rewrite rule as a pair of plans, before and after; and no rule changes any result."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import mpc_engine as mpc
from mpc_compiler.check import schema_of
from mpc_compiler.ir import (
    Agg,
    Aggregate,
    DType,
    Field,
    Filter,
    Item,
    Join,
    Limit,
    Local,
    Output,
    Plan,
    Project,
    Rel,
    Scan,
    Sort,
    SortBy,
    Union,
    Win,
    Window,
    call,
    column,
    literal,
    make,
)
from mpc_compiler.ir.show import show_plan
from mpc_compiler.rules import RULES, SECRET_RULES, rewrite
from mpc_compiler.rules.bound_quotients import bound_quotients
from mpc_compiler.rules.carry_late import carry_late
from mpc_compiler.rules.choose_joins import choose_joins
from mpc_compiler.rules.compare_exactly import compare_exactly
from mpc_compiler.rules.examples import accounts, bureau, expression, filtered, join, joined, keyed, loans, project
from mpc_compiler.rules.group_before_outer import group_before_outer
from mpc_compiler.rules.group_below import group_below
from mpc_compiler.rules.hide_joins import hide_joins
from mpc_compiler.rules.join_own_first import join_own_first
from mpc_compiler.rules.keep_with_owner import keep_with_owner
from mpc_compiler.rules.merge_projections import merge_projections
from mpc_compiler.rules.place_local import place_local, place_scans
from mpc_compiler.rules.prune_columns import prune_columns
from mpc_compiler.rules.push_filters import push_filters
from mpc_compiler.rules.push_projections import push_projections
from mpc_compiler.rules.raise_above_joins import raise_above_joins
from mpc_compiler.rules.reduce_keys import reduce_keys
from mpc_compiler.rules.sink_rows import sink_rows
from mpc_compiler.rules.verify import RuleError, verify
from tests.conftest import SessionFor
from tests.strategies import Plan as Pipeline
from tests.strategies import compare, plans

Rule = Callable[[Plan], Plan]
PAIRS = Path(__file__).with_name("pairs")


def plan_of(*rels: Rel) -> Plan:
    return Plan(tuple(Output(f"result_{k}", rel, ("a",)) for k, rel in enumerate(rels, 1)))


def grouped(rel: Rel, key: str, **aggs: tuple[str, str]) -> Rel:
    return make(Aggregate(rel, (key,), tuple(Agg(name, how, column) for name, (how, column) in aggs.items())))


def sorted_by(rel: Rel, name: str) -> Rel:
    return make(Sort(rel, (SortBy(name, False),)))


def joined_as(how: str) -> Rel:
    return make(Join(loans, accounts, ("id",), ("key",), how))


def windowed(rel: Rel) -> Rel:
    wins = (Win("place", "row_number"), Win("before", "lag", "bad"))
    return make(Window(rel, ("age",), (SortBy("id"),), wins))


def both_owners() -> Rel:
    """Two parts of the same columns."""
    return make(
        Union(project(loans, k="id", v="age", w="bad"), project(accounts, k="key", v="balance", w="balance * 2"))
    )


def _oldest() -> Rel:
    return make(Aggregate(loans, (), (Agg("oldest", "max", "age"),)))


def above_average() -> Rel:
    """Loans above half of an average that is made below a join: TPC-H's query 17."""
    sums = make(Aggregate(accounts, ("key",), (Agg("total", "sum", "balance"), Agg("n", "size"))))
    mean = call("div", column("total"), call("nonzero", column("n")))
    averages = make(Project(sums, (Item("key", column("key")), Item("mean", call("mul", literal(0.5), mean)))))
    return make(Filter(join(loans, averages, "id", "key"), call("gt", column("age"), column("mean"))))


def table(owner: str, named: str, rows: int, *keys: str, **columns: int) -> Rel:
    fields = tuple(Field(column, DType("int", lo=0, hi=hi), (owner,)) for column, hi in columns.items())
    return make(Scan(f"{owner}.{named}", owner, fields, rows, (keys,) if keys else ()))


entries = table("a", "entries", 1000, who=49, amount=999)
people = table("b", "people", 50, "person", person=49, name=9, region=5)
regions = table("b", "regions", 6, "code", code=5, title=9)
elsewhere = table("c", "regions", 6, "code", code=5, title=9)
elsewhere_people = join(people, elsewhere, "region", "code")
days = table("a", "days", 50, "day", day=49, town=5)
looked_up = join(entries, people, "who", "person")
all_people = make(Join(people, entries, ("person",), ("who",), "left"))


def carried(rel: Rel, key: str, names: tuple[str, ...]) -> Rel:
    """Groups with what they carry, and a sum."""
    below = rel if rel != entries else looked_up
    aggs = (*(Agg(name, "any", name) for name in names), Agg("total", "sum", "amount"))
    return make(Aggregate(below, (key,), aggs))


def part_of_whole() -> Rel:
    """What part of the balances over 5 makes of all, in percent."""
    part = call("where", call("gt", column("balance"), literal(5)), column("balance"), literal(0))
    both = make(Project(accounts, (Item("part", part), Item("whole", column("balance")))))
    sums = make(Aggregate(both, (), (Agg("part", "sum", "part"), Agg("whole", "sum", "whole"))))
    share = call("div", call("mul", literal(100), column("part")), call("nonzero", column("whole")))
    return make(Project(sums, (Item("percent", share),)))


THREE = join(joined, bureau, "id", "person")
CASES: dict[str, tuple[Rule, Plan]] = {
    "merge_projections": (merge_projections, plan_of(project(project(loans, y="age * 2", id="id"), z="y + id"))),
    "merge_projections_keeps_what_is_read_twice": (
        merge_projections,
        plan_of(project(project(loans, y="age * 2"), z="y + y")),
    ),
    "push_filters": (push_filters, plan_of(filtered(joined, "age > 3 & balance > age & balance < 9"))),
    "push_filters_below_sort_and_group": (
        push_filters,
        plan_of(filtered(sorted_by(grouped(loans, "age", n=("sum", "bad")), "n"), "age > 3 & n > 1")),
    ),
    "push_filters_not_below_limit": (push_filters, plan_of(filtered(make(Limit(loans, 3)), "age > 3"))),
    "push_filters_not_into_a_shared_join": (push_filters, plan_of(filtered(joined, "age > 3"), joined)),
    "push_filters_left_join": (push_filters, plan_of(filtered(joined_as("left"), "age > 3 & balance < 9"))),
    "push_filters_right_join": (push_filters, plan_of(filtered(joined_as("right"), "age > 3 & balance < 9"))),
    "push_filters_outer_join": (push_filters, plan_of(filtered(joined_as("outer"), "age > 3 & balance < 9"))),
    "push_filters_anti_join": (push_filters, plan_of(filtered(joined_as("anti"), "age > 3"))),
    "push_filters_union": (push_filters, plan_of(filtered(both_owners(), "v > 3 & w > k"))),
    "push_filters_window": (push_filters, plan_of(filtered(windowed(loans), "age > 3 & id > 5 & place < 2"))),
    "raise_above_joins": (raise_above_joins, plan_of(join(filtered(joined, "balance > age"), bureau, "id", "person"))),
    "raise_above_joins_projection": (
        raise_above_joins,
        plan_of(join(project(joined, id="id", y="age + balance"), bureau, "id", "person")),
    ),
    "push_projections": (push_projections, plan_of(project(joined, y="age * 2 + balance"))),
    "push_projections_under_a_filter": (push_projections, plan_of(filtered(joined, "age * 2 > balance + 1"))),
    "push_projections_three_owners": (push_projections, plan_of(project(THREE, y="score * 2 + age * 3 + balance"))),
    "prune_columns": (
        prune_columns,
        plan_of(project(joined, y="age + balance"), grouped(loans, "bad", n=("sum", "age"))),
    ),
    "prune_columns_of_joins": (
        prune_columns,
        plan_of(project(joined_as("semi"), y="age"), project(joined_as("outer"), y="balance")),
    ),
    "prune_columns_of_a_union": (prune_columns, plan_of(project(both_owners(), y="v"))),
    "prune_columns_of_a_window": (
        prune_columns,
        plan_of(project(windowed(loans), y="place"), project(windowed(filtered(loans, "age > 3")), y="bad")),
    ),
    "place_local": (place_local, plan_of(join(filtered(loans, "age > 3"), accounts, "id", "key"))),
    "place_local_whole": (place_local, plan_of(grouped(loans, "bad", n=("sum", "age")))),
    "place_scans": (place_scans, plan_of(filtered(loans, "age > 3"))),
    "keep_with_owner": (
        keep_with_owner,
        plan_of(make(Filter(joined, call("gt", call("draw", column("age"), literal(1)), column("balance"))))),
    ),
    "choose_joins": (choose_joins, plan_of(make(Join(Local("a", loans), Local("b", accounts), ("id",), ("key",))))),
    "choose_joins_outer": (
        choose_joins,
        plan_of(make(Join(Local("a", loans), Local("b", accounts), ("id",), ("key",), "left"))),
    ),
    "sink_rows": (
        sink_rows,
        plan_of(make(Join(filtered(joined, "balance > age"), _oldest(), (), (), "cross"))),
    ),
    "hide_joins": (hide_joins, plan_of(joined)),
    "bound_quotients": (bound_quotients, plan_of(part_of_whole())),
    "compare_exactly": (compare_exactly, plan_of(above_average())),
    "place_scans_below_a_merge": (
        place_scans,
        plan_of(filtered(join(filtered(loans, "age > 3"), accounts, "id", "key"), "age > 5")),
    ),
}


CASES |= {
    "reduce_keys": (reduce_keys, plan_of(make(Aggregate(keyed, ("id", "age", "key"), (Agg("n", "size"),))))),
    "reduce_keys_only_by_those_before": (
        reduce_keys,
        plan_of(make(Aggregate(keyed, ("age", "id"), (Agg("n", "size"),)))),
    ),
    "reduce_keys_of_a_sort": (
        reduce_keys,
        plan_of(make(Sort(keyed, (SortBy("age"), SortBy("id", False), SortBy("balance"), SortBy("bad"))))),
    ),
    "reduce_keys_of_a_window": (
        reduce_keys,
        plan_of(make(Window(keyed, ("id", "bad"), (SortBy("age"),), (Win("n", "row_number"),)))),
    ),
    "carry_late": (carry_late, plan_of(carried(entries, "who", ("name", "region")))),
    "carry_late_what_carried_keys_look_up": (
        carry_late,
        plan_of(carried(join(join(entries, people, "who", "person"), regions, "region", "code"), "who", ("title",))),
    ),
    "carry_late_through_what_is_needed_for_each_row": (
        carry_late,
        plan_of(
            carried(join(entries, join(people, elsewhere, "region", "code"), "who", "person"), "region", ("title",))
        ),
    ),
    "carry_late_not_first": (
        carry_late,
        plan_of(make(Aggregate(looked_up, ("who",), (Agg("name", "any", "name"), Agg("x", "first", "amount"))))),
    ),
    "join_own_first": (
        join_own_first,
        plan_of(join(looked_up, days, "amount", "day")),
    ),
    "join_own_first_what_others_lead_to": (
        join_own_first,
        plan_of(
            join(entries, join(table("a", "days", 50, "day", day=49, town=5), regions, "town", "code"), "who", "day")
        ),
    ),
    "join_own_first_already": (
        join_own_first,
        plan_of(
            join(join(entries, table("a", "days", 50, "day", day=49, month=11), "who", "day"), people, "who", "person")
        ),
    ),
    "group_before_outer": (
        group_before_outer,
        plan_of(
            make(
                Aggregate(
                    project(all_people, person="person", name="name", amount="amount", twice="amount * 2"),
                    ("person",),
                    (
                        Agg("n", "size"),
                        Agg("c", "count", "amount"),
                        Agg("t", "sum", "twice"),
                        Agg("name", "any", "name"),
                    ),
                    ordered=False,
                )
            )
        ),
    ),
    "group_before_outer_not_by_less": (
        group_before_outer,
        plan_of(make(Aggregate(all_people, ("name",), (Agg("c", "count", "amount"),)))),
    ),
    "group_before_outer_not_what_missing_rows_have": (
        group_before_outer,
        plan_of(
            make(
                Aggregate(
                    make(
                        Project(
                            all_people,
                            (Item("person", column("person")), Item("x", call("fillna", column("amount"), literal(7)))),
                        )
                    ),
                    ("person",),
                    (Agg("x", "sum", "x"),),
                )
            )
        ),
    ),
    "group_below": (
        group_below,
        plan_of(
            make(
                Aggregate(
                    project(filtered(looked_up, "amount > 3 & region > who"), region="region", x="amount * 2"),
                    ("region",),
                    (Agg("x", "sum", "x"), Agg("n", "size"), Agg("m", "max", "x")),
                )
            )
        ),
    ),
    "group_below_on_a_condition_of_others": (
        group_below,
        plan_of(
            make(
                Aggregate(
                    make(
                        Project(
                            looked_up,
                            (
                                Item("region", column("region")),
                                Item("x", call("where", expression("name > 3"), column("amount"), literal(0))),
                            ),
                        )
                    ),
                    ("region",),
                    (Agg("x", "sum", "x"),),
                )
            )
        ),
    ),
    "group_below_what_the_owner_looks_up_itself": (
        group_below,
        plan_of(
            make(
                Aggregate(
                    join(looked_up, days, "who", "day"),
                    ("region", "town"),
                    (Agg("n", "size"),),
                )
            )
        ),
    ),
    "group_below_not_what_others_hold": (
        group_below,
        plan_of(make(Aggregate(looked_up, ("region",), (Agg("x", "sum", "name"),)))),
    ),
    "group_below_not_under_an_intersection": (
        group_below,
        plan_of(make(Aggregate(keyed, ("balance",), (Agg("x", "sum", "age"),)))),
    ),
    "carry_late_not_what_differs": (carry_late, plan_of(carried(looked_up, "amount", ("name",)))),
}


def text_of(rule: Rule, plan: Plan) -> str:
    return f"before\n{show_plan(plan)}\n\nafter {rule.__name__}\n{show_plan(rule(plan))}\n"


@pytest.mark.parametrize("name", CASES)
def test_pair(name: str) -> None:
    """To record a new pair, write an empty file and copy what the failure shows."""
    rule, plan = CASES[name]
    assert text_of(rule, plan) == (PAIRS / f"{name}.txt").read_text()


def test_every_rule_has_a_pair() -> None:
    assert {rule for rule, _ in CASES.values()} == {*RULES, *SECRET_RULES, hide_joins}
    assert {path.stem for path in PAIRS.iterdir()} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_a_rule_has_nothing_left_to_do_on_its_own_result(name: str) -> None:
    rule, plan = CASES[name]
    if rule in (merge_projections, push_filters, push_projections, raise_above_joins):
        after = rule(plan)
        assert rule(after) == after


def test_three_owners_leave_no_filter_below_a_join() -> None:
    """A filter over two owners that push_filters moved below the third's join would be where nobody can compute it."""
    plan = rewrite(plan_of(filtered(THREE, "age > balance & score > 3")))[-1][1]
    lines = [line.strip() for line in show_plan(plan).splitlines()]
    assert lines[1] == "filter (age > balance)"
    assert [line.removesuffix(" by intersection") for line in lines[2:4]] == ["join on id = person", "join on id = key"]
    assert lines[-2:] == ["filter (score > 3)", "scan c.bureau [person, score] 6 rows of c"]


def test_the_verifier_names_the_rule() -> None:
    def rename(plan: Plan) -> Plan:
        return plan_of(*(project(output.rel, x="age") for output in plan.outputs))

    def retype(plan: Plan) -> Plan:
        return plan_of(*(project(output.rel, age="age * 0.5") for output in plan.outputs))

    def drop(plan: Plan) -> Plan:
        return plan_of()

    before = plan_of(project(loans, age="age"))
    for rule, message in (
        (rename, "rename changed the columns of 'result_1' from age to x"),
        (retype, "retype changed 'age' from int to float"),
        (drop, "drop changed the outputs or their receivers"),
    ):
        with pytest.raises(RuleError, match=re.escape(message)):
            verify(before, rule(before), rule.__name__)


def test_every_explained_stage_is_there(session_for: SessionFor) -> None:
    session = session_for("plaintext", "threads", pushdown=True)
    both = session.table("a.plain").merge(session.table("b.plain"), on="id")
    frame = both[both.i > both.bal].assign(z=lambda t: t.i * 2 + t.bal)
    for stage in ("logical", "physical", "partition", *(rule.__name__ for rule in RULES)):
        explained = frame.explain(stage)
        assert explained.text
        assert "<pre>" in explained._repr_html_()
        assert explained.disclosures == frame.explain().disclosures


@given(batch=st.lists(plans(), min_size=12, max_size=12))
@settings(max_examples=20, phases=[Phase.generate])
def test_every_rule_keeps_columns_and_types(session_for: SessionFor, batch: list[Pipeline]) -> None:
    session = session_for("plaintext", "threads", pushdown=True)
    plan = session._plan([pipeline.on(session.table) for pipeline in batch], None)
    for pushdown in (True, False):
        for name, after in rewrite(plan, pushdown=pushdown):
            for old, new in zip(plan.outputs, after.outputs, strict=True):
                was, now = schema_of(old.rel), schema_of(new.rel)
                assert [(f.name, f.dtype) for f in was] == [(f.name, f.dtype) for f in now], name


@given(batch=st.lists(plans(), min_size=12, max_size=12))
@settings(max_examples=8, phases=[Phase.generate])
def test_rewriting_changes_no_result(session_for: SessionFor, batch: list[Pipeline]) -> None:
    """The same plans with the whole pipeline, and with no more than what makes them runnable."""
    full = session_for("plaintext", "threads", pushdown=True)
    bare = session_for("plaintext", "threads", pushdown=False)
    ours = mpc.collect(*(pipeline.on(full.table) for pipeline in batch))
    theirs = mpc.collect(*(pipeline.on(bare.table) for pipeline in batch))
    for pipeline, a, b in zip(batch, ours, theirs, strict=True):
        assert compare(pipeline, a, b) == "", pipeline


def test_options_decide_the_pipeline() -> None:
    plan = plan_of(filtered(joined, "age > 3"))
    assert [name for name, _ in rewrite(plan)] == [rule.__name__ for rule in RULES]
    assert [name for name, _ in rewrite(plan, pushdown=False)] == [rule.__name__ for rule in SECRET_RULES]


def test_tables_of_one_owner_are_joined_by_that_owner() -> None:
    more = make(Scan("a.more", "a", tuple(schema_of(accounts)), 4))
    both = make(Join(loans, more, ("id",), ("key",)))
    for pushdown in (True, False):
        text = show_plan(rewrite(plan_of(both), pushdown=pushdown)[-1][1])
        assert text.index("local to a") < text.index("join on id = key")
