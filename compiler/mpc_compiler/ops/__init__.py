"""Relational operators and numerics on secret columns, as JAX functions over the engine's own primitives.

Importing this package turns on 64-bit mode in jax: shares are elements of the ring modulo 2**64.
"""

import jax

jax.config.update("jax_enable_x64", True)
