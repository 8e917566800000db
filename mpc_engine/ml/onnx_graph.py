"""ONNX models in the making: numbers are float64, so that a model gives what its receiver computes itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mpc_engine.errors import ConfigError

__all__ = ["Graph"]

_OPSETS = {"": 17, "ai.onnx.ml": 5}
_IR_VERSION = 9


class Graph:
    """A model's inputs, nodes and outputs.

    Every feature is an input of its own name, [n, 1]: numbers as float64, missing ones as NaN; texts as strings,
    missing ones empty.

    Parameters
    ----------
    name : str
        What the model is.

    Raises
    ------
    ConfigError
        Without the package ``onnx``.
    """

    def __init__(self, name: str) -> None:
        try:
            import onnx
        except ImportError:
            raise ConfigError(
                "an ONNX model needs the package onnx", code="MPC-0800", hint="pip install 'mpc-engine[onnx]'"
            ) from None
        self._onnx = onnx
        self._name = name
        self._inputs: dict[str, Any] = {}
        self._outputs: dict[str, tuple[str, int]] = {}
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._count = 0

    def number(self, name: str) -> str:
        """An input of numbers."""
        return self._input(name, self._onnx.TensorProto.DOUBLE)

    def text(self, name: str) -> str:
        """An input of texts."""
        return self._input(name, self._onnx.TensorProto.STRING)

    def _input(self, name: str, kind: int) -> str:
        self._inputs[name] = self._onnx.helper.make_tensor_value_info(name, kind, [None, 1])
        return name

    def tensor(self, value: ArrayLike, dtype: type[np.generic] = np.float64) -> Any:
        """An array as attributes take it."""
        return self._onnx.numpy_helper.from_array(np.asarray(value, dtype))

    def constant(self, value: ArrayLike, dtype: type[np.generic] = np.float64) -> str:
        """An array that nodes read."""
        name = self._fresh("constant")
        self._constants.append(self._onnx.numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def node(self, op: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """What an operator makes of values."""
        out = self._fresh(op.lower())
        made = self._onnx.helper.make_node(op, list(inputs), [out], domain=domain, **attributes)
        self._nodes.append(made)
        return out

    def cast(self, value: str, dtype: type[np.generic]) -> str:
        """The same numbers of another type."""
        return self.node("Cast", value, to=self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def code(self, name: str, values: Sequence[str]) -> str:
        """The place of each text of an input among ``values``; their number for others, int64 [n, 1]."""
        places = list(range(len(values)))
        return self.node(
            "LabelEncoder",
            self.text(name),
            domain="ai.onnx.ml",
            keys_strings=list(values),
            values_int64s=places,
            default_int64=len(values),
        )

    def columns(self, parts: Sequence[str]) -> str:
        """Columns side by side, [n, len(parts)]."""
        return self.node("Concat", *parts, axis=1)

    def row_sums(self, value: str) -> str:
        """The sum of each row, [n, 1]."""
        return self.node("ReduceSum", value, self.constant([1], np.int64), keepdims=1)

    def output(self, name: str, value: str, width: int = 1) -> None:
        """Give a value float64 [n, width] out; under another name if a feature has that one."""
        while name in self._inputs:
            name += "~1"
        self._outputs[name] = (value, width)

    def _fresh(self, kind: str) -> str:
        self._count += 1
        return f"~{kind}:{self._count}"

    def finish(self) -> bytes:
        """The model, checked, as a file holds it."""
        helper, double = self._onnx.helper, self._onnx.TensorProto.DOUBLE
        outputs = []
        for name, (value, width) in self._outputs.items():
            self._nodes.append(helper.make_node("Identity", [value], [name]))
            outputs.append(helper.make_tensor_value_info(name, double, [None, width]))
        graph = helper.make_graph(self._nodes, self._name, list(self._inputs.values()), outputs, self._constants)
        used = {node.domain for node in self._nodes} | {""}
        opsets = [helper.make_opsetid(domain, _OPSETS[domain]) for domain in sorted(used)]
        model = helper.make_model(graph, producer_name="mpc-engine", opset_imports=opsets, ir_version=_IR_VERSION)
        self._onnx.checker.check_model(model, full_check=True)
        made: bytes = model.SerializeToString()
        return made
