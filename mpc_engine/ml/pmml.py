"""Score cards as PMML 4.4, which rule engines and decision platforms read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from mpc_engine.ml.released import CardBin, number, other_points

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from mpc_engine.ml.released import ReleasedCard

__all__ = ["card_pmml"]

_NAMESPACE = "http://www.dmg.org/PMML-4_4"


def card_pmml(card: ReleasedCard) -> str:
    """A PMML document with one Scorecard model (https://dmg.org/pmml/v4-4-1/Scorecard.html).

    Of a characteristic's attributes the first one counts whose predicate holds: missing, then lists of values, then
    intervals, then everything else.

    Examples
    --------
    >>> import pandas as pd
    >>> from mpc_engine.ml.released import CardBin, ReleasedCard
    >>> card = ReleasedCard((CardBin("age", 10.0, high=30.0), CardBin("age", 25.0, low=30.0)), pd.DataFrame())
    >>> '<Attribute partialScore="25">' in card_pmml(card)
    True
    """
    root = ElementTree.Element("PMML", {"version": "4.4", "xmlns": _NAMESPACE})
    header = ElementTree.SubElement(root, "Header", {"description": "score card"})
    ElementTree.SubElement(header, "Application", {"name": "mpc-engine"})
    fields = ElementTree.SubElement(root, "DataDictionary", {"numberOfFields": str(len(card.variables))})
    model = ElementTree.SubElement(
        root,
        "Scorecard",
        {"modelName": "scorecard", "functionName": "regression", "initialScore": "0", "useReasonCodes": "false"},
    )
    schema = ElementTree.SubElement(model, "MiningSchema")
    output = ElementTree.SubElement(model, "Output")
    named = {"name": "score", "optype": "continuous", "dataType": "double", "feature": "predictedValue"}
    ElementTree.SubElement(output, "OutputField", named)
    characteristics = ElementTree.SubElement(model, "Characteristics")
    for name in card.variables:
        bins = card.bins_of(name)
        kind = ("continuous", "double") if _numeric(bins) else ("categorical", "string")
        ElementTree.SubElement(fields, "DataField", {"name": name, "optype": kind[0], "dataType": kind[1]})
        ElementTree.SubElement(schema, "MiningField", {"name": name, "invalidValueTreatment": "asIs"})
        _characteristic(characteristics, name, bins)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _numeric(bins: Sequence[CardBin]) -> bool:
    return any(b.interval for b in bins)


def _characteristic(above: Element, name: str, bins: Sequence[CardBin]) -> None:
    made = ElementTree.SubElement(above, "Characteristic", {"name": f"{name} points"})
    other = other_points(bins)
    missing = {"field": name, "operator": "isMissing"}
    ElementTree.SubElement(_attribute(made, other), "SimplePredicate", missing)
    for b in (*(b for b in bins if b.values), *(b for b in bins if b.interval)):
        held = _attribute(made, b.points)
        if b.values:
            _listed(held, b, numeric=_numeric(bins))
        else:
            _interval(held, b)
    ElementTree.SubElement(_attribute(made, other), "True")


def _attribute(above: Element, points: float) -> Element:
    return ElementTree.SubElement(above, "Attribute", {"partialScore": number(points)})


def _listed(above: Element, b: CardBin, *, numeric: bool) -> None:
    chosen = ElementTree.SubElement(above, "SimpleSetPredicate", {"field": b.variable, "booleanOperator": "isIn"})
    array = ElementTree.SubElement(chosen, "Array", {"n": str(len(b.values)), "type": "real" if numeric else "string"})
    quoted = ('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in b.values)
    array.text = " ".join(b.values if numeric else quoted)


def _interval(above: Element, b: CardBin) -> None:
    ends = [(op, end) for op, end in (("greaterOrEqual", b.low), ("lessThan", b.high)) if end is not None]
    if not ends:
        ElementTree.SubElement(above, "True")
        return
    if len(ends) == 2:
        above = ElementTree.SubElement(above, "CompoundPredicate", {"booleanOperator": "and"})
    for operator, end in ends:
        chosen = {"field": b.variable, "operator": operator, "value": number(end)}
        ElementTree.SubElement(above, "SimplePredicate", chosen)
