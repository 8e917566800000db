"""Joint data analysis over tables that their owners may not show each other.

>>> import mpc_engine as mpc
>>> mpc.Session.local  # doctest: +ELLIPSIS
<bound method Session.local of ...>
"""

from mpc_engine._version import __version__
from mpc_engine.errors import (
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
from mpc_engine.frame import DataFrame, Scalar, Series, concat
from mpc_engine.io.source import Source
from mpc_engine.observe import RunReport
from mpc_engine.session import Session, collect

__all__ = [
    "BudgetError",
    "ConfigError",
    "DataFrame",
    "MpcError",
    "PeerError",
    "PolicyError",
    "ProtocolMismatchError",
    "RangeError",
    "RunReport",
    "Scalar",
    "SchemaError",
    "Series",
    "Session",
    "Source",
    "SourceError",
    "UnsupportedError",
    "__version__",
    "collect",
    "concat",
]
