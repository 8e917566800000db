"""What a run did and disclosed: events while it runs, a report afterwards."""

from mpc_engine.observe.chart import Axis, BarChart, Chart, Line, LineChart
from mpc_engine.observe.report import Expected, PartyStep, RunReport, Step, Table, merge_steps

__all__ = [
    "Axis",
    "BarChart",
    "Chart",
    "Expected",
    "Line",
    "LineChart",
    "PartyStep",
    "RunReport",
    "Step",
    "Table",
    "merge_steps",
]
