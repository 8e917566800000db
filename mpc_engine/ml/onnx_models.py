"""Released models as ONNX (https://onnx.ai): score cards, linear models, boosted trees."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mpc_engine.ml.onnx_graph import Graph
from mpc_engine.ml.released import CardBin, other_points

if TYPE_CHECKING:
    from mpc_engine.ml.released import ReleasedCard
    from mpc_engine.ml.result import LinearResult
    from mpc_engine.ml.trees import RevealedTrees, TreeFeature

__all__ = ["card_onnx", "linear_onnx", "trees_onnx"]


def card_onnx(card: ReleasedCard) -> bytes:
    """A model with the outputs ``score`` [n, 1] and ``points`` [n, features].

    Examples
    --------
    >>> import numpy as np, onnx, pandas as pd
    >>> from onnx.reference import ReferenceEvaluator
    >>> from mpc_engine.ml.released import ReleasedCard
    >>> card = ReleasedCard((CardBin("age", 10.0, high=30.0), CardBin("age", 25.0, low=30.0)), pd.DataFrame())
    >>> model = ReferenceEvaluator(onnx.load_from_string(card_onnx(card)))
    >>> model.run(["score"], {"age": np.array([[20.0], [30.0]])})[0].ravel().tolist()
    [10.0, 25.0]
    """
    graph = Graph("scorecard")
    made = [_bin_points(graph, name, card.bins_of(name)) for name in card.variables]
    points = graph.columns(made)
    graph.output("score", graph.row_sums(points))
    graph.output("points", points, len(made))
    return graph.finish()


def _bin_points(graph: Graph, name: str, bins: Sequence[CardBin]) -> str:
    other = other_points(bins)
    if not any(b.interval for b in bins):
        held = {value: b.points for b in bins for value in b.values}
        return graph.node("Gather", graph.constant([*held.values(), other]), graph.code(name, list(held)))
    number = graph.number(name)
    edges, points = _steps(bins, other)
    above = graph.cast(graph.node("GreaterOrEqual", number, graph.constant(edges)), np.int64)
    made = graph.node("Gather", graph.constant(points), graph.row_sums(above))
    for b in bins:
        for value in b.values:
            same = graph.node("Equal", number, graph.constant([float(value)]))
            made = graph.node("Where", same, graph.constant([b.points]), made)
    return graph.node("Where", graph.node("IsNaN", number), graph.constant([other]), made)


def _steps(bins: Sequence[CardBin], other: float) -> tuple[list[float], list[float]]:
    """Intervals as a step function: ascending edges, and the points below the first and from each edge on.

    Examples
    --------
    >>> _steps((CardBin("age", 10.0, high=30.0), CardBin("age", 25.0, low=40.0)), 7.0)
    ([30.0, 40.0], [10.0, 7.0, 25.0])
    """
    intervals = [b for b in bins if b.interval]
    edges = sorted({end for b in intervals for end in (b.low, b.high) if end is not None}) or [math.inf]
    found = []
    for start in (-math.inf, *edges):
        holds = [b.points for b in intervals if _reaches(b, start)]
        found.append(holds[-1] if holds else other)
    return edges, found


def _reaches(b: CardBin, value: float) -> bool:
    return (b.low is None or b.low <= value) and (b.high is None or value < b.high)


def linear_onnx(model: LinearResult) -> bytes:
    """A model with the outputs ``score``, the linear predictor, and ``probability`` or ``prediction``; all [n, 1].

    Examples
    --------
    >>> import numpy as np, onnx
    >>> from onnx.reference import ReferenceEvaluator
    >>> from mpc_engine.ml.result import LinearResult
    >>> fitted = LinearResult("poisson", ("const", "x"), np.log([2.0, 3.0]), np.ones(2), 0, 0, 0, 1, 9, True, "y")
    >>> found = ReferenceEvaluator(onnx.load_from_string(linear_onnx(fitted)))
    >>> found.run(["prediction"], {"x": np.array([[0.0], [1.0]])})[0].ravel().round(6).tolist()
    [2.0, 6.0]
    """
    graph = Graph(f"{model.family} regression")
    matrix = graph.columns([graph.number(name) for name in model.feature_names_in_])
    product = graph.node("MatMul", matrix, graph.constant(model.params[1:, None]))
    score = graph.node("Add", product, graph.constant(model.params[:1]))
    graph.output("score", score)
    if model.family == "binomial":
        graph.output("probability", graph.node("Sigmoid", score))
    else:
        graph.output("prediction", score if model.family == "gaussian" else graph.node("Exp", score))
    return graph.finish()


_LESS_OR_EQUAL, _LESS, _SUM = 0, 1, 1  # codes of ai.onnx.ml.TreeEnsemble, version 5


def trees_onnx(model: RevealedTrees) -> bytes:
    """A model with the output ``score`` or ``prediction`` and, of a classifier, ``probability``; all [n, 1].

    Trees are complete: node k of a tree has the children 2k + 1 and 2k + 2, those of its last level are leaves.

    Examples
    --------
    >>> import numpy as np, onnx, pandas as pd
    >>> from onnx.reference import ReferenceEvaluator
    >>> from mpc_engine.ml.trees import RevealedTrees, TreeFeature
    >>> splits = pd.DataFrame([{"tree": 0, "node": "", "feature": "age", "bin": 0}])
    >>> leaves, none = np.array([[0.25, -0.5]]), np.zeros(1)
    >>> age = TreeFeature("age", edges=(30.0, 40.0))
    >>> trees = RevealedTrees(splits, leaves, none, none, 1.0, ("age",), classifier=False, features=(age,))
    >>> found = ReferenceEvaluator(onnx.load_from_string(trees_onnx(trees)))
    >>> found.run(["prediction"], {"age": np.array([[20.0], [30.0]])})[0].ravel().tolist()
    [1.25, 0.5]
    """
    graph = Graph("boosted trees")
    features = model.known_features()
    matrix = graph.columns([_tree_input(graph, feature) for feature in features])
    chosen, cuts = model.nodes()
    tests = [_test(features[at], cut) for at, cut in zip(chosen.ravel(), cuts.ravel(), strict=True)]
    trees, nodes = chosen.shape
    below = [_below(tree, node, nodes) for tree in range(trees) for node in range(nodes)]
    total = graph.node(
        "TreeEnsemble",
        matrix,
        domain="ai.onnx.ml",
        n_targets=1,
        aggregate_function=_SUM,
        tree_roots=[tree * nodes for tree in range(trees)],
        nodes_featureids=np.maximum(chosen.ravel(), 0).tolist(),
        nodes_modes=graph.tensor([mode for mode, _ in tests], np.uint8),
        nodes_splits=graph.tensor([value for _, value in tests]),
        nodes_truenodeids=[left for left, _ in below],
        nodes_falsenodeids=[right for _, right in below],
        nodes_trueleafs=(leaf := [int(2 * node + 1 >= nodes) for node in range(nodes)] * trees),
        nodes_falseleafs=leaf,
        leaf_targetids=[0] * model.leaves.size,
        leaf_weights=graph.tensor(model.leaves.ravel()),
    )
    score = graph.node("Add", total, graph.constant([model.base_]))
    graph.output("score" if model.classifier else "prediction", score)
    if model.classifier:
        graph.output("probability", graph.node("Sigmoid", score))
    return graph.finish()


def _tree_input(graph: Graph, feature: TreeFeature) -> str:
    """A number as it is, missing ones NaN; the bin of a text."""
    return (
        graph.cast(graph.code(feature.name, feature.values), np.float64)
        if feature.values
        else graph.number(feature.name)
    )


def _test(feature: TreeFeature, cut: int) -> tuple[int, float]:
    """What is true of rows that go left: those of bin ``cut`` and below. Comparisons with NaN are false."""
    if cut < 0:
        return _LESS, -math.inf
    if feature.values:
        return _LESS_OR_EQUAL, float(cut)
    return (_LESS, feature.edges[cut]) if cut < len(feature.edges) else (_LESS_OR_EQUAL, math.inf)


def _below(tree: int, node: int, nodes: int) -> tuple[int, int]:
    """The numbers of a node's children, among all trees' nodes or all trees' leaves."""
    left = 2 * node + 1
    first = tree * nodes + left if left < nodes else tree * (nodes + 1) + left - nodes
    return first, first + 1
