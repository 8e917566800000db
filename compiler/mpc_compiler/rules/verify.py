"""What every rule must leave unchanged; checked after each one."""

from __future__ import annotations

from mpc_compiler.check import schema_of
from mpc_compiler.ir import Plan

__all__ = ["RuleError", "verify"]


class RuleError(AssertionError):
    """A rewrite rule broke a plan: a bug of the engine, not of the user."""


def verify(before: Plan, after: Plan, rule: str) -> None:
    """Check names, kinds, receivers and well-formedness of all outputs.

    Examples
    --------
    >>> from mpc_compiler.rules.examples import as_plan, loans, project
    >>> verify(as_plan(loans).plan, as_plan(project(loans, y="age * 2")).plan, "a_bad_rule")
    Traceback (most recent call last):
        ...
    mpc_compiler.rules.verify.RuleError: a_bad_rule changed the columns of 'result' from id, age, bad to y
    """
    if [(o.name, o.receivers) for o in before.outputs] != [(o.name, o.receivers) for o in after.outputs]:
        raise RuleError(f"{rule} changed the outputs or their receivers")
    for old, new in zip(before.outputs, after.outputs, strict=True):
        was, now = schema_of(old.rel), schema_of(new.rel)
        if was.names != now.names:
            raise RuleError(
                f"{rule} changed the columns of {old.name!r} from {', '.join(was.names)} to {', '.join(now.names)}"
            )
        for a, b in zip(was, now, strict=True):
            if a.dtype.kind != b.dtype.kind:
                raise RuleError(f"{rule} changed {a.name!r} from {a.dtype.kind} to {b.dtype.kind}")
