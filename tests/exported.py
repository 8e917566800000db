"""What reads exported models: ONNX by two engines, PMML by the words of its standard."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import numpy as np
import onnx
import onnxruntime
import pandas as pd
from onnx.reference import ReferenceEvaluator

__all__ = ["onnx_run", "pmml_score"]

NS = "{http://www.dmg.org/PMML-4_4}"
NOT_MISSING = {"greaterOrEqual": float.__ge__, "lessThan": float.__lt__}


def _holds(predicate: ElementTree.Element, row: dict[str, Any]) -> bool:
    """Whether a PMML predicate is true of a row; unknown counts as false, as it does for attributes."""
    kind, given = predicate.tag.removeprefix(NS), predicate.attrib
    if kind == "True":
        return True
    if kind == "CompoundPredicate":
        assert given["booleanOperator"] == "and"
        return all(_holds(part, row) for part in predicate)
    value = row[given["field"]]
    if kind == "SimplePredicate" and given["operator"] == "isMissing":
        return bool(pd.isna(value))
    if pd.isna(value):
        return False
    if kind == "SimplePredicate":
        return NOT_MISSING[given["operator"]](float(value), float(given["value"]))
    assert kind == "SimpleSetPredicate"
    (array,) = predicate
    text = array.text or ""
    if array.get("type") == "real":
        values: list[Any] = [float(part) for part in text.split()]
    else:
        values = [part.replace('\\"', '"') for part in text.removeprefix('"').removesuffix('"').split('" "')]
    assert array.get("n") == str(len(values))
    return value in values


def pmml_score(text: str, rows: pd.DataFrame) -> list[float]:
    root = ElementTree.fromstring(text)
    assert root.get("version") == "4.4"
    (model,) = root.findall(f"{NS}Scorecard")
    assert [part.tag.removeprefix(NS) for part in model] == ["MiningSchema", "Output", "Characteristics"]
    names = {field.get("name") for field in root.iter(f"{NS}DataField")}
    assert names == {field.get("name") for field in root.iter(f"{NS}MiningField")}
    scores = []
    for row in rows.to_dict("records"):
        total = float(model.get("initialScore", "nan"))
        for characteristic in root.iter(f"{NS}Characteristic"):
            met = (a for a in characteristic.findall(f"{NS}Attribute") if _holds(a[0], row))
            total += float(next(met).get("partialScore", "nan"))
        scores.append(total)
    return scores


def onnx_run(model: bytes, rows: pd.DataFrame, engine: str = "onnxruntime") -> dict[str, np.ndarray]:
    """Outputs by name, [n] where they have one column; features are taken from columns of the inputs' names."""
    kinds = {value.name: value.type.tensor_type.elem_type for value in onnx.load_from_string(model).graph.input}
    fed = {name: _fed(rows[name], text=kind == onnx.TensorProto.STRING) for name, kind in kinds.items()}
    if engine == "reference":
        reference = ReferenceEvaluator(onnx.load_from_string(model))
        names, found = reference.output_names, reference.run(None, fed)
    else:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        names, found = [value.name for value in session.get_outputs()], session.run(None, fed)
    shaped = (value[:, 0] if value.shape[1] == 1 else value for value in found)
    return dict(zip(names, shaped, strict=True))


def _fed(column: pd.Series[Any], *, text: bool) -> np.ndarray:
    """[n, 1], as the documentation of ``to_onnx`` has it."""
    if not text:
        return column.to_numpy(dtype=np.float64, na_value=np.nan)[:, None]
    return np.array(["" if pd.isna(value) else str(value) for value in column], dtype=object)[:, None]
