"""Shape and dtype of variables and literals."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from jax import core

__all__ = ["avals_of", "dtype_of", "shape_of", "size_of"]


def shape_of(atom: Any) -> tuple[int, ...]:
    """Its shape."""
    return tuple(atom.aval.shape)


def size_of(atom: Any) -> int:
    """How many elements it has."""
    return int(atom.aval.size)


def dtype_of(atom: Any) -> str:
    """Name of its dtype."""
    return _name(atom.aval.dtype)


_name = functools.cache(str)
"""Dtypes are few, and numpy writes their names anew each time."""


def avals_of(atoms: Sequence[Any]) -> list[core.ShapedArray]:
    """Return shapes and dtypes of variables or literals."""
    return [atom.aval for atom in atoms]
