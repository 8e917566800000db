"""``DataFrame.map_jax``: a JAX function of one row, read as expressions.

The function is traced with one scalar a column and never sees data. Its equations (a jaxpr) are read here, on the
analyst's side, into the closed list of expressions that every plan is made of: what the parties get are those
expressions, and neither code nor the jaxpr.
"""
