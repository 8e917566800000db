"""Gradient-boosted trees on binned features, histogram method, nothing opened: neither splits nor sums nor leaves.

A level of a tree is one batch. Gradients masked by node are summed by bin in one product with the one-hot matrix of
the bins, which its owner knows (`mpc_compiler.ops.owned`): no row-wise comparison, and no message for the sums over
rows. Of two siblings only the left one is summed, the right one is the parent's less that. All candidate splits of all
nodes are weighed at once and the best found by a tournament. The split that wins goes back as a secret vector over
bins; one more product tells every row, in secret, whether it goes left.

A node without a valid split sends all its rows right: the tree has its full depth, and the same answer. Follows Chen
and Guestrin, "XGBoost", KDD 2016, equations 6 and 7.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mpc_compiler.ops import numeric
from mpc_compiler.ops.fixed import decode_fixed, encode_fixed
from mpc_compiler.ops.owned import owned_matmul, owned_rmatmul
from mpc_compiler.ops.primitives import compare, one_hot, ring_matmul
from mpc_compiler.ops.sigmoid import sigmoid, sigmoid_and_softplus

__all__ = ["Bins", "Params", "Trees", "fit", "predict"]


@dataclass(frozen=True)
class Params:
    """How trees are grown; all public.

    Parameters
    ----------
    trees, depth : int
    rate : float
        Learning rate.
    penalty : float
        L2 penalty of leaf values, above 0.
    least : float
        Smallest sum of second derivatives in a child, at least 2**-4.
    gain : float
        Smallest gain of a split.
    logistic : bool
        Classes 0 and 1; otherwise squared error of targets scaled to [-4, 4].
    rows, columns : float
        Parts of rows and features that a tree sees.
    seed : int
        Of their choice, which is public.
    """

    trees: int
    depth: int
    rate: float = 0.3
    penalty: float = 1.0
    least: float = 1.0
    gain: float = 0.0
    logistic: bool = True
    rows: float = 1.0
    columns: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Bins:
    """One-hot bins of n rows: F features of K bins each, owned ones first.

    Parameters
    ----------
    owned : tuple of Array
        int64 [n, F_i * K], known to a computing party each.
    secret : Array or None
        int64 [F_s * K, n].
    count : int
        K.
    rows : int
        n.
    """

    owned: tuple[jax.Array, ...]
    secret: jax.Array | None
    count: int
    rows: int

    @property
    def features(self) -> int:
        """F."""
        width = sum(x.shape[1] for x in self.owned) + (0 if self.secret is None else self.secret.shape[0])
        return width // self.count

    def sums(self, values: jax.Array) -> jax.Array:
        """Sums by bin: [F, K, c] of int64 [n, c]."""
        parts = [owned_rmatmul(self.owned, values)] if self.owned else []
        if self.secret is not None:
            parts.append(ring_matmul(self.secret, values))
        return jnp.concatenate(parts).reshape(self.features, self.count, values.shape[1])

    def picked(self, flags: jax.Array) -> jax.Array:
        """Of each row, the flag of its bin, summed over features: int64 [n, c] of int64 [F, K, c]."""
        flat = flags.reshape(self.features * self.count, flags.shape[2])
        owned = flat.shape[0] - (0 if self.secret is None else self.secret.shape[0])
        parts = [owned_matmul(self.owned, flat[:owned])] if self.owned else []
        if self.secret is not None:
            parts.append(self.secret.T @ flat[owned:])
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]


class Trees(NamedTuple):
    """Fitted trees, secret.

    Attributes
    ----------
    left : Array
        int64 [T, 2**D - 1, F, K]: 1 for the bins of the splitting feature that go left. Nodes in heap order.
    leaf : Array
        float64 [T, 2**D]: what leaves add to the score.
    gain : Array
        float64 [F]: summed gains of each feature's splits, over the rows' number.
    loss : Array
        float64 [T]: mean loss of the validation rows after each tree, zeros without them.
    """

    left: jax.Array
    leaf: jax.Array
    gain: jax.Array
    loss: jax.Array
    base: jax.Array
    """float64 []: score before the first tree, the target's mean or its log-odds."""


