"""Joint data analysis over tables that their owners may not show each other.

>>> import mpc_engine as mpc
>>> mpc.Session.local  # doctest: +ELLIPSIS
<bound method Session.local of ...>
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
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

_PLACES = {
    **dict.fromkeys(("DataFrame", "Scalar", "Series", "concat"), "mpc_engine.frame"),
    **dict.fromkeys(("Session", "collect"), "mpc_engine.session"),
    "RunReport": "mpc_engine.observe",
    "Source": "mpc_engine.io.source",
}
"""Where the names are that are loaded when somebody first asks for them."""


if not TYPE_CHECKING:  # or any name would do

    def __getattr__(name: str) -> Any:
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(_PLACES[name]), name)
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
