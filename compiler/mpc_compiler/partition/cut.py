"""Cut a program into SPU regions and native kernel calls.

A program is a JAX function over secret arrays. It is traced once, nested calls are inlined, loops with kernels in them
are unrolled, dead code is dropped; equations that a native kernel does better become kernel regions, and the ordinary
equations between them SPU regions: as few as the dependencies allow. Every party does this for itself, and compares the
digest of what came out, so nothing here may depend on anything but the arguments: equations keep program order within a
region, and variables are numbered in the order of their making.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
from jax import core

from mpc_compiler.cost import LAN, ZERO, Cost, LinkProfile
from mpc_compiler.cost.spu import spu_cost
from mpc_compiler.errors import UnsupportedError
from mpc_compiler.ops.primitives import PRIMITIVES
from mpc_compiler.partition.choose import NATIVE, Kernels, Where, chooser, native_cost
from mpc_compiler.partition.trace import public_vars, trace

__all__ = ["KernelRegion", "Partitioned", "SpuRegion", "partition"]

_PARAMS = {
    "slice": ("start_indices", "limit_indices", "strides"),
    "concatenate": ("dimension",),
    "broadcast_in_dim": ("shape", "broadcast_dimensions"),
    "rev": ("dimensions",),
    "reduce_sum": ("axes",),
}
"""What kernels need to know of jax's own primitives."""
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
    jaxpr : jax.core.ClosedJaxpr
        The one equation: what the kernel has to equal.
    cost : Cost
    """

    primitive: str
    params: Mapping[str, Any]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    jaxpr: core.ClosedJaxpr
    cost: Cost

    @property
    def local(self) -> bool:
        """Whether every party works alone."""
        return not self.cost.rounds

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
        lines: list[str] = []
        for together, regions in itertools.groupby(self.regions, lambda r: isinstance(r, KernelRegion) and r.local):
            found = list(regions)
            names = ", ".join(dict.fromkeys(r.primitive for r in found if isinstance(r, KernelRegion)))
            lines += [f"native  local: {names}"] if together else map(str, found)
        return "\n".join([head, *(f"  {line}" for line in lines)])


def _names(names: Sequence[str]) -> str:
    if len(names) > 6:
        return f"{', '.join(names[:3])}, ... {names[-1]} ({len(names)})"
    return ", ".join(names) or "()"


# ---- cutting


class _Cutter:
    """Names variables and makes regions of a traced program."""

    def __init__(self, program: core.ClosedJaxpr, protocol: str) -> None:
        self.jaxpr = program.jaxpr
        self.consts = dict(zip(self.jaxpr.constvars, program.consts, strict=True))
        self.protocol = protocol
        self.public = public_vars(self.jaxpr)
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

    def constants(self, eqn: core.JaxprEqn) -> list[Region]:
        """A region that makes variables of the program's constants that a kernel reads."""
        read = list(dict.fromkeys(v for v in _variables(eqn.invars) if v in self.consts and v not in self.names))
        if not read:
            return []
        region = self.region([], read, set())
        self.names.update(zip(read, region.outputs, strict=True))
        return [region]

    def kernel(self, eqn: core.JaxprEqn) -> KernelRegion:
        name = eqn.primitive.name
        inputs = tuple(self.names[v] for v in eqn.invars if not isinstance(v, core.Literal))
        outputs = tuple(self.fresh() for _ in eqn.outvars)
        self.names.update(zip(eqn.outvars, outputs, strict=True))
        params = {key: eqn.params[key] for key in _PARAMS.get(name, ())} if name not in PRIMITIVES else dict(eqn.params)
        literals = [v.val if isinstance(v, core.Literal) else None for v in eqn.invars]
        if any(value is not None for value in literals):
            params["literals"] = tuple(None if value is None else int(value) for value in literals)
        jaxpr = core.ClosedJaxpr(core.Jaxpr((), _variables(eqn.invars), eqn.outvars, [eqn]), ())
        return KernelRegion(name, params, inputs, outputs, jaxpr, native_cost(eqn))


class _Run(NamedTuple):
    """Equations that run together."""

    eqns: list[core.JaxprEqn]
    native: bool


def _variables(atoms: Sequence[Any]) -> list[core.Var]:
    return [v for v in atoms if isinstance(v, core.Var)]


