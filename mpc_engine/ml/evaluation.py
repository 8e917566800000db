"""How good one or several models are on the same rows: all released measures in one run, one table, one page."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpc_compiler.errors import SchemaError
from mpc_engine.frame.base import Lazy, Runner, common, one_session
from mpc_engine.frame.place import placed
from mpc_engine.frame.series import Series
from mpc_engine.ml import charts, metrics
from mpc_engine.ml.cuts import Edges
from mpc_engine.observe.report import RunReport, Section, Table

if TYPE_CHECKING:
    import pandas as pd

    from mpc_compiler.explain import Explanation

__all__ = ["Evaluation", "EvaluationReport", "evaluate"]


@dataclass(frozen=True)
class EvaluationReport:
    """Measures of models that their receiver may see.

    Attributes
    ----------
    metrics : DataFrame
        One row a model: auc with the ends auc_low and auc_high of its interval, gini, ks; log_loss and brier of
        probabilities, missing of other scores; psi where earlier scores were given.
    differences : DataFrame
        One row a pair of models: difference of their areas under the curve, se, z and pvalue of DeLong's test.
    bands : dict of str to DataFrame
        By model: bands of the score as `lift_table` has them, with mean_score.
    run : RunReport or None
        The run that computed it.
    """

    metrics: pd.DataFrame
    differences: pd.DataFrame
    bands: dict[str, pd.DataFrame]
    run: RunReport | None = dataclasses.field(default=None, repr=False, compare=False)

    def sections(self) -> dict[str, Section]:
        """Tables and charts as parts of a page: ``session.last_run.sections |= report.sections()``."""
        areas = {str(name): float(value) for name, value in self.metrics["auc"].items()}
        curves = [charts.roc_chart(self.bands, areas), charts.lift_chart(self.bands)]
        likely = {name: table for name, table in self.bands.items() if self._probabilities(name)}
        if likely:
            curves.append(charts.calibration_chart(likely))
        for name, table in self.bands.items():
            curves.append(charts.ks_chart(name, table, float(self.metrics["ks"][name])))
        made: dict[str, Section] = {"Measures": _table(self.metrics, "model")}
        if len(self.differences):
            made["Differences of areas under the curve"] = _table(self.differences, "models")
        made["Curves"] = curves
        return made | {f"Bands of {name}": _table(table, "band") for name, table in self.bands.items()}

    def _probabilities(self, name: str) -> bool:
        return bool(self.metrics["brier"].notna()[name])

    def to_html(
        self, path: str | Path, *, title: str = "Evaluation", more: Mapping[str, Section] | None = None
    ) -> Path:
        """Write one self-contained HTML page: measures, curves, bands, what was disclosed and what it took.

        Parameters
        ----------
        path : str or Path
        title : str
        more : mapping of str to section, optional
            Further parts, for instance ``card.reveal().sections()``.

        Returns
        -------
        Path
        """
        sections = self.sections() | dict(more or {})
        report = self.run or RunReport()
        return dataclasses.replace(report, title=title, sections=sections | report.sections).to_html(path)

    def _repr_html_(self) -> str:
        from mpc_engine.observe.page import fragment

        return fragment(RunReport(title="Evaluation", sections=self.sections()))


def _table(frame: pd.DataFrame, name: str) -> Table:
    """A frame with its index as the first column."""
    index = [" – ".join(key) if isinstance(key, tuple) else str(key) for key in frame.index]
    return charts.table_of(frame.reset_index(drop=True).assign(**{"": index})[["", *frame.columns]], {"": name})


@dataclass(frozen=True)
class _Part:
    """One thing to collect, and where its result belongs."""

    model: tuple[str, ...]
    name: str
    value: Lazy


class Evaluation:
    """Measures of models to be computed in one run; see :func:`evaluate`."""

    def __init__(self, session: Runner, names: Sequence[str], parts: Sequence[_Part]) -> None:
        self._session = session
        self._names = list(names)
        self._parts = list(parts)

    def explain(self, stage: str = "physical") -> Explanation:
        """The plan, its cost and its disclosures; runs nothing."""
        return self._session.explain_frames([part.value for part in self._parts], stage=stage)

    @placed
    def collect(self, to: str | Sequence[str] | None = None) -> EvaluationReport:
        """Run, and return all measures to the receiver ``to``."""
        found = self._session.collect_frames([part.value for part in self._parts], to=to)
        results = {(part.model, part.name): value for part, value in zip(self._parts, found, strict=True)}
        return _report(self._names, results, self._session.last_run)

    def __repr__(self) -> str:
        return f"<lazy evaluation of {', '.join(self._names)}; .collect() computes it>"


@placed
def evaluate(
    y_true: Series,
    scores: Series | Mapping[str, Series],
    *,
    expected: Series | Mapping[str, Series] | None = None,
    bins: Edges = 20,
    binning: str = "quantile",
    min_count: int = 10,
    level: float = 0.95,
) -> Evaluation:
    """Measure one or several models on the same rows, in one run.

    Parameters
    ----------
    y_true : Series
        0/1 labels.
    scores : Series or mapping of str to Series
        Probabilities, or other scores of which higher ones mean a more likely event; by the name of the model.
    expected : Series or mapping of str to Series, optional
        Scores of the same models in an earlier sample, such as the one they were fitted on, for the population
        stability index.
    bins : int or sequence of number
        Bands of scores: so many, or public edges.
    binning : {"quantile", "uniform"}
        What so many bands are: of equally many rows, or of equal width over the score's public range.
    min_count : int
        Least rows of a band that is released.
    level : float
        Confidence of the intervals of the AUC.

    Returns
    -------
    Evaluation
        ``collect(to)`` gives an :class:`EvaluationReport`, whose ``to_html`` writes tables, ROC, KS, lift and
        calibration curves.

    Raises
    ------
    SchemaError
        When no score is given, ``expected`` lacks one, or an argument is out of its range.

    Notes
    -----
    Discloses to the receiver the measures in `EvaluationReport.metrics`, DeLong's difference and standard error of each
    pair of models, and rows, events and mean scores of the bands that have at least ``min_count`` rows. Curves are
    drawn from those bands, so that they show nothing else.

    Examples
    --------
    >>> import pandas as pd, mpc_engine as mpc
    >>> from mpc_engine.ml import evaluate
    >>> rows = pd.DataFrame({"bad": [0, 0, 1, 0, 1, 1] * 20, "p": [0.1, 0.4, 0.35, 0.2, 0.8, 0.7] * 20})
    >>> with mpc.Session.local({"bank": {"t": rows}}, protocol="plaintext", executor="threads") as session:
    ...     df = session.table("bank.t")
    ...     report = evaluate(df["bad"], {"a": df["p"], "b": 1 - df["p"]}, bins=3).collect()
    >>> report.metrics[["auc", "ks", "brier"]].round(3)
         auc     ks  brier
    a  0.889  0.667  0.127
    b  0.111  0.667  0.510
    >>> float(report.differences["difference"].iloc[0].round(3))
    0.778
    """
    models = {"model": scores} if isinstance(scores, Series) else dict(scores)
    earlier = {"model": expected} if isinstance(expected, Series) else dict(expected or {})
    if not models:
        raise SchemaError("there is no score to evaluate", code="MPC-0105", hint='{"score card": risk}')
    if earlier and set(earlier) != set(models):
        raise SchemaError("expected= needs the earlier scores of each model", code="MPC-0105", hint=", ".join(models))
    for series in (*models.values(), *earlier.values()):
        one_session(y_true, series)
    y_true, *together = _together([y_true, *models.values()])
    models = dict(zip(models, together, strict=True))
    earlier = dict(zip(earlier, _together([*earlier.values()]), strict=True))
    banded: dict[str, Any] = {"bins": bins, "binning": binning, "min_count": min_count}
    parts: list[_Part] = []
    for name, score in models.items():
        parts += _measures(name, y_true, score, level)
        parts.append(_Part((name,), "bands", metrics.lift_table(y_true, score, means=True, **banded)))
        if earlier:
            psi = metrics.population_stability_index(earlier[name], score, **banded)
            parts.append(_Part((name,), "psi", psi))
    for pair in itertools.combinations(models, 2):
        test = metrics.delong_test(y_true, models[pair[0]], models[pair[1]])
        parts.append(_Part(pair, "difference", test))
    return Evaluation(y_true._session, list(models), parts)


def _together(columns: Sequence[Series]) -> list[Series]:
    """Columns of one relation, so that all measures read the same scores: ties come out alike."""
    if not columns:
        return []
    base = functools.reduce(common, (each._base for each in columns))
    return [each._made(base, each._expr) for each in columns]


def _measures(name: str, y_true: Series, score: Series, level: float) -> Iterator[_Part]:
    yield _Part((name,), "interval", metrics.roc_auc_interval(y_true, score, level=level))
    yield _Part((name,), "ks", metrics.ks_score(y_true, score))
    low, high = score.dtype.limits
    if 0 <= low <= high <= 1:
        single: dict[str, Callable[..., Lazy]] = {"log_loss": metrics.log_loss, "brier": metrics.brier_score}
        for measure, function in single.items():
            yield _Part((name,), measure, function(y_true, score))


def _report(
    names: Sequence[str], results: Mapping[tuple[tuple[str, ...], str], Any], run: RunReport | None
) -> EvaluationReport:
    import pandas as pd

    rows = {}
    for name in names:
        auc = results[(name,), "interval"]
        rows[name] = {
            "auc": auc["auc"],
            "auc_low": auc["low"],
            "auc_high": auc["high"],
            "gini": 2 * auc["auc"] - 1,
            "ks": results[(name,), "ks"],
            "log_loss": results.get(((name,), "log_loss")),
            "brier": results.get(((name,), "brier")),
        }
        if ((name,), "psi") in results:
            rows[name]["psi"] = results[(name,), "psi"]
    pairs = {models: value for (models, what), value in results.items() if what == "difference"}
    differences = pd.DataFrame(list(pairs.values()), columns=["difference", "se", "z", "pvalue"])
    if pairs:
        differences.index = pd.MultiIndex.from_tuples(pairs, names=["first", "second"])
    return EvaluationReport(
        metrics=pd.DataFrame.from_dict(rows, orient="index").astype(float),
        differences=differences,
        bands={name: results[(name,), "bands"] for name in names},
        run=run,
    )
