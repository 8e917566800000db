"""Which line of the user's function an equation stands for."""

from __future__ import annotations

import functools
import linecache
from pathlib import Path
from types import TracebackType
from typing import Any

import jax
import jaxlib

from mpc_engine.frame.place import _HERE

__all__ = ["of_library", "place_of", "place_of_error"]

_LIBRARIES = (_HERE, *(str(Path(module.__file__ or "").parent) for module in (jax, jaxlib)))


def _written(file: str, line: int) -> str:
    source = linecache.getline(file, line).strip()
    return f"{file}:{line}" + (f": {source}" if source else "")


@functools.lru_cache(maxsize=1024)
def _theirs(file: str) -> bool:
    """Whether a file is JAX's or the engine's."""
    return file.startswith(_LIBRARIES) or file.startswith("<frozen")


def place_of(eqn: Any) -> str:
    """``file:line: source`` of the innermost call outside of JAX and the engine; empty if there is none."""
    traceback = eqn.source_info.traceback
    for frame in traceback.frames if traceback is not None else ():
        if not _theirs(frame.file_name):
            return _written(frame.file_name, frame.line_num)
    return ""


def place_of_error(traceback: TracebackType | None) -> str:
    """The same of an error that the function raised."""
    found = ""
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        found = found if _theirs(file) else _written(file, traceback.tb_lineno)
        traceback = traceback.tb_next
    return found


def of_library(jaxpr: Any) -> bool:
    """Whether a nested function is one of JAX's own, whose lines tell the user nothing."""
    about = str(getattr(jaxpr.debug_info, "func_src_info", "") or "")
    _, found, place = about.rpartition(" at ")
    return not found or _theirs(place)
