"""Types of secret columns: kind, nullability, public range and public dictionary."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal as OneOf

import msgspec

from mpc_compiler.errors import RangeError, SchemaError

__all__ = [
    "FRACTION_BITS",
    "MAX_FLOAT",
    "MAX_INT",
    "WORD_BITS",
    "WORD_BYTES",
    "DType",
    "Field",
    "Kind",
    "Number",
    "Schema",
    "text_of",
    "width_of",
]

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


WORD_BYTES, WORD_BITS = 7, 56
"""Of a text without a dictionary, in one word of the ring."""
MAX_WORDS = 35
"""Words of the longest text that can be shared."""


def width_of(size: int) -> int | None:
    """The `width` of texts of at most so many bytes; None if they are too long to be shared.

    Examples
    --------
    >>> width_of(0), width_of(8), width_of(1000)
    (7, 14, None)
    """
    width = max(-(-size // WORD_BYTES), 1) * WORD_BYTES
    return width if width <= MAX_WORDS * WORD_BYTES else None


def text_of(types: Sequence[DType], nullable: bool) -> DType:
    """The type that holds the texts of all types.

    Examples
    --------
    >>> text_of([DType("string", domain=("a",)), DType("string", domain=("b",))], False)
    string{2}
    >>> text_of([DType("string", domain=("a",)), DType("string", width=21)], True)
    string(21)?
    """
    domains = [t.domain for t in types if t.domain is not None]
    if len(domains) == len(types):
        return DType("string", nullable, domain=tuple(sorted({text for domain in domains for text in domain})))
    widths = [width for t in types if (width := t.text_width) is not None]
    return DType("string", nullable, width=max(widths) if len(widths) == len(types) else None)


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
    width : int or None
        Of a string column without a dictionary: bytes of its longest text in UTF-8, rounded up to a multiple of 7.
        It is shared as words of 7 bytes.
    scale : int
        Digits behind the point of a decimal.
    nonzero : bool
        Whether no value is 0, though the range says that one might be: it is missing instead.

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
    width: int | None = None
    scale: int = 0
    nonzero: bool = False

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
        """The public range of what is shared: codes or words of strings, 0..1 for booleans."""
        if self.kind == "bool":
            return 0, 1
        if self.kind == "string":
            return 0, (1 << WORD_BITS) - 1 if self.width else max(len(self.domain or ()) - 1, 0)
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

    @property
    def words(self) -> int:
        """Arrays that hold the values: more than one for a long text without a dictionary."""
        return 1 if self.width is None else self.width // WORD_BYTES

    @property
    def text_width(self) -> int | None:
        """Of a string: the `width` that its texts have, whether or not there is a dictionary."""
        if self.width is not None or self.domain is None:
            return self.width
        return width_of(max((len(text.encode()) for text in self.domain), default=0))

    def __repr__(self) -> str:
        text: str = self.kind
        if self.kind == "decimal":
            text += f"({self.scale})"
            if self.lo is not None and self.hi is not None:
                text += f"[{Decimal(int(self.lo)).scaleb(-self.scale)}..{Decimal(int(self.hi)).scaleb(-self.scale)}]"
        elif self.domain is not None:
            text += f"{{{len(self.domain)}}}"
        elif self.width is not None:
            text += f"({self.width})"
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
