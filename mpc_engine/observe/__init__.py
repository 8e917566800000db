"""What a run did and disclosed: events while it runs, a report afterwards."""

from mpc_engine.observe.report import PartyStep, RunReport, Step, Table, merge_steps

__all__ = ["PartyStep", "RunReport", "Step", "Table", "merge_steps"]
