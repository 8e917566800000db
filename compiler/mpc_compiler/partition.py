"""Cut a program into SPU regions and native kernel calls.

A program is a JAX function over secret arrays. It is traced once, nested calls are inlined, dead code is dropped;
then runs of ordinary equations become SPU regions, and equations that a native kernel does better become kernel
regions between them. Every party does this for itself, and compares the digest of what came out, so nothing here may
depend on anything but the arguments: regions keep program order, and variables are numbered in the order of their
making.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax
from jax import core
from jax.interpreters import partial_eval

from mpc_compiler.cost import LAN, ZERO, Cost, LinkProfile, seconds
from mpc_compiler.cost.spu import spu_cost
from mpc_compiler.errors import UnsupportedError
from mpc_compiler.ops.primitives import PRIMITIVES, adapt

__all__ = ["KernelRegion", "Kernels", "Partitioned", "SpuRegion", "partition"]

Kernels = Literal["auto", "native", "spu"]
NATIVE = frozenset({"ring_matmul"})
"""Primitives with a native kernel, under ``aby3`` only."""

_HANDOVER = Cost(rounds=1)
_CALLS = ("jaxpr", "call_jaxpr", "fun_jaxpr")
_INLINED = frozenset(
    (
        *("pjit", "closed_call", "core_call", "core_closed_call", "remat", "checkpoint"),
        *("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"),
    )
)
_COSTS = {name: info.cost for name, info in PRIMITIVES.items()}


@dataclass(frozen=True)
class SpuRegion:
    """Equations that SPU runs as one executable.

    Parameters
    ----------
    inputs, outputs : tuple of str
        Variable names, in the order of the jaxpr's.
    jaxpr : jax.core.ClosedJaxpr
        Run it with ``jax.core.jaxpr_as_fun``.
    cost : Cost
        An estimate.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    jaxpr: core.ClosedJaxpr
    cost: Cost

    def __str__(self) -> str:
        count = len(self.jaxpr.jaxpr.eqns)
        return f"spu     {_names(self.outputs)} <- {_names(self.inputs)}: {count} equations, {self.cost}"


@dataclass(frozen=True)
class KernelRegion:
    """One call of a native kernel on shares.

    Parameters
    ----------
    primitive : str
    params : mapping
        The primitive's parameters.
    inputs, outputs : tuple of str
        Variable names.
    cost : Cost
        Exact.
    """

    primitive: str
    params: Mapping[str, Any]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    cost: Cost

    def __str__(self) -> str:
        given = "".join(f", {name}={value}" for name, value in sorted(self.params.items()))
        return f"native  {_names(self.outputs)} <- {self.primitive}({_names(self.inputs)}{given}): {self.cost}"


Region = SpuRegion | KernelRegion


@dataclass(frozen=True)
class Partitioned:
    """A program in pieces; the pieces run in order.

    Parameters
    ----------
    protocol : str
    inputs : tuple of str
        ``in0``, ``in1``, ... in the order of the program's arguments.
    outputs : tuple of str
        Variables that hold the program's results; a name may occur twice.
    regions : tuple of SpuRegion or KernelRegion
    public : frozenset of str
        Outputs that depend on no input: constants of the program, which SPU holds as public values and not as shares.
    """

    protocol: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    regions: tuple[Region, ...]
    public: frozenset[str] = frozenset()

    @property
    def cost(self) -> Cost:
        """Sum over the regions; exact only if every region's is."""
        return sum((region.cost for region in self.regions), ZERO)

    def __str__(self) -> str:
        head = f"{self.protocol}: {_names(self.inputs)} -> {_names(self.outputs)}, {self.cost}"
        return "\n".join([head, *(f"  {region}" for region in self.regions)])


def _names(names: Sequence[str]) -> str:
    if len(names) > 6:
        return f"{', '.join(names[:3])}, ... {names[-1]} ({len(names)})"
    return ", ".join(names) or "()"


# ---- tracing


def _closed(value: Any) -> core.ClosedJaxpr:
    return value if isinstance(value, core.ClosedJaxpr) else core.ClosedJaxpr(value, ())


def _evaluate(closed: core.ClosedJaxpr, args: Sequence[Any]) -> list[Any]:
    """Run a jaxpr equation by equation, stepping into calls: traced, this is the program without nested jit."""
    env: dict[core.Var, Any] = dict(zip(closed.jaxpr.constvars, closed.consts, strict=True))
    env.update(zip(closed.jaxpr.invars, args, strict=True))

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, core.Literal) else env[atom]

    for eqn in closed.jaxpr.eqns:
        ins = [read(v) for v in eqn.invars]
        body = next((eqn.params[key] for key in _CALLS if key in eqn.params), None)
        if eqn.primitive.name in _INLINED and body is not None:
            outs = _evaluate(_closed(body), ins)
        else:
            functions, params = eqn.primitive.get_bind_params(eqn.params)
            outs = eqn.primitive.bind(*functions, *ins, **params)
            outs = outs if eqn.primitive.multiple_results else [outs]
        env.update(zip(eqn.outvars, outs, strict=True))
    return [read(v) for v in closed.jaxpr.outvars]


