"""Selections of features, and collinearity, inside a program: from relations to the functions of ``ops`` and back."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from mpc_compiler.ir import Fit, Schema
from mpc_compiler.lower.glm import Held, design_of, design_units, family_and_unit, real, runs
from mpc_compiler.ops import collinear, scaler
from mpc_compiler.ops.likelihood import problem_of
from mpc_compiler.ops.linalg import GUARD
from mpc_compiler.ops.screen import Screen, screened
from mpc_compiler.ops.select import select
from mpc_compiler.ops.stepwise import Rule
from mpc_compiler.ops.table import Column, Table

__all__ = ["collinear_table", "select_table"]


def select_table(node: Fit, table: Table, schema: Schema, rows: int, held: Held) -> Table:
    """The selection: one row a term, the intercept first, then the node's features."""
    family, unit = family_and_unit(node)
    design, order = design_of(node, table, schema, rows, held)
    roles = {role: real(table, name, schema) for role, name in node.roles}
    problem = problem_of(
        design,
        real(table, node.target or "", schema) * unit,
        table.valid,
        family=family,
        rows=rows,
        weights=roles.get("weight"),
        offset=roles.get("offset"),
    )
    eligible = screened(problem, _screen(node), design_units(node, schema))
    found = select(problem, eligible, _rule(node, order))
    terms = len(order) + 1
    columns = {name: jnp.concatenate([found[name][:1], *runs(found[name][1:], order)]) for name in ("coef", "bse")}
    for name, first in (("statistic", 0.0), ("entered", 0), ("chosen", True)):
        value = found[name]
        columns[name] = jnp.concatenate([jnp.full(1, first, value.dtype), *runs(value, order)])
    columns |= {name: jnp.broadcast_to(found[name], (terms,)) for name in ("spread", "converged")}
    return Table({name: Column(value) for name, value in columns.items()}, None, None)


def _rule(node: Fit, order: list[int]) -> Rule:
    params = dict(node.params)
    given = [int(sign) for sign in str(params["signs"]).split(",")]
    signs = dict(zip(order, given, strict=True))
    return Rule(
        enter=None if params["backward"] else float(params["enter"]),
        stay=float(params["stay"]),
        turns=int(params["turns"]),
        signs=tuple(signs[at] for at in range(len(order))),
        fast=bool(params["fast"]),
    )


def _screen(node: Fit) -> Screen:
    params = dict(node.params)
    iv, correlation, inflation = (float(params[name]) for name in ("min_iv", "max_correlation", "max_vif"))
    return Screen(iv or None, correlation or None, inflation or None, bool(params["by_iv"]))


def collinear_table(node: Fit, table: Table, schema: Schema, rows: int, held: Held) -> Table:
    """Variance inflation and correlations: one row a feature."""
    design, order = design_of(node, table, schema, rows, held)
    bound = scaler.even_bound(rows)
    flags = None if table.valid is None else table.valid.astype(jnp.float64)
    R, varies = collinear.correlations(design.gram(flags), bound=bound)
    factors, sound = collinear.inflation(R, varies)
    columns: dict[str, jax.Array] = {
        "vif": jnp.where(sound, jnp.concatenate(runs(factors, order)), 0.0),
        "sound": jnp.broadcast_to(sound, (len(order),)),
    }
    by_row = jnp.concatenate(runs(R * 2.0**-GUARD, order))
    columns |= {f"r{at}": by_row[:, place] for at, place in enumerate(order)}
    return Table({name: Column(value) for name, value in columns.items()}, None, None)
