"""Examples in cells, run from top to bottom as a reader would, with another protocol or other constants."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

import mpc_engine as mpc

__all__ = ["EXAMPLES", "run_notebook"]

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def run_notebook(name: str, monkeypatch: pytest.MonkeyPatch, *, protocol: str, **constants: Any) -> dict[str, Any]:
    """Run an example and return its names.

    Parameters
    ----------
    name : str
        Below `EXAMPLES`.
    monkeypatch : MonkeyPatch
    protocol : str
        Instead of the example's own; all parties in one process.
    **constants
        Instead of what the example assigns to these names.
    """
    path = EXAMPLES / name
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(target := node.targets[0], ast.Name) and target.id in constants:
            node.value = ast.copy_location(ast.Constant(constants.pop(target.id)), node.value)
    assert not constants, f"{name} does not assign {', '.join(constants)}"
    local = mpc.Session.local

    def elsewhere(tables: Any, **options: Any) -> mpc.Session:
        return local(tables, **(options | {"protocol": protocol, "executor": "threads"}))

    monkeypatch.setattr(mpc.Session, "local", elsewhere)
    names: dict[str, Any] = {"__name__": "notebook", "__file__": str(path)}
    exec(compile(tree, str(path), "exec"), names)  # noqa: S102
    return names