def _adapted(value: Any, protocol: str) -> Any:
    """The same jaxpr with primitives set for the protocol, in loop bodies too."""
    if isinstance(value, core.ClosedJaxpr):
        return core.ClosedJaxpr(_adapted(value.jaxpr, protocol), value.consts)
    if isinstance(value, tuple | list):
        return type(value)(_adapted(v, protocol) for v in value) if any(map(_holds_jaxpr, value)) else value
    if not isinstance(value, core.Jaxpr):
        return value
    eqns = []
    for eqn in value.eqns:
        params = {name: _adapted(v, protocol) for name, v in eqn.params.items()}
        eqns.append(eqn.replace(params=adapt(eqn.primitive.name, params, protocol)))
    return value.replace(eqns=eqns)


def _holds_jaxpr(value: Any) -> bool:
    return isinstance(value, core.Jaxpr | core.ClosedJaxpr)


def _trace(fn: Callable[..., Any], specs: Sequence[jax.ShapeDtypeStruct], protocol: str) -> core.ClosedJaxpr:
    closed = _adapted(jax.make_jaxpr(fn)(*specs), protocol)
    flat = jax.make_jaxpr(lambda *args: _evaluate(closed, args))(*specs)
    jaxpr, _ = partial_eval.dce_jaxpr(flat.jaxpr, [True] * len(flat.jaxpr.outvars), instantiate=True)
    return core.ClosedJaxpr(jaxpr, flat.consts)


# ---- cutting


class _Cutter:
    """Names variables and makes regions of a traced program."""

    def __init__(self, program: core.ClosedJaxpr, protocol: str) -> None:
        self.jaxpr = program.jaxpr
        self.consts = dict(zip(self.jaxpr.constvars, program.consts, strict=True))
        self.protocol = protocol
        self.public = _public_vars(self.jaxpr)
        self.names = {v: f"in{i}" for i, v in enumerate(self.jaxpr.invars)}
        self.made = 0

    def is_public(self, atom: Any) -> bool:
        return isinstance(atom, core.Literal) or atom in self.public

    def fresh(self) -> str:
        self.made += 1
        return f"v{self.made - 1}"

    def spu(self, eqns: Sequence[core.JaxprEqn], wanted: set[core.Var]) -> SpuRegion:
        produced = [v for eqn in eqns for v in eqn.outvars if not isinstance(v, core.DropVar)]
        outs = [v for v in produced if v in wanted]
        return self.region(eqns, outs, set(produced))

    def region(self, eqns: Sequence[core.JaxprEqn], outs: Sequence[Any], produced: set[core.Var]) -> SpuRegion:
        read = [v for eqn in eqns for v in eqn.invars] + list(outs)
        used = dict.fromkeys(v for v in read if not isinstance(v, core.Literal) and v not in produced)
        constvars = [v for v in used if v in self.consts]
        ins = [v for v in used if v not in self.consts]
        jaxpr = core.ClosedJaxpr(
            core.Jaxpr(constvars, ins, list(outs), list(eqns)), [self.consts[v] for v in constvars]
        )
        inputs = tuple(self.names[v] for v in ins)
        outputs = tuple(self.fresh() for _ in outs)
        if produced:
            self.names.update(zip(outs, outputs, strict=True))
        return SpuRegion(inputs, outputs, jaxpr, spu_cost(jaxpr, self.protocol, _COSTS))

    def kernel(self, eqn: core.JaxprEqn) -> KernelRegion:
        name = eqn.primitive.name
        inputs = tuple(self.names[v] for v in eqn.invars)
        outputs = tuple(self.fresh() for _ in eqn.outvars)
        self.names.update(zip(eqn.outvars, outputs, strict=True))
        cost = PRIMITIVES[name].cost(self.protocol, "native", _avals(eqn), eqn.params)
        return KernelRegion(name, dict(eqn.params), inputs, outputs, cost)


def _avals(eqn: core.JaxprEqn) -> list[core.ShapedArray]:
    return [v.aval for v in eqn.invars if isinstance(v.aval, core.ShapedArray)]


def _public_vars(jaxpr: core.Jaxpr) -> set[core.Var]:
    public = set(jaxpr.constvars)
    for eqn in jaxpr.eqns:
        if all(isinstance(v, core.Literal) or v in public for v in eqn.invars):
            public.update(eqn.outvars)
    return public


def _runs(eqns: Sequence[core.JaxprEqn], native: Callable[[core.JaxprEqn], bool]) -> Iterator[list[core.JaxprEqn]]:
    """Runs of SPU equations, and native equations one by one."""
    run: list[core.JaxprEqn] = []
    for eqn in eqns:
        if native(eqn):
            if run:
                yield run
            yield [eqn]
            run = []
        else:
            run.append(eqn)
    if run:
        yield run


