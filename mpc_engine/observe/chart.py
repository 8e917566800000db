"""Charts as data: what is drawn, and in words for those who do not see it. :mod:`mpc_engine.observe.svg` draws them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Axis", "BarChart", "Chart", "Line", "LineChart"]

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis.

    Attributes
    ----------
    label : str
    low, high : float
        Ends of the values shown.
    percent : bool
        Whether values are shares.
    """

    label: str
    low: float = 0.0
    high: float = 1.0
    percent: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A line through points, each of which is marked.

    Attributes
    ----------
    name : str
        For the legend.
    points : Sequence of (float, float)
        Points that are not finite are left out.
    reference : bool
        Whether it is only there to compare with: thin, unmarked.
    """

    name: str
    points: Sequence[Point]
    reference: bool = False


@dataclass(frozen=True, slots=True)
class LineChart:
    """Lines over two numeric axes.

    Attributes
    ----------
    title, description : str
        What is shown, and what it says, for readers of the page and for screen readers.
    x, y : Axis
    lines : Sequence of Line
    """

    title: str
    description: str
    x: Axis
    y: Axis
    lines: Sequence[Line]


@dataclass(frozen=True, slots=True)
class BarChart:
    """Bars from zero, one below the other.

    Attributes
    ----------
    title, description : str
    label : str
        What the bars' lengths are.
    bars : Sequence of (str, float)
        Names and values.
    """

    title: str
    description: str
    label: str
    bars: Sequence[tuple[str, float]]


Chart = LineChart | BarChart