def fit(bins: Bins, y: jax.Array, valid: jax.Array | None, params: Params, *, check: jax.Array | None = None) -> Trees:
    """Grow trees.

    Parameters
    ----------
    bins : Bins
        n rows, at most ``2**20``.
    y : Array
        float64 [n].
    valid : Array or None
        bool [n].
    params : Params
    check : Array or None
        bool [n], rows that are kept from training; trees after the one with the least loss on them get leaves of 0.

    Returns
    -------
    Trees

    Notes
    -----
    Under ``aby3`` 170 to 200 times ``n * 2**depth`` bytes a tree in about ``150 * depth`` rounds. Gains are exact
    to about ``2**-6`` in units of xgboost's.

    Examples
    --------
    >>> codes = np.array([0, 0, 1, 1])
    >>> hot = jnp.asarray(np.eye(2, dtype=np.int64)[codes])
    >>> trees = fit(Bins((hot,), None, 2, 4), jnp.array([0.0, 0, 1, 1]), None, Params(1, 1, rate=1.0, least=0.25))
    >>> trees.base.item(), trees.leaf.round(3).tolist(), trees.left[0, 0, 0].tolist()
    (0.0, [[-0.667, 0.667]], [1, 0])
    """
    train = _both(valid, None if check is None else ~check)
    base = _base(y, train, params, rows=bins.rows)
    score = jnp.broadcast_to(base, (bins.rows,))
    rng = np.random.default_rng(params.seed)
    seen, allowed = (
        _samples(rng, params.trees, *pair) for pair in ((bins.rows, params.rows), (bins.features, params.columns))
    )
    checked = None if check is None else _both(valid, check)

    def grow(score: jax.Array, choice: tuple[jax.Array | None, jax.Array | None]) -> tuple[jax.Array, _Turn]:
        rows, columns = choice
        g, h = _derivatives(score, y, train, params)
        if rows is not None:
            g, h = g * rows, h * rows
        grown = _tree(bins, g, h, columns, params)
        score = score + ring_matmul(grown.member, grown.leaf[:, None])[:, 0]
        loss = jnp.zeros(()) if checked is None else _loss(score, y, checked, params)
        return score, _Turn(grown.left, grown.leaf, grown.gain, loss)

    _, turns = jax.lax.scan(grow, score, (seen, allowed), length=params.trees)
    leaves = turns.leaf if check is None else _until_best(turns.leaf, turns.loss)
    return Trees(turns.left, leaves, jnp.sum(turns.gain, axis=0), turns.loss, base)


class _Turn(NamedTuple):
    left: jax.Array
    leaf: jax.Array
    gain: jax.Array
    loss: jax.Array


def _base(y: jax.Array, train: jax.Array | None, params: Params, *, rows: int) -> jax.Array:
    count = jnp.full((), rows, jnp.int64) if train is None else jnp.sum(train.astype(jnp.int64))
    total = jnp.sum(y if train is None else jnp.where(train, y, 0.0))
    mean = numeric.ratio(total, count, den_max=rows)
    if not params.logistic:
        return mean
    share = jnp.clip(mean, 2.0**-8, 1 - 2.0**-8)
    logs = jnp.log(jnp.stack([share, 1.0 - share]))
    return logs[0] - logs[1]


def _both(a: jax.Array | None, b: jax.Array | None) -> jax.Array | None:
    return b if a is None else a if b is None else a & b


def _samples(rng: np.random.Generator, trees: int, size: int, part: float) -> jax.Array | None:
    """Public 0/1 choices [trees, size]; None: all."""
    if part >= 1:
        return None
    chosen = np.zeros((trees, size))
    for row in chosen:
        row[rng.permutation(size)[: max(1, round(part * size))]] = 1.0
    return jnp.asarray(chosen)


