"""The native three-party replicated protocol over columns of shares; :mod:`.core` is its base."""

from mpc_engine.runtime.replicated.core import Cost, Exchange, Replicated, matmul_cost, setup_cost

__all__ = ["Cost", "Exchange", "Replicated", "matmul_cost", "setup_cost"]
