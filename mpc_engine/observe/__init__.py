"""What a run did and disclosed: events while it runs, a report afterwards."""

from mpc_engine.observe.report import Expected, PartyStep, RunReport, Step, Table, merge_steps

__all__ = ["Expected", "PartyStep", "RunReport", "Step", "Table", "merge_steps"]
