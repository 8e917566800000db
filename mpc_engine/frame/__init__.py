"""Lazy data frames: pandas' names, plans instead of values. Nothing here runs anything."""

from mpc_engine.frame.concat import concat
from mpc_engine.frame.dataframe import DataFrame
from mpc_engine.frame.series import Scalar, Series

__all__ = ["DataFrame", "Scalar", "Series", "concat"]
