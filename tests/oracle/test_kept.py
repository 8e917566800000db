"""Results that parties keep, that come in pieces, and that receivers save, against pandas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mpc_engine as mpc
from mpc_engine.errors import ConfigError, RangeError, SchemaError

A = pd.DataFrame(
    {
        "id": [5, 3, 9, 7, 1, 8],
        "s": pd.Series(["b", "a", None, "b", "c", "a"], dtype="str"),
        "v": [10, 20, 30, 40, 50, 60],
        "x": [0.5, np.nan, 1.5, -2.25, np.nan, 8.0],
        "k": [1, 1, 2, 2, 3, 3],
        "d": pd.to_datetime(["2020-01-01", "2021-02-03", "2020-01-01", "2024-02-29", "1999-12-31", "2020-01-01"]),
        "f": [True, False, True, True, False, False],
    }
).astype({"d": "datetime64[us]"})
B = pd.DataFrame({"id": [7, 9, 11, 5, 3], "w": [0.5, -1.25, 3.0, 2.0, 8.0], "k": [1, 2, 2, 3, 4]})
TABLES = {"a": {"t": A}, "b": {"u": B}}
Build = Callable[[Any, Any], Any]

FRAMES: dict[str, Build] = {
    "merged": lambda a, b: a.merge(b[["id", "w"]], on="id"),
    "filtered": lambda a, b: (lambda j: j[j.v > 10 * j.w])(a.merge(b[["id", "w"]], on="id")),
    "sorted": lambda a, b: a.merge(b[["id", "w"]], on="id", how="left").sort_values("w", ascending=False),
    "first rows": lambda a, b: a.merge(b[["id", "w"]], on="id").sort_values("w").head(3),
    "groups": lambda a, b: (
        a.merge(b[["id", "w"]], on="id").groupby("s").agg(n=("v", "sum"), m=("x", "mean")).reset_index()
    ),
    "one owner": lambda a, b: a[a.v > 20],
}
LATER: dict[str, Callable[[Any], Any]] = {
    "rows": lambda t: t,
    "a filter": lambda t: t[t[_number(t)] > 30],
    "a sum": lambda t: t[_number(t)].sum(),
    "sorted": lambda t: t.sort_values(_number(t), ascending=False).head(2),
    "counted": lambda t: t.groupby("s").size(),
}


def _number(frame: Any) -> str:
    return "v" if "v" in frame.columns else "n"


@pytest.fixture(scope="module", params=["plaintext", "aby3", "shares"])
def session(request: pytest.FixtureRequest) -> Iterator[mpc.Session]:
    protocol = "plaintext" if request.param == "plaintext" else "aby3"
    with mpc.Session.local(TABLES, protocol=protocol, executor="threads", pushdown=request.param != "shares") as made:  # type: ignore[arg-type]
        yield made


def same(got: Any, want: Any) -> None:
    if not isinstance(want, pd.DataFrame | pd.Series):
        assert abs(got - want) <= 2.0**-12
        return
    frames = [r.reset_index(drop=r.index.names == [None]) for r in (got, want)]
    if isinstance(want, pd.Series):
        frames = [f.set_axis(range(f.shape[1]), axis=1) for f in frames]
    pd.testing.assert_frame_equal(*frames, check_dtype=False, atol=2.0**-12, rtol=0)


def both(session: mpc.Session, name: str) -> tuple[Any, Any]:
    build = FRAMES[name]
    return build(session.table("a.t"), session.table("b.u")), build(A, B)


@pytest.mark.parametrize("name", FRAMES)
def test_later_queries_start_from_what_is_kept(session: mpc.Session, name: str) -> None:
    frame, want = both(session, name)
    kept = frame.persist()
    assert kept.columns == list(want.columns)
    results = mpc.collect(*(later(kept) for later in LATER.values()))
    for later, got in zip(LATER.values(), results, strict=True):
        same(got, later(want))
    same(kept[[_number(kept), "s"]].collect(), want[[_number(want), "s"]])


def test_kept_results_are_merged_and_kept_again(session: mpc.Session) -> None:
    left = session.table("a.t").merge(session.table("b.u")[["id", "w"]], on="id").persist()
    again = left[left.v > 10].persist()
    got = again.merge(session.table("b.u")[["id", "k"]], on="id", how="left").collect()
    want = A.merge(B[["id", "w"]], on="id")
    same(got, want[want.v > 10].merge(B[["id", "k"]], on="id", how="left"))
    assert "kept" in again.explain().text
    assert [line.why for line in again.v.sum().explain().disclosures] == ["the result"]


@pytest.mark.parametrize("rows", [1, 2, 100])
@pytest.mark.parametrize("name", FRAMES)
def test_pieces_come_in_order(session: mpc.Session, name: str, rows: int) -> None:
    frame, want = both(session, name)
    pieces = list(frame.iter_chunks(rows))
    assert all(len(piece) <= rows for piece in pieces)
    same(pd.concat(pieces), want)


def test_pieces_that_nobody_wants_are_forgotten(session: mpc.Session) -> None:
    frame, want = both(session, "merged")
    pieces = frame.iter_chunks(1)
    next(pieces)
    pieces.close()
    workers = session._executor._workers.values()  # type: ignore[union-attr]
    assert not any(worker._pieces for worker in workers)
    same(frame.collect(), want)
    with pytest.raises(SchemaError, match="a piece has at least 1 row"):
        next(frame.iter_chunks(0))


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_receiver_saves_a_result(session: mpc.Session, tmp_path: Path, suffix: str) -> None:
    frame, want = both(session, "sorted")
    path = tmp_path / f"rows.{suffix}"
    frame.save(f"a:{path}", chunk_rows=2)
    read = pd.read_parquet(path) if suffix == "parquet" else pd.read_csv(path, parse_dates=["d"])
    same(read.assign(s=read.s.astype("str")), want)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_where_a_result_cannot_be_saved(session: mpc.Session, tmp_path: Path) -> None:
    frame, _ = both(session, "merged")
    for target, code in (("a", "MPC-0814"), ("a:rows.xlsx", "MPC-0814"), (f"a:{tmp_path}/no/rows.csv", "MPC-0814"),
                         (f"z:{tmp_path}/rows.csv", "MPC-0808")):  # fmt: skip
        with pytest.raises(ConfigError) as caught:
            frame.save(target)
        assert caught.value.code == code
    assert list(tmp_path.iterdir()) == []


def test_what_is_kept_is_complete(session: mpc.Session) -> None:
    many = session.table("a.t").merge(session.table("b.u"), on="k", max_rows=3)
    for act in (many.persist, lambda: next(many.iter_chunks(2))):
        with pytest.raises(RangeError) as caught:
            act()
        assert caught.value.code == "MPC-0209"


@pytest.mark.ray
@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_processes_keep_results_and_hand_out_pieces(ray_held: Callable[[], None]) -> None:
    ray_held()
    with mpc.Session.local(TABLES, protocol="aby3", executor="ray") as made:
        frame, want = both(made, "sorted")
        kept = frame.persist()
        same(pd.concat(kept.iter_chunks(2)), want)
        same(kept.collect(), want)
        made._executor.close()  # type: ignore[union-attr]
        with pytest.raises(ConfigError) as caught:
            kept.collect()
        assert caught.value.code == "MPC-0813"
