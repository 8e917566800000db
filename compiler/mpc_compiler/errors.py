"""Typed errors: what went wrong, where in the user's file, and what to do instead.

Every error carries a stable code (``MPC-0102``); ``docs/errors`` holds one page per code. The class says
which kind of reaction fits; the code says which rule spoke.
"""

from __future__ import annotations

__all__ = [
    "ERRORS",
    "BudgetError",
    "ConfigError",
    "MpcError",
    "PeerError",
    "PolicyError",
    "ProtocolMismatchError",
    "RangeError",
    "SchemaError",
    "SourceError",
    "UnsupportedError",
]


class MpcError(Exception):
    """Base of every error that the engine raises on purpose.

    Parameters
    ----------
    message : str
        What happened, naming the column, table or party. Never contains a value of a private column.
    code : str
        Stable code; one page in ``docs/errors``.
    hint : str
        What to do instead.
    where : str
        The user's file and line, or the place in the plan.
    node : object
        The plan node that the error is about; the frame layer turns it into ``where``.

    Examples
    --------
    >>> error = SchemaError("no column 'agee'", code="MPC-0102", hint="did you mean 'age'?")
    >>> print(error)
    [MPC-0102] no column 'agee'
      hint: did you mean 'age'?
    """

    default_code = "MPC-0001"

    def __init__(self, message: str, *, code: str = "", hint: str = "", where: str = "", node: object = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.hint = hint
        self.where = where
        self.node = node

    def __str__(self) -> str:
        lines = [f"[{self.code}] {self.message}"]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


class SchemaError(MpcError):
    """A table, column or type is not what the expression needs."""

    default_code = "MPC-0100"


class RangeError(MpcError):
    """A value could leave the ring, or lies outside its declared range."""

    default_code = "MPC-0200"


class UnsupportedError(MpcError):
    """The construct is understood but cannot be computed (yet) on secrets."""

    default_code = "MPC-0300"


class PolicyError(MpcError):
    """A policy forbids the disclosure."""

    default_code = "MPC-0400"


class SourceError(MpcError):
    """An owner's data source is missing or cannot be read."""

    default_code = "MPC-0500"


class PeerError(MpcError):
    """A party died or does not answer."""

    default_code = "MPC-0600"


class ProtocolMismatchError(MpcError):
    """The parties do not run the same plan, configuration, code or version."""

    default_code = "MPC-0700"


class ConfigError(MpcError):
    """The session, federation or machine is set up wrongly."""

    default_code = "MPC-0800"


class BudgetError(MpcError):
    """A privacy budget is spent."""

    default_code = "MPC-0900"


ERRORS: dict[str, type[MpcError]] = {
    kind.__name__: kind
    for kind in (
        MpcError,
        SchemaError,
        RangeError,
        UnsupportedError,
        PolicyError,
        SourceError,
        PeerError,
        ProtocolMismatchError,
        ConfigError,
        BudgetError,
    )
}