def _derivatives(
    score: jax.Array, y: jax.Array, train: jax.Array | None, params: Params
) -> tuple[jax.Array, jax.Array]:
    if params.logistic:
        p = sigmoid(score)
        g, h = p - y, p * (1.0 - p)
    else:
        g, h = score - y, jnp.ones_like(score)
    return (g, h) if train is None else (jnp.where(train, g, 0.0), jnp.where(train, h, 0.0))


class _Grown(NamedTuple):
    left: jax.Array
    leaf: jax.Array
    gain: jax.Array
    member: jax.Array
    """int64 [n, 2**D]: the leaf of each row."""


def _tree(bins: Bins, g: jax.Array, h: jax.Array, allowed: jax.Array | None, params: Params) -> _Grown:
    member = jnp.ones((bins.rows, 1), jnp.int64)
    # as the integers that stand for them: products with flags are exact, and nothing is truncated
    values = encode_fixed(jnp.stack([g, h], axis=1))[:, None, :]  # [n, nodes, 2]
    held = decode_fixed(bins.sums(values[:, 0]))[:, :, None, :]  # [F, K, nodes, 2]
    chosen, gains = [], jnp.zeros(bins.features)
    for level in range(params.depth):
        nodes = 1 << level
        best = _best_split(held, allowed, params, rows=bins.rows)
        gains = gains + best.gain
        chosen.append(jnp.moveaxis(best.left, 2, 0))
        goes = bins.picked(best.left)  # [n, nodes]
        stays = member * goes
        member = jnp.stack([stays, member - stays], axis=2).reshape(bins.rows, 2 * nodes)
        lefts = goes[:, :, None] * values
        values = jnp.stack([lefts, values - lefts], axis=2).reshape(bins.rows, 2 * nodes, 2)
        if level + 1 < params.depth:
            sums = bins.sums(lefts.reshape(bins.rows, 2 * nodes))
            summed = decode_fixed(sums).reshape(bins.features, bins.count, nodes, 2)
            held = jnp.stack([summed, held - summed], axis=3).reshape(bins.features, bins.count, 2 * nodes, 2)
    total = decode_fixed(jnp.sum(values, axis=0))
    leaf = -total[:, 0] * numeric.reciprocal(total[:, 1] + params.penalty, low=-8, high=18, gain=6)
    leaf = leaf * (params.rate * 2.0**-6)
    return _Grown(jnp.concatenate(chosen), leaf, gains, member)


class _Split(NamedTuple):
    left: jax.Array
    """int64 [F, K, nodes]."""
    gain: jax.Array
    """float64 [F]: gains of the splits, by feature, over the rows' number."""


def _best_split(held: jax.Array, allowed: jax.Array | None, params: Params, *, rows: int) -> _Split:
    features, count, nodes, _ = held.shape
    below = [held[:, 0]]
    for k in range(1, count):
        below.append(below[-1] + held[:, k])
    whole = below[-1]  # [F, nodes, 2], the same for every feature
    lefts = jnp.stack(below[:-1], axis=1)  # [F, K-1, nodes, 2]
    rights = whole[:, None] - lefts
    sides = jnp.stack([lefts, rights])
    parent = whole[:1]
    score = _score(sides, params, rows=rows)
    gain = score[0] + score[1] - _score(parent, params, rows=rows)[:, None]
    fits = (sides[0, ..., 1] >= params.least) & (sides[1, ..., 1] >= params.least)
    gain = jnp.where(fits, gain, -1.0)
    if allowed is not None:
        gain = gain * allowed[:, None, None] - (1.0 - allowed)[:, None, None]
    flat = gain.reshape(features * (count - 1), nodes)
    value, place = _largest(flat)
    worth = value > max(params.gain, 2.0**-7)
    places = features * (count - 1)
    hot = one_hot(place, places, worth) if places > 1 else worth.astype(jnp.int64)
    hot = hot.reshape(features, count - 1, nodes)
    flags = [hot[:, count - 2]]
    for k in range(count - 3, -1, -1):
        flags.append(flags[-1] + hot[:, k])
    left = jnp.stack([*flags[::-1], jnp.zeros_like(flags[0])], axis=1)
    of_feature = jnp.sum(hot, axis=1)  # [F, nodes]
    gained = jnp.sum(of_feature.astype(jnp.float64) * (value * (1.0 / rows))[None], axis=1)
    return _Split(left, gained)


