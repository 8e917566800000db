"""What stands for a result whose shares the computing parties keep."""

from __future__ import annotations

from mpc_compiler.check import owners_of, rows_of, schema_of
from mpc_compiler.check.keys import keys_of
from mpc_compiler.ir import Kept, make
from mpc_compiler.lower.plan import Compiled
from mpc_compiler.lower.program import ORDER, ROW_VALID, build_program, kept_of

__all__ = ["kept_as"]


def kept_as(compiled: Compiled, name: str) -> Kept:
    """The relation that reads the output ``name`` of a plan in later runs; traces the program to know its arrays."""
    compute = compiled.compute
    assert compute is not None
    rows = {source.id: source.rows for source in compute.inputs} | {k.name: k.rows for k in kept_of(compute)}
    program = build_program(compute, rows, compiled.options)
    slots = [slot for slot in program.outputs if slot.relation == name]
    rel = next(output.rel for output in compiled.plan.outputs if output.name == name)
    made = make(
        Kept(
            name,
            tuple(schema_of(rel)),
            int(program.jaxpr.out_avals[program.outputs.index(slots[0])].shape[0]) if slots else rows_of(rel),
            owners_of(rel),
            tuple(slot.column for slot in slots if slot.valid),
            any(slot.column == ROW_VALID for slot in slots),
            program.orders[name] if any(slot.column == ORDER for slot in slots) else 0,
            tuple(tuple(sorted(key)) for key in sorted(keys_of(rel), key=sorted)),
        )
    )
    assert isinstance(made, Kept)
    return made
