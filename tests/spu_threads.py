"""Programs in SPU alone, one thread a party."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import spu.api
import spu.utils.frontend as frontend
from spu import libspu

from mpc_compiler.ops import primitives as ops

__all__ = ["in_spu"]


def in_spu(fn: Callable[..., Any], *args: Any, protocol: str = "aby3") -> Any:
    """Run a function of arrays, all secret, and reconstruct what it returns."""
    parties = {"aby3": 3, "cheetah": 2}[protocol]
    config = libspu.RuntimeConfig(
        protocol=getattr(libspu.ProtocolKind, protocol.upper()),
        field=libspu.FieldType.FM64,
        fxp_fraction_bits=ops.FRACTION_BITS,
    )
    if protocol == "aby3":
        config.sort_method = libspu.RuntimeConfig.SortMethod.SORT_RADIX
    config.trunc_allow_msb_error = False
    io, secret = spu.api.Io(parties, config), libspu.Visibility.VIS_SECRET
    names = [f"in{i}" for i in range(len(args))]
    code, shape = frontend.compile(
        frontend.Kind.JAX, fn, list(args), {}, names, [secret] * len(args), lambda o: [f"o{i}" for i in range(len(o))]
    )
    shares = [io.make_shares(np.asarray(arg), secret) for arg in args]
    link = libspu.link.Desc()
    for rank in range(parties):
        link.add_party(f"party{rank}", f"thread{rank}")
    outs: list[list[Any]] = [[] for _ in range(parties)]

    def party(rank: int) -> None:
        runtime = spu.api.Runtime(libspu.link.create_mem(link, rank), config)
        for name, share in zip(names, shares, strict=True):
            runtime.set_var(name, share[rank])
        runtime.run(code)
        outs[rank] = [runtime.get_var(name) for name in code.output_names]

    threads = [threading.Thread(target=party, args=(rank,), daemon=True) for rank in range(parties)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(150)
    assert all(len(out) == len(code.output_names) for out in outs), "a party did not finish"
    leaves = [np.asarray(io.reconstruct(list(out))) for out in zip(*outs, strict=True)]
    return jax.tree.unflatten(jax.tree.structure(shape), leaves)
