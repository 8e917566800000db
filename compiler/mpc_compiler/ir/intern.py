"""Hash-consing: structurally equal nodes are one object, so comparing and memoising them is cheap."""

from __future__ import annotations

import threading
import weakref
from typing import TypeVar

__all__ = ["cons"]

Node = TypeVar("Node")
_pool: weakref.WeakKeyDictionary[object, weakref.ref[object]] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def cons(node: Node) -> Node:
    """The one object that stands for ``node``."""
    with _lock:
        known = _pool.get(node)
        found = known() if known is not None else None
        if found is not None:
            return found  # type: ignore[return-value]
        _pool[node] = weakref.ref(node)
        return node
