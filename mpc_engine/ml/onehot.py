"""Texts as columns of 0 and 1, which stay with their owner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mpc_compiler.check import expr_type, schema_of
from mpc_compiler.errors import SchemaError
from mpc_compiler.ir import Expr, call, literal
from mpc_engine.frame.dataframe import DataFrame
from mpc_engine.frame.place import placed
from mpc_engine.ml.base import Estimator, NotFittedError, features_of

if TYPE_CHECKING:
    from mpc_compiler.ir import DType

__all__ = ["OneHotEncoder"]


class OneHotEncoder(Estimator):
    """Replace texts and booleans by one column of 0 and 1 a value; numbers stay as they are.

    Values come from the public dictionary of a column, in its order, so that every plan has the same columns. A missing
    value, and one that was not there when it was fitted, is 0 in all of them. Columns of one owner are made by that
    owner.

    Parameters
    ----------
    drop : {None, "first"}
        "first": no column for the first value, which regressions with an intercept need.

    Attributes
    ----------
    categories_ : dict of str to tuple
        Values of each feature that is replaced, after ``fit``.

    Notes
    -----
    Discloses nothing. Columns are called ``feature_value``, as scikit-learn and pandas call them.

    Examples
    --------
    >>> import pandas as pd, mpc_engine as mpc
    >>> from mpc_engine.ml import OneHotEncoder
    >>> rows = pd.DataFrame({"age": [30, 41, 52], "home": ["own", "rent", None]})
    >>> with mpc.Session.local({"bank": {"t": rows}}, protocol="plaintext", executor="threads") as session:
    ...     OneHotEncoder().fit_transform(session.table("bank.t")).collect()
       age  home_own  home_rent
    0   30         1          0
    1   41         0          1
    2   52         0          0
    """

    _FIT = "fit(X)"

    def __init__(self, *, drop: str | None = None) -> None:
        self.drop = drop

    @placed
    def fit(self, X: DataFrame, y: object = None) -> OneHotEncoder:
        """Take values from the public dictionaries of the columns of ``X``; nothing runs.

        Raises
        ------
        SchemaError
            For a text without a public dictionary, and a column that is neither text nor number.
        """
        if self.drop not in (None, "first"):
            raise SchemaError(f"drop cannot be {self.drop!r}", code="MPC-0120", hint='None or "first"')
        features = features_of(X)
        schema = schema_of(X._base)
        found = {name: _values(name, expr_type(expr, schema)) for name, expr in features.items()}
        self.categories_ = {name: values for name, values in found.items() if values is not None}
        self.feature_names_in_ = tuple(features)
        self.n_features_in_ = len(self.feature_names_in_)
        return self

    @placed
    def transform(self, X: DataFrame) -> DataFrame:
        """A frame over X's rows with the features replaced, in their order."""
        if not hasattr(self, "categories_"):
            raise NotFittedError("this OneHotEncoder is not fitted", hint="call fit(X) first")
        items: dict[str, Expr] = {key: X._items[key] for key in X._index}
        for name, expr in features_of(X, self.feature_names_in_).items():
            if name not in self.categories_:
                items[name] = expr
                continue
            for value in self._kept(name):
                same = call("fillna", call("eq", expr, literal(value)), literal(False))
                items[f"{name}_{value}"] = call("int", same)
        return DataFrame(X._session, X._base, items, X._index)

    def fit_transform(self, X: DataFrame, y: object = None) -> DataFrame:
        """``fit(X).transform(X)``."""
        return self.fit(X).transform(X)

    def _kept(self, name: str) -> tuple[str | bool, ...]:
        return self.categories_[name][1:] if self.drop == "first" else self.categories_[name]

    def get_feature_names_out(self) -> list[str]:
        """The columns that :meth:`transform` makes."""
        return [
            made
            for name in self.feature_names_in_
            for made in ([f"{name}_{value}" for value in self._kept(name)] if name in self.categories_ else [name])
        ]


def _values(name: str, dtype: DType) -> tuple[str | bool, ...] | None:
    """The values of a text or a boolean; None for a number."""
    if dtype.kind == "bool":
        return (False, True)
    if dtype.numeric or dtype.kind == "decimal":
        return None
    if dtype.kind != "string" or not dtype.domain:
        raise SchemaError(
            f"feature {name!r} is {dtype.kind}, without a public dictionary",
            code="MPC-0111",
            hint="map its values to fewer categories at its owner, or drop it",
        )
    return tuple(dtype.domain)
