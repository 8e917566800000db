"""The errors users catch; see :mod:`mpc_compiler.errors`."""

from mpc_compiler.errors import (
    ERRORS,
    BudgetError,
    ConfigError,
    MpcError,
    PeerError,
    PolicyError,
    ProtocolMismatchError,
    RangeError,
    SchemaError,
    SourceError,
    UnsupportedError,
)

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
