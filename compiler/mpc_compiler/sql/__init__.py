"""SQL text as a plan: the same relations that the frame API builds."""

from mpc_compiler.sql.query import plan_query

__all__ = ["plan_query"]