class _Schedule:
    """Puts equations in an order with as few regions as their dependencies allow.

    An equation stands on the lowest possible level above those that it reads from; SPU has the even levels and the
    kernels the odd ones, and what may run in either engine stays on the level of its operands. Equations over public
    values only are repeated in every region that needs them: a constant that came in from outside would be treated as a
    secret.
    """

    def __init__(self, cutter: _Cutter, where: Callable[[core.JaxprEqn], Where]) -> None:
        self._where = where
        self._public = [eqn for eqn in cutter.jaxpr.eqns if all(map(cutter.is_public, eqn.invars))]
        secret = [eqn for eqn in cutter.jaxpr.eqns if not all(map(cutter.is_public, eqn.invars))]
        results = {v for v in cutter.jaxpr.outvars if isinstance(v, core.Var)}
        self._levels: dict[int, list[core.JaxprEqn]] = {}
        self._wanted: dict[int, set[core.Var]] = {0: set(results)}
        self._place(secret, self._first_kernels(secret, results))

    def _first_kernels(self, eqns: Sequence[core.JaxprEqn], results: set[core.Var]) -> set[core.Var]:
        """Variables that equations for either engine make of the inputs, and that kernels only read."""
        made = {v for eqn in eqns for v in eqn.outvars}
        floating: set[core.Var] = set()
        for eqn in eqns:
            if self._where(eqn) == "either" and all(v in floating or v not in made for v in _variables(eqn.invars)):
                floating.update(eqn.outvars)
        others = set(results)  # read by something that is not a kernel
        for eqn in reversed(eqns):
            floats = floating.issuperset(eqn.outvars)
            kernel = self._where(eqn) == "native" or (floats and others.isdisjoint(eqn.outvars))
            if not kernel:
                others.update(_variables(eqn.invars))
        return floating - others

    def _place(self, eqns: Sequence[core.JaxprEqn], first: set[core.Var]) -> None:
        level: dict[core.Var, int] = {}
        for eqn in eqns:
            where = self._where(eqn)
            below = max((level.get(v, 0) for v in _variables(eqn.invars)), default=0)
            odd = below % 2 if where == "either" else int(where == "native")
            here = 1 if first.issuperset(eqn.outvars) else below if below % 2 == odd else below + 1
            level.update((v, here) for v in eqn.outvars)
            self._levels.setdefault(here, []).append(eqn)
            self._wanted.setdefault(here - here % 2, set()).update(_variables(eqn.invars))

    def runs(self) -> Iterator[_Run]:
        """Equations of one SPU region, or one native equation, again and again."""
        for number in range(max([0, *self._levels]) + 1):
            eqns = self._levels.get(number, [])
            if number % 2:
                yield from (_Run([eqn], native=True) for eqn in eqns)
            elif whole := [*self._needed(self._wanted.get(number, set())), *eqns]:
                yield _Run(whole, native=False)

    def _needed(self, wanted: set[core.Var]) -> list[core.JaxprEqn]:
        """Public equations that make these variables."""
        needed, found = set(wanted), []
        for eqn in reversed(self._public):
            if not needed.isdisjoint(eqn.outvars):
                found.append(eqn)
                needed.update(v for v in eqn.invars if isinstance(v, core.Var))
        return found[::-1]


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
    A loop with a fixed number of turns and a primitive of ours in it is unrolled; inside other loops primitives stay in
    SPU, where their plain lowering runs: a region cannot be entered from within another. An output that is an argument
    or a constant goes through an SPU region of its own, so that each output is a value of its own.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> spec = jax.ShapeDtypeStruct((4,), jnp.int64)
    >>> print(partition(lambda x, y: x * y + 1, [spec, spec], protocol="aby3"))
    aby3: in0, in1 -> v0, ~1 rounds, ~96 B
      spu     v0 <- in0, in1: 2 equations, ~1 rounds, ~96 B
    """
    try:
        program = trace(fn, specs, protocol, unroll=protocol == "aby3" and kernels != "spu" and bool(available))
    except (jax.errors.ConcretizationTypeError, jax.errors.NonConcreteBooleanIndexError) as error:
        raise UnsupportedError(
            "the program needs the value of a secret to go on (a branch, a loop bound, an index or a shape)",
            code="MPC-0353",
            hint="use jax.numpy.where(condition, a, b) instead of if, and masks instead of boolean indexing",
        ) from error
    cutter = _Cutter(program, protocol)
    where = chooser(cutter.is_public, kernels, available if protocol == "aby3" else frozenset(), link)
    regions = _regions(cutter, list(_Schedule(cutter, where).runs()))
    outputs, copies = _outputs(cutter)
    public = {name for name, v in zip(outputs, program.jaxpr.outvars, strict=True) if cutter.is_public(v)}
    kept = tuple(r for r in (*regions, *copies) if r.outputs)
    return Partitioned(protocol, tuple(cutter.names[v] for v in program.jaxpr.invars), outputs, kept, frozenset(public))


def _regions(cutter: _Cutter, runs: Sequence[_Run]) -> list[Region]:
    results = set(_variables(cutter.jaxpr.outvars))
    wanted: list[set[core.Var]] = []  # what later runs read, and do not make themselves
    for run in reversed(runs):
        wanted.append(set(results))
        made = {v for eqn in run.eqns for v in eqn.outvars}
        results.update(v for eqn in run.eqns for v in _variables(eqn.invars) if v not in made)
    wanted.reverse()
    regions: list[Region] = []
    for run, later in zip(runs, wanted, strict=True):
        if run.native:
            regions += [*cutter.constants(run.eqns[0]), cutter.kernel(run.eqns[0])]
        else:
            regions.append(cutter.spu(run.eqns, later - set(cutter.names)))
    return regions


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