def _score(sums: jax.Array, params: Params, *, rows: int) -> jax.Array:
    """G² / (H + penalty): G is scaled so that its square keeps to fixed point, the reciprocal to keep its bits."""
    half = max(0, (rows.bit_length() - 6 + 1) // 2)
    g = sums[..., 0] * 2.0**-half
    inverse = numeric.reciprocal(sums[..., 1] + params.penalty, low=-8, high=18, gain=2 * half)
    return (g * g) * inverse


def _largest(values: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The largest of float64 [C, m] along the first axis, and where it is (the first such), int64 [m]."""
    places = jnp.broadcast_to(jnp.arange(values.shape[0], dtype=jnp.int64)[:, None], values.shape)
    while (size := values.shape[0]) > 1:
        half = size // 2
        a, b, i, j = values[:half], values[half : 2 * half], places[:half], places[half : 2 * half]
        later = b > a
        top, at = jnp.where(later, b, a), jnp.where(later, j, i)
        rest = (values[2 * half :], places[2 * half :])
        values, places = (jnp.concatenate([x, y]) for x, y in zip((top, at), rest, strict=True))
    return values[0], places[0]


def _loss(score: jax.Array, y: jax.Array, rows: jax.Array | None, params: Params) -> jax.Array:
    """Loss of the rows over the number of all rows."""
    if params.logistic:
        _, softplus = sigmoid_and_softplus(score)
        each = softplus - y * score
    else:
        each = (score - y) * (score - y)
    each = each if rows is None else jnp.where(rows, each, 0.0)
    return jnp.sum(each) * (1.0 / max(len(score), 1))


def _until_best(leaves: jax.Array, loss: jax.Array) -> jax.Array:
    """Leaves of 0 after the tree with the least loss."""
    _, best = _largest(-loss[:, None])
    number = jnp.arange(loss.shape[0], dtype=jnp.int64)
    kept = compare(number, jnp.broadcast_to(best, number.shape), "le", bits=loss.shape[0].bit_length() + 2)
    return jnp.where(kept[:, None], leaves, 0.0)


def predict(bins: Bins, left: jax.Array, leaf: jax.Array, *, base: jax.Array | float) -> jax.Array:
    """Scores float64 [n] of rows, from ``left`` [T, nodes, F, K] and ``leaf`` [T, leaves] of :func:`fit`.

    Examples
    --------
    >>> hot = jnp.asarray(np.eye(2, dtype=np.int64)[[1, 0]])
    >>> left, leaf = jnp.array([1, 0]).reshape(1, 1, 1, 2), jnp.array([[-0.5, 0.25]])
    >>> predict(Bins((hot,), None, 2, 2), left, leaf, base=0.0).tolist()
    [0.25, -0.5]
    """
    score = jnp.broadcast_to(jnp.asarray(base, jnp.float64), (bins.rows,))

    def add(score: jax.Array, tree: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        goes = bins.picked(jnp.moveaxis(tree[0], 0, 2))
        member, first = jnp.ones((bins.rows, 1), jnp.int64), 0
        while first < goes.shape[1]:
            nodes = member.shape[1]
            stays = member * goes[:, first : first + nodes]
            member = jnp.stack([stays, member - stays], axis=2).reshape(bins.rows, 2 * nodes)
            first += nodes
        return score + ring_matmul(member, tree[1][:, None])[:, 0], None

    done: jax.Array = jax.lax.scan(add, score, (left, leaf))[0]
    return done
