"""Codes of one public dictionary as codes of another."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array

from mpc_compiler.ops.primitives import compare

__all__ = ["recode"]


def recode(code: Array, old: Sequence[str], new: Sequence[str]) -> Array:
    """Codes into ``new`` of codes into ``old``, a sorted part of it.

    Parameters
    ----------
    code : Array
        int64 [n] in [0, len(old)).
    old, new : sequence of str
        Sorted dictionaries; every text of `old` is in `new`.

    Returns
    -------
    Array
        int64 [n].

    Notes
    -----
    Both are sorted, so a code grows by what was put in before it: one comparison for each gap between texts of `old`
    that `new` fills, none if `new` only goes on after `old`.

    Examples
    --------
    >>> recode(jnp.array([0, 1, 2]), ["a", "c", "d"], ["a", "b", "c", "d", "e"]).tolist()
    [0, 2, 3]
    """
    at = {text: place for place, text in enumerate(new)}
    before = [at[text] - place for place, text in enumerate(old)]
    moved = code + (before[0] if before else 0)
    for place in range(1, len(before)):
        step = before[place] - before[place - 1]
        if step:
            limit = jnp.full(code.shape, place, jnp.int64)
            moved = moved + step * compare(code, limit, "ge", bits=len(old).bit_length() + 1).astype(jnp.int64)
    return moved
