"""Lowering: from plans to stages, SQL for owners, and JAX programs over shares."""
