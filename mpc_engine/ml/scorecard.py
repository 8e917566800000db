"""Score cards: a logistic regression on weights of evidence, scaled to points that each owner gets for its own bins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mpc_compiler.errors import SchemaError
from mpc_compiler.ir import Apply, Expr, Item, Project, call, column, literal, make
from mpc_engine.frame.base import common
from mpc_engine.frame.dataframe import DataFrame
from mpc_engine.frame.place import placed
from mpc_engine.frame.series import Series
from mpc_engine.ml.base import PlannedEstimator
from mpc_engine.ml.linear import LogisticRegression, warn_unless
from mpc_engine.ml.released import ReleasedCard, card_bins
from mpc_engine.ml.woe import WoeEncoder, bin_rows

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ScoreCard"]


@dataclass(frozen=True)
class _Scale:
    factor: float
    offset: float


class _OnWoe(LogisticRegression):
    """A regression on weights of evidence: a feature whose bins were all merged into one has the coefficient 0."""

    def _params(self) -> dict[str, float | str]:
        return super()._params() | {"constant": "zero"}


class ScoreCard(PlannedEstimator):
    """A score card: bins, weights of evidence, a logistic regression on them, and points.

    The score of a row is the sum of the points of its bins: ``base_score`` where the odds of non-event to event are
    ``base_odds``, and ``pdo`` more whenever they double.

    Parameters
    ----------
    encoder : WoeEncoder, optional
        How features are binned; default: ``WoeEncoder()``.
    pdo : float
        Points to double the odds.
    base_score, base_odds : float
        Score at these odds of non-event to event.
    rounded : bool
        Whether points are whole numbers, as printed cards have them.
    alpha : float
        Ridge penalty of the regression.
    max_iter : int
        Fresh Hessians of the regression; see `LogisticRegression`.

    Notes
    -----
    Discloses nothing by itself. :meth:`points` gives an owner the points of its own bins, :meth:`reveal` a receiver the
    whole card; both say by one more bit whether the regression converged, and warn if not. Scores stay secret columns.
    A feature whose bins were all merged into one gives every row the same points.

    Examples
    --------
    >>> import pandas as pd, mpc_engine as mpc
    >>> from mpc_engine.ml import ScoreCard, WoeEncoder
    >>> rows = pd.DataFrame({"age": range(20, 60), "bad": [1, 1, 0, 1] * 5 + [0, 0, 0, 1] * 5})
    >>> with mpc.Session.local({"bank": {"t": rows}}, protocol="plaintext", executor="threads") as session:
    ...     df = session.table("bank.t")
    ...     card = ScoreCard(WoeEncoder(max_bins=2), base_odds=1).fit(df[["age"]], df["bad"])
    ...     card.points()["points"].tolist()
    [568, 632]
    """

    def __init__(
        self,
        encoder: WoeEncoder | None = None,
        *,
        pdo: float = 20.0,
        base_score: float = 600.0,
        base_odds: float = 50.0,
        rounded: bool = True,
        alpha: float = 0.0,
        max_iter: int = 3,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.pdo = pdo
        self.base_score = base_score
        self.base_odds = base_odds
        self.rounded = rounded
        self.alpha = alpha
        self.max_iter = max_iter

    def _scale(self) -> _Scale:
        for name in ("pdo", "base_odds"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or value <= 0:
                raise SchemaError(f"{name} must be a number above 0, not {value!r}", code="MPC-0120")
        factor = self.pdo / math.log(2)
        return _Scale(factor, self.base_score - factor * math.log(self.base_odds))

    @placed
    def fit(self, X: DataFrame, y: Series, *, sample_weight: Series | None = None) -> ScoreCard:
        """Plan bins, regression and points of the columns of ``X`` against ``y`` (1: event); nothing runs."""
        scale = self._scale()
        given = self.encoder if self.encoder is not None else WoeEncoder()
        self.encoder_ = WoeEncoder(**given.get_params(deep=False)).fit(X, y)
        weighed = self.encoder_.transform(X)
        base = common(weighed._base, y._base)
        self.model_ = _OnWoe(alpha=self.alpha, max_iter=self.max_iter)
        self.model_.fit(weighed, Series(X._session, base, y._expr, y.name), sample_weight=sample_weight)
        parts = Apply(self.encoder_._fitted(), self.model_._fitted(), "scorecard", "parts", ("woe",), ("part",))
        share = literal(scale.offset / len(weighed.columns))
        points: Expr = call("sub", share, call("mul", column("part"), literal(scale.factor)))
        if self.rounded:
            points = call("int", call("round", points))
        names = ("feature", "bin", "count", "event", "woe", "iv", "ends")
        items = (*(Item(name, column(name)) for name in names), Item("points", points))
        self._plan(make(Project(make(parts), items)), X, weighed.columns)
        return self

    @placed
    def score(self, X: DataFrame) -> Series:
        """The points of each row, a secret column of X's frame."""
        points = self._fitted()
        rel, names = self.encoder_.lookup(X, points, "points")
        total: Expr | None = None
        for name in names.values():
            total = column(name) if total is None else call("add", total, column(name))
        assert total is not None
        return Series(X._session, rel, total, "score", {key: X._items[key] for key in X._index})

    @placed
    def bands(self, X: DataFrame, edges: Sequence[float], *, labels: Sequence[str] | bool | None = None) -> Series:
        """The band of each row's score, a secret column of X's frame.

        Parameters
        ----------
        X : DataFrame
        edges : sequence of number
            Public, ascending; an edge belongs to the band above it. Below the first and from the last on are bands too.
        labels : sequence of str, False or None
            A name for each of the ``len(edges) + 1`` bands; False: their numbers from 0; None: ``"[500, 550)"``.
        """
        inner = [float(edge) for edge in edges if math.isfinite(edge)]
        return self.score(X).cut([-math.inf, *inner, math.inf], right=False, labels=labels).rename("band")

    @placed
    def predict_proba(self, X: DataFrame) -> Series:
        """The probability of an event as a secret column of X's frame."""
        _ = self._fitted()
        return self.model_.predict_proba(self.encoder_.transform(X))

    def _collected(
        self, to: str | None, owner: str | None, columns: Sequence[str]
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        fitted = self._fitted()
        chosen = self.encoder_.of_owner(owner)
        if not chosen:
            raise SchemaError(f"{owner!r} has no feature here", code="MPC-0102", hint="owner=None: all features")
        frames = self.encoder_.table_frames(fitted, (*columns, "ends", "points"), chosen)
        fit = self.model_._fitted()
        sound = DataFrame(self._session, fit, {"converged": column("converged")}).head(1)
        found, *edges, told = self._session.collect_frames([*frames, sound], to=to)
        warn_unless(
            bool(told["converged"].iloc[0]),
            "; where features all but tell the classes apart, max_iter=5 or an alpha may help",
        )
        return bin_rows(self.encoder_._bins, chosen, found, edges), found

    @placed
    def points(self, to: str | None = None, *, owner: str | None = None) -> pd.DataFrame:
        """Run, and disclose the points of an owner's bins (of everybody's for None) to the receiver ``to``.

        Returns
        -------
        DataFrame
            variable, bin, points.
        """
        _ = self._fitted()
        if to is not None and owner is None:
            owner = to if self.encoder_.of_owner(to) else None
        rows, _ = self._collected(to, owner, ())
        return rows[["variable", "bin", "points"]]

    @placed
    def reveal(self, to: str | None = None) -> ReleasedCard:
        """Run, and disclose the whole card to the receiver ``to``: edges, counts, WOE, IV and points of all bins."""
        rows, _ = self._collected(to, None, ("count", "event", "woe", "iv"))
        return ReleasedCard(card_bins(rows), rows)
