"""Types, ranges, owners: refuses what cannot be computed, in the user's words."""

from mpc_compiler.check.infer import expr_field, expr_type, owners_of, require, rows_of, schema_of

__all__ = ["expr_field", "expr_type", "owners_of", "require", "rows_of", "schema_of"]
