"""Texts without a public dictionary on shares, against pandas and DuckDB: exact, in the order of their bytes."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import mpc_engine as mpc
from mpc_compiler.ir import JOINS, Agg, Aggregate, DType, Field, Join, SortBy, Union, Win, Window, make
from mpc_engine.errors import RangeError, UnsupportedError
from mpc_engine.frame.base import identity
from mpc_engine.frame.dataframe import DataFrame
from mpc_engine.io import profile
from mpc_engine.io.encode import decode_column, encode

NAMES = [
    *("", "a", "ab", "Zürich", "Zürich-Nord", "日本語テキスト", "abcdefg", "abcdefgh", "abcdefgi", "abcdefgh!"),
    *("a text of more than two words", "🎉 party", "\U0010ffff", "~"),
]
CONSTANTS = [
    "",
    "ab",
    "Zürich",
    "abcdefg",
    "abcdefgh",
    "abcdefghi",
    "a text of more than two words",
    "z" * 60,
    "a" * 60,
]
COMPARISONS = {"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
RNG = np.random.default_rng(3)
ROWS = 40


def _people() -> pd.DataFrame:
    table = pd.DataFrame(
        {"id": range(ROWS), "t": pd.array(RNG.choice(NAMES, ROWS), "str"), "x": RNG.integers(0, 50, ROWS)}
    )
    table.loc[[3, 8, 21], "t"] = None
    return table


PEOPLE = _people()
PLACES = pd.DataFrame({"name": pd.array([*NAMES[1:9], "nowhere"], "str"), "v": range(9)})  # shorter: fewer words
FEW = pd.DataFrame({"k": pd.array(["a", "ab", "Zürich", ""], "str"), "w": [1, 2, 3, 4]})  # has a dictionary


@pytest.fixture(scope="module", params=["plaintext", "aby3"])
def session(request: pytest.FixtureRequest) -> Iterator[mpc.Session]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(profile, "MAX_DICTIONARY", 4)
        tables = {"a": {"people": PEOPLE}, "b": {"places": PLACES, "few": FEW}}
        options = {"executor": "threads", "pushdown": False, "hide_joins": True}
        with mpc.Session.local(tables, protocol=request.param, **options) as made:  # type: ignore[arg-type]
            yield made


def _same(got: pd.DataFrame, want: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(got, want.reset_index(drop=True), check_dtype=False)


def test_what_is_public(session: mpc.Session) -> None:
    people, places, few = (session.table(name)._base for name in ("a.people", "b.places", "b.few"))
    types = [next(f.dtype for f in rel.fields if f.dtype.kind == "string") for rel in (people, places, few)]
    assert [(t.width, t.words, t.domain is None) for t in types] == [(35, 5, True), (21, 3, True), (None, 1, False)]
    shown = session.table("a.people")[["t"]].explain()
    assert "the longest text of a.people.t, rounded up to a multiple of 7 bytes" in str(shown)


def test_comparisons_with_constants(session: mpc.Session) -> None:
    people = session.table("a.people")
    made = people.assign(
        **{
            f"{op}{at}": getattr(people.t, f"__{op}__")(text)
            for at, text in enumerate(CONSTANTS)
            for op in COMPARISONS.values()
        }
    )
    with duckdb.connect() as clear:
        clear.register("people", PEOPLE)
        columns = [
            f"coalesce(t {sign} '{text}', {op == 'ne'}) AS \"{op}{at}\""
            for at, text in enumerate(CONSTANTS)
            for sign, op in COMPARISONS.items()
        ]
        want = clear.sql(f"SELECT id, {', '.join(columns)} FROM people ORDER BY id").df()
    _same(made.drop(columns=["t", "x"]).collect(), want)


def test_filters_missing_texts_and_alternatives(session: mpc.Session) -> None:
    people = session.table("a.people")
    filled = people.t.fillna("missing, and long enough to need another word")
    frames = [
        people[["id", "t"]],
        people[people.t.isin(["", "ab", "z" * 60])][["id", "t"]],
        people[people.t.isna()][["id"]],
        people.assign(t=filled)[["id", "t"]],
        people.assign(t=people.t.where(people.x > 20, "none"))[["t"]],
        people.assign(t=people.t.mask(people.x > 20))[["t"]],
        people.head(5)[["t"]],
    ]
    t, x = PEOPLE.t, PEOPLE.x
    wanted = [
        PEOPLE[["id", "t"]],
        PEOPLE[t.isin(["", "ab"])][["id", "t"]],
        PEOPLE[t.isna()][["id"]],
        PEOPLE.assign(t=t.fillna("missing, and long enough to need another word"))[["id", "t"]],
        pd.DataFrame({"t": t.where(x > 20, "none")}),
        pd.DataFrame({"t": t.mask(x > 20)}),
        PEOPLE.head(5)[["t"]],
    ]
    for got, want in zip(mpc.collect(*frames), wanted, strict=True):
        _same(got, want)


def test_order_and_groups(session: mpc.Session) -> None:
    people = session.table("a.people")
    frames = [
        people.sort_values(["t", "x", "id"])[["id", "t"]],
        people.sort_values(["t", "id"], ascending=[False, True])[["id", "t"]],
        people.groupby("t").agg(n=("x", "size"), s=("x", "sum"), least=("x", "min")),
        people.assign(odd=people.x > 25).groupby(["odd", "t"]).agg(n=("t", "count")),
    ]
    grouped = PEOPLE.assign(odd=PEOPLE.x > 25)
    wanted = [
        PEOPLE.sort_values(["t", "x", "id"])[["id", "t"]],
        PEOPLE.sort_values(["t", "id"], ascending=[False, True])[["id", "t"]],
        PEOPLE.groupby("t").agg(n=("x", "size"), s=("x", "sum"), least=("x", "min")).reset_index(),
        grouped.groupby(["odd", "t"]).agg(n=("t", "count")).reset_index(),
    ]
    for got, want in zip(mpc.collect(*frames), wanted, strict=True):
        _same(got if got.index.name is None and got.index.nlevels == 1 else got.reset_index(), want)


SQL = {"inner": "JOIN", "left": "LEFT JOIN", "right": "RIGHT JOIN", "outer": "FULL JOIN", "semi": "SEMI JOIN"}
SQL["anti"] = "ANTI JOIN"


def _rows(table: pd.DataFrame) -> list[tuple[str, ...]]:
    cells = table.astype(object).where(table.notna(), None)
    return sorted(
        tuple("-" if cell is None else str(cell if isinstance(cell, str) else int(cell)) for cell in row)
        for row in cells.itertuples(index=False, name=None)
    )


def _joined(session: mpc.Session, left: str, right: str, on: tuple[str, str], how: str, *, nulls: bool) -> DataFrame:
    sides = (session.table(name)._base for name in (left, right))
    rel = make(Join(*sides, (on[0],), (on[1],), how, nulls=nulls))
    return DataFrame(session, rel, identity(rel))


@pytest.mark.parametrize(
    ("left", "right", "on"),
    [
        ("a.people", "b.places", ("t", "name")),
        ("b.places", "a.people", ("name", "t")),
        ("a.people", "b.few", ("t", "k")),
        ("b.few", "b.places", ("k", "name")),
    ],
    ids=["wide", "narrow", "dictionary right", "dictionary left"],
)
def test_joins(session: mpc.Session, left: str, right: str, on: tuple[str, str]) -> None:
    kinds = [(how, nulls) for how in JOINS if how != "cross" for nulls in (False, True)]
    got = mpc.collect(*(_joined(session, left, right, on, how, nulls=nulls) for how, nulls in kinds))
    with duckdb.connect() as clear:
        for name, table in (("people", PEOPLE), ("places", PLACES), ("few", FEW)):
            clear.register(name, table)
        for (how, nulls), table in zip(kinds, got, strict=True):
            test = f"l.{on[0]} {'IS NOT DISTINCT FROM' if nulls else '='} r.{on[1]}"
            columns = "l.*" if how in ("semi", "anti") else "l.*, r.*"
            names = left.split(".")[1], right.split(".")[1]
            want = clear.sql(f"SELECT {columns} FROM {names[0]} l {SQL[how]} {names[1]} r ON {test}").df()
            assert _rows(table) == _rows(want), (how, nulls)


def test_columns_with_each_other(session: mpc.Session) -> None:
    """Wide with narrow, and with codes of a dictionary."""
    wide = _joined(session, "a.people", "b.places", ("t", "name"), "inner", nulls=False)
    coded = _joined(session, "a.people", "b.few", ("t", "k"), "left", nulls=False)
    frames = [
        wide[(wide.t == wide.name) & ~(wide.t < wide.name)][["id"]],
        coded[(coded.t == coded.k) & (coded.k >= "a")][["id", "k"]],
        coded[coded.t != coded.k][["id"]],
        coded.assign(z=coded.k.where(coded.x > 20, coded.t))[["z"]],
    ]
    places = PEOPLE.merge(PLACES, left_on="t", right_on="name")
    few = PEOPLE.merge(FEW[FEW.k.notna()], left_on="t", right_on="k", how="left")
    few.loc[few.t.isna(), "k"] = None
    wanted = [
        places.sort_values("id")[["id"]],
        few[(few.t == few.k) & (few.k >= "a")][["id", "k"]],
        few[few.t != few.k][["id"]],
        pd.DataFrame({"z": few.k.where(few.x > 20, few.t)}),
    ]
    for got, want in zip(mpc.collect(*frames), wanted, strict=True):
        _same(got, want)


def test_unions(session: mpc.Session) -> None:
    parts = [session.table("a.people")[["t"]], session.table("b.places")[["name"]].rename(columns={"name": "t"})]
    parts.append(session.table("b.few")[["k"]].rename(columns={"k": "t"}))
    rel = parts[0]._rel
    for part in parts[1:]:
        rel = make(Union(rel, part._rel))
    found = DataFrame(session, rel, identity(rel)).collect()
    _same(
        found,
        pd.concat([PEOPLE[["t"]], PLACES.rename(columns={"name": "t"})[["t"]], FEW.rename(columns={"k": "t"})[["t"]]]),
    )


def test_texts_of_groups(session: mpc.Session) -> None:
    people = session.table("a.people")
    low = people.assign(g=people.x > 25)._rel
    functions = ("first", "last", "nunique", "count")
    rel = make(Aggregate(low, ("g",), tuple(Agg(function, function, "t") for function in functions)))
    want = PEOPLE.assign(g=PEOPLE.x > 25).groupby("g").agg(**{f: ("t", f) for f in functions}).reset_index()
    _same(DataFrame(session, rel, identity(rel)).collect(), want)
    every = make(Aggregate(make(Aggregate(low, ("t", "g"), ())), ("g",), (Agg("n", "nunique", "t"),)))
    _same(DataFrame(session, every, identity(every)).collect(), want[["g", "nunique"]].rename(columns={"nunique": "n"}))


def test_windows(session: mpc.Session) -> None:
    people = session.table("a.people")
    wins = (Win("n", "row_number", None), Win("before", "lag", "t"), Win("s", "sum", "x", rows=(None, 0)))
    rel = make(Window(people._rel, ("t",), (SortBy("x", True), SortBy("id", True)), wins[:1]))
    rel = make(Window(rel, (), (SortBy("t", False), SortBy("id", True)), wins[1:]))
    with duckdb.connect() as clear:
        clear.register("people", PEOPLE)
        want = clear.sql(
            """SELECT *, lag(t) OVER w AS before, sum(x) OVER (w ROWS UNBOUNDED PRECEDING)::BIGINT AS s
            FROM (SELECT *, row_number() OVER (PARTITION BY t ORDER BY x, id) AS n FROM people)
            WINDOW w AS (ORDER BY t DESC NULLS LAST, id) ORDER BY id"""
        ).df()
    _same(DataFrame(session, rel, identity(rel)).collect(), want)


def test_texts_that_cannot_be_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile, "MAX_DICTIONARY", 1)
    table = pd.DataFrame({"long": ["x", "y" * 246], "zero": ["a", "a\0"], "most": ["x", "ü" * 122]})
    with mpc.Session.local({"a": {"t": table}}, protocol="plaintext", executor="threads", pushdown=False) as made:
        assert [f.dtype.width for f in made.table("a.t")._base.fields] == [None, None, 245]
        _same(made.table("a.t")[["most"]].collect(), table[["most"]])
        for name in ("long", "zero"):
            with pytest.raises(UnsupportedError, match="neither a public dictionary nor a known width"):
                made.table("a.t")[[name]].sort_values(name).collect()


@pytest.mark.parametrize("width", [7, 28, 245])
def test_words_there_and_back(width: int) -> None:
    texts = [text for text in NAMES if len(text.encode()) <= width] + ["x" * width, None]
    field = Field("t", DType("string", nullable=True, width=width))
    coded = encode(pa.chunked_array([pa.array(texts, pa.string())]), field, "a")
    words = np.stack([coded.value, *coded.rest], axis=1)
    assert len(words.T) == field.dtype.words
    assert coded.valid is not None
    assert 0 <= words.min() <= words.max() < 1 << 56
    shown = decode_column(coded.value, coded.valid, field.dtype, coded.rest)
    assert [None if pd.isna(text) else text for text in shown] == texts
    order = sorted(range(len(texts) - 1), key=lambda at: words[at].tolist())
    assert [texts[at] for at in order] == sorted(texts[:-1], key=lambda text: str(text).encode())


def test_data_that_outgrew_its_profile() -> None:
    field = Field("t", DType("string", width=7))
    for text in ("eight by", "a\0"):
        with pytest.raises(RangeError, match="texts of more than 7 bytes, or with a zero byte") as caught:
            encode(pa.chunked_array([[text]]), field, "a")
        assert caught.value.code == "MPC-0206"
