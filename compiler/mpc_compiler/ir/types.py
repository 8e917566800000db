"""Types of secret columns: kind, nullability, public range and public dictionary."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal as OneOf

import msgspec

from mpc_compiler.errors import RangeError, SchemaError

__all__ = ["FRACTION_BITS", "MAX_FLOAT", "MAX_INT", "MAX_PRODUCT", "DType", "Field", "Kind", "Number", "Schema"]

Kind = OneOf["int", "float", "decimal", "bool", "string", "date", "timestamp"]
Number = int | float

FRACTION_BITS = 18
"""Fraction bits of a fixed-point value in the ring Z/2^64."""
MAX_INT = 1 << 62
"""Integers stay below this in magnitude."""
MAX_FLOAT = float(1 << (62 - FRACTION_BITS))
"""Fixed-point values stay below this in magnitude."""
MOST_DIGITS = 36
"""Most digits behind the point of a decimal, products included."""
MAX_PRODUCT = float(1 << (62 - 2 * FRACTION_BITS))
"""A sum of products of two fixed-point values stays below this before truncation."""


class DType(msgspec.Struct, frozen=True, cache_hash=True, omit_defaults=True):
    """The public type of a column.

    Attributes
    ----------
    kind : {"int", "float", "decimal", "bool", "string", "date", "timestamp"}
        What the values are. Dates count days, timestamps microseconds since 1970-01-01. A decimal is a whole number of
        units of ``10**-scale``, and is held, shared and computed with as that whole number.
    nullable : bool
        Whether values may be missing.
    lo, hi : int or float or None
        Inclusive public range; of decimals in units. None: unknown, allowed only where the value is never shared.
    domain : tuple of str or None
        The public dictionary of a string column, sorted; its codes are what is shared.
    scale : int
        Digits behind the point of a decimal.

    Examples
    --------
    >>> DType("int", lo=0, hi=130)
    int[0..130]
    >>> DType("string", nullable=True, domain=("own", "rent"))
    string{2}?
    >>> DType("decimal", lo=-50, hi=1999, scale=2)
    decimal(2)[-0.50..19.99]
    """

    kind: Kind
    nullable: bool = False
    lo: Number | None = None
    hi: Number | None = None
    domain: tuple[str, ...] | None = None
    scale: int = 0

    def __post_init__(self) -> None:
        """Refuse a scale that no decimal has: it is an exponent, and may come from a peer."""
        if not 0 <= self.scale <= MOST_DIGITS:
            raise SchemaError(f"a decimal with {self.scale} digits behind the point", code="MPC-0103", hint="round it")

    @property
    def numeric(self) -> bool:
        """Whether arithmetic makes sense."""
        return self.kind in ("int", "float", "decimal", "bool")

    @property
    def unit(self) -> int:
        """How many units of a value make 1."""
        return int(10**self.scale)

    @property
    def limits(self) -> tuple[Number, Number]:
        """:attr:`bounds` as numbers, not as units of a decimal."""
        lo, hi = self.bounds
        return (lo / self.unit, hi / self.unit) if self.scale else (lo, hi)

    @property
    def bounds(self) -> tuple[Number, Number]:
        """The public range of what is shared: codes for strings, 0..1 for booleans."""
        if self.kind == "bool":
            return 0, 1
        if self.kind == "string":
            return 0, max(len(self.domain or ()) - 1, 0)
        if self.lo is None or self.hi is None:
            raise RangeError(
                f"a {self.kind} value has no public range",
                code="MPC-0201",
                hint="declare one: mpc.Source(data, ranges={'column': (lo, hi)})",
            )
        return self.lo, self.hi

    @property
    def bits(self) -> int:
        """Bits that tell apart the values of the range."""
        lo, hi = self.bounds
        return max(int(hi - lo).bit_length(), 1)

    def __repr__(self) -> str:
        text: str = self.kind
        if self.kind == "decimal":
            text += f"({self.scale})"
            if self.lo is not None and self.hi is not None:
                text += f"[{Decimal(int(self.lo)).scaleb(-self.scale)}..{Decimal(int(self.hi)).scaleb(-self.scale)}]"
        elif self.domain is not None:
            text += f"{{{len(self.domain)}}}"
        elif self.kind != "bool" and self.lo is not None:
            text += f"[{self.lo:g}..{self.hi:g}]" if self.kind == "float" else f"[{self.lo}..{self.hi}]"
        return text + ("?" if self.nullable else "")


class Field(msgspec.Struct, frozen=True, cache_hash=True):
    """A named column of a relation and the owners whose data it depends on."""

    name: str
    dtype: DType
    owners: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"{self.name}: {self.dtype!r} of {'+'.join(self.owners) or 'everyone'}"


class Schema(tuple[Field, ...]):
    """The columns of a relation, in order."""

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(field.name for field in self)

    def field(self, name: str) -> Field | None:
        """The field of that name, or None."""
        return next((field for field in self if field.name == name), None)
