"""The design matrix of linear models: what is asked of the products of owned columns."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

from mpc_compiler.ops.design import Design, Moments


@pytest.mark.parametrize(
    ("rows", "most", "limit"),
    [
        (10_000, 0.25, 2500.0),
        (1 << 17, 0.25, 2.0**15),
        ((1 << 17) + 1, 0.25, None),
        (8193, 4.0, None),
        (100, None, None),
    ],
)
def test_weights_are_rounded_where_ten_bits_are_left(rows: int, most: float | None, limit: float | None) -> None:
    def gram(x: jax.Array, weights: jax.Array) -> jax.Array:
        design = Design((x,), None, Moments(jnp.zeros(2), jnp.ones(2)), rows)
        return design.gram(weights, most=most)

    shapes = (jax.ShapeDtypeStruct((rows, 2), jnp.float64), jax.ShapeDtypeStruct((rows,), jnp.float64))
    (found,) = (eqn for eqn in jax.make_jaxpr(gram)(*shapes).eqns if eqn.primitive.name == "owned_gram")
    assert found.params["limit"] == limit