def _chooser(
    cutter: _Cutter, kernels: Kernels, available: frozenset[str], link: LinkProfile
) -> Callable[[core.JaxprEqn], bool]:
    def native(eqn: core.JaxprEqn) -> bool:
        name = eqn.primitive.name
        if cutter.protocol != "aby3" or kernels == "spu" or name not in available or name not in PRIMITIVES:
            return False
        if any(map(cutter.is_public, eqn.invars)):
            return False  # a kernel takes shares; SPU multiplies by public numbers for nothing
        if kernels == "native":
            return True
        avals, cost = _avals(eqn), PRIMITIVES[name].cost
        ours = cost("aby3", "native", avals, eqn.params) + _HANDOVER
        return seconds(ours, link) < seconds(cost("aby3", "spu", avals, eqn.params), link)

    return native


def partition(
    fn: Callable[..., Any],
    specs: Sequence[jax.ShapeDtypeStruct],
    *,
    protocol: str,
    kernels: Kernels = "auto",
    available: frozenset[str] = NATIVE,
    link: LinkProfile = LAN,
) -> Partitioned:
    """Trace a program and cut it.

    Parameters
    ----------
    fn : callable
        Takes one array a spec; returns any pytree of arrays, whose leaves are the outputs.
    specs : sequence of jax.ShapeDtypeStruct
        Shapes and dtypes of the (secret) arguments.
    protocol : str
        ``"aby3"``, ``"cheetah"`` or ``"plaintext"``. Without ``aby3`` nothing is cut, and rows are moved by sorting
        networks.
    kernels : {"auto", "native", "spu"}
        ``"native"`` cuts at every primitive in `available`, ``"spu"`` never, ``"auto"`` where the cost model expects
        a gain.
    available : frozenset of str
        Primitives that have a native kernel.
    link : LinkProfile
        For ``"auto"``. All parties must use the same.

    Returns
    -------
    Partitioned

    Raises
    ------
    UnsupportedError
        MPC-0353 if the program branches on a secret value or otherwise cannot be traced.

    Notes
    -----
    A primitive inside a loop body stays in SPU, where its plain lowering runs: a region cannot be entered from within
    another. So does one with a public operand. An output that is an argument or a constant goes through an SPU region
    of its own, so that each output is a value of its own.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> spec = jax.ShapeDtypeStruct((4,), jnp.int64)
    >>> print(partition(lambda x, y: x * y + 1, [spec, spec], protocol="aby3"))
    aby3: in0, in1 -> v0, ~1 rounds, ~96 B
      spu     v0 <- in0, in1: 2 equations, ~1 rounds, ~96 B
    """
    try:
        program = _trace(fn, specs, protocol)
    except (jax.errors.ConcretizationTypeError, jax.errors.NonConcreteBooleanIndexError) as error:
        raise UnsupportedError(
            "the program needs the value of a secret to go on (a branch, a loop bound, an index or a shape)",
            code="MPC-0353",
            hint="use jax.numpy.where(condition, a, b) instead of if, and masks instead of boolean indexing",
        ) from error
    cutter = _Cutter(program, protocol)
    native = _chooser(cutter, kernels, available, link)
    regions = _regions(cutter, list(_runs(program.jaxpr.eqns, native)), native)
    outputs, copies = _outputs(cutter)
    public = {name for name, v in zip(outputs, program.jaxpr.outvars, strict=True) if cutter.is_public(v)}
    kept = tuple(r for r in (*regions, *copies) if r.outputs)
    return Partitioned(protocol, tuple(cutter.names[v] for v in program.jaxpr.invars), outputs, kept, frozenset(public))


def _regions(
    cutter: _Cutter, runs: Sequence[list[core.JaxprEqn]], native: Callable[[core.JaxprEqn], bool]
) -> list[Region]:
    results = {v for v in cutter.jaxpr.outvars if not isinstance(v, core.Literal)}
    wanted: list[set[core.Var]] = []  # what is read after each run
    for run in reversed(runs):
        wanted.append(set(results))
        results.update(v for eqn in run for v in eqn.invars if not isinstance(v, core.Literal))
    wanted.reverse()
    return [
        cutter.kernel(run[0]) if native(run[0]) else cutter.spu(run, later)
        for run, later in zip(runs, wanted, strict=True)
    ]


def _outputs(cutter: _Cutter) -> tuple[tuple[str, ...], list[Region]]:
    """Names of the results, and a region that copies those that no equation makes."""
    made = {v for eqn in cutter.jaxpr.eqns for v in eqn.outvars}
    passed = [isinstance(v, core.Literal) or v not in made for v in cutter.jaxpr.outvars]
    through = [v for v, p in zip(cutter.jaxpr.outvars, passed, strict=True) if p]
    copies: list[Region] = [cutter.region([], through, set())] if through else []
    names = iter(copies[0].outputs if copies else ())
    outputs = tuple(
        next(names) if p else cutter.names[v]
        for v, p in zip(cutter.jaxpr.outvars, passed, strict=True)
        if p or isinstance(v, core.Var)
    )
    return outputs, copies
