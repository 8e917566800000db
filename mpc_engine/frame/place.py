"""Where in the user's file a plan node was written, so that every error can point there."""

from __future__ import annotations

import functools
import linecache
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from mpc_engine.errors import MpcError

__all__ = ["caller", "locate", "mark", "placed"]

P = ParamSpec("P")
T = TypeVar("T")

_HERE = str(Path(__file__).resolve().parents[1])
_places: weakref.WeakKeyDictionary[object, str] = weakref.WeakKeyDictionary()


def caller() -> str:
    """``file:line: source`` of the innermost frame outside the engine."""
    frame = sys._getframe(1)
    while frame.f_back is not None and (
        frame.f_code.co_filename.startswith(_HERE) or "mpc_compiler" in frame.f_code.co_filename
    ):
        frame = frame.f_back
    name, line = frame.f_code.co_filename, frame.f_lineno
    source = linecache.getline(name, line).strip()
    return f"{name}:{line}" + (f": {source}" if source else "")


def mark(node: T, place: str = "") -> T:
    """Remember where a node was written first; default: by the caller."""
    if node not in _places:
        _places[node] = place or caller()
    return node


def locate(error: MpcError) -> MpcError:
    """Fill in ``where`` from the node that the error is about."""
    if not error.where and error.node is not None:
        try:
            error.where = _places.get(error.node, "")
        except TypeError:
            error.where = ""
    return error


def placed(method: Callable[P, T]) -> Callable[P, T]:
    """Errors of a public method point at the user's line."""

    @functools.wraps(method)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except MpcError as error:
            if not error.where:
                error.where = caller()
            raise

    return wrapper
