"""Cut a program into SPU regions and native kernel calls.

A program is a JAX function over secret arrays. It is traced once, nested calls are inlined, loops with kernels in them
are unrolled, dead code is dropped. If native kernels can run every equation that depends on a secret, they do, and SPU
has no part in it; else equations that a kernel does better become kernel regions, and the ordinary equations between
them SPU regions: as few as the dependencies allow. Independent calls of one kind are put together, because a message
for many costs as little as one for a few. Every party does this for itself, and compares the digest of what came out,
so nothing here may depend on anything but the arguments.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import core
from numpy.typing import NDArray

from mpc_compiler.cost import LAN, ZERO, Cost, Link, LinkProfile
from mpc_compiler.cost.spu import spu_cost
from mpc_compiler.errors import UnsupportedError
from mpc_compiler.ops.primitives import FRACTION_BITS, PRIMITIVES
from mpc_compiler.partition.atoms import dtype_of, shape_of, size_of
from mpc_compiler.partition.choose import NATIVE, Kernels, Where, chooser, whole
from mpc_compiler.partition.constants import Constants
from mpc_compiler.partition.kinds import TOGETHER, Call, factor_of, kind_of, operation_of
from mpc_compiler.partition.together import batches, call_cost, together_cost
from mpc_compiler.partition.trace import public_vars, trace

__all__ = ["KernelRegion", "Partitioned", "SpuRegion", "partition"]

_PARAMS = {
    "slice": ("start_indices", "limit_indices", "strides"),
    "concatenate": ("dimension",),
    "broadcast_in_dim": ("shape", "broadcast_dimensions"),
    "rev": ("dimensions",),
    "transpose": ("permutation",),
    "pad": ("padding_config",),
    "reduce_sum": ("axes",),
    "cumsum": ("axis", "reverse"),
    "dot_general": ("dimension_numbers",),
}
"""What kernels need to know of jax's own primitives."""
_COSTS = {name: info.cost for name, info in PRIMITIVES.items()}
_COPY = jax.make_jaxpr(jnp.copy)(0.0).jaxpr.eqns[0]


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
    """One call of a native kernel on shares, or several of one kind in the same messages.

    Parameters
    ----------
    calls : tuple of Call
        Independent of each other, of one kind.
    inputs, outputs : tuple of str
        Secret variables, each once.
    jaxpr : jax.core.ClosedJaxpr
        The equations: what the kernel has to equal. Public operands are its constants.
    cost : Cost
    """

    calls: tuple[Call, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    jaxpr: core.ClosedJaxpr
    cost: Cost

    @property
    def primitive(self) -> str:
        """Of the first call."""
        return self.calls[0].primitive

    @property
    def params(self) -> Mapping[str, Any]:
        """Of the first call."""
        return self.calls[0].params

    @property
    def local(self) -> bool:
        """Whether every party works alone."""
        return not self.cost.rounds

    def digest(self) -> bytes:
        """SHA-256 of all that the parties must have alike."""
        made = hashlib.sha256()
        for call in self.calls:
            made.update(repr((call.primitive, call.kind, sorted(call.params.items()), call.shapes)).encode())
            for operand in (*call.operands, *call.outputs):
                text = operand if isinstance(operand, str) else f"{operand.dtype} {operand.shape} {operand.strides}"
                made.update(text.encode() + b"\0")
                if not isinstance(operand, str):
                    made.update(_distinct(operand).tobytes())
        return made.digest()

    @property
    def title(self) -> str:
        """What it does, in short."""
        counts = {call.primitive: 0 for call in self.calls}
        for call in self.calls:
            counts[call.primitive] += 1
        return " + ".join(f"{count} × {name}" if count > 1 else name for name, count in counts.items())

    def __str__(self) -> str:
        given = "".join(f", {name}={value}" for name, value in sorted(self.params.items()))
        shown = given if len(self.calls) == 1 else ""
        return f"native  {_names(self.outputs)} <- {self.title}({_names(self.inputs)}{shown}): {self.cost}"


def _distinct(value: NDArray[Any]) -> NDArray[Any]:
    """An array without the repetitions along its broadcast axes."""
    picked: NDArray[Any] = value[tuple(slice(0, 1) if not stride else slice(None) for stride in value.strides)]
    return picked


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

    def __init__(self, program: core.ClosedJaxpr, protocol: str, link: Link, *, empty: bool) -> None:
        self.jaxpr = program.jaxpr
        self.consts = dict(zip(self.jaxpr.constvars, program.consts, strict=True))
        self.protocol = protocol
        self.link = link
        self.public = public_vars(self.jaxpr, empty=empty)
        self.names = {v: f"in{i}" for i, v in enumerate(self.jaxpr.invars)}
        self.made = 0
        makers = {v: eqn for eqn in self.jaxpr.eqns for v in eqn.outvars}
        self._constants = Constants(makers, self.consts)

    def is_public(self, atom: Any) -> bool:
        return isinstance(atom, core.Literal) or atom in self.public

    def given(self, atom: Any) -> NDArray[Any] | None:
        """The value of what is public, else None."""
        return self._constants.value(atom) if self.is_public(atom) else None

    def secret(self) -> list[core.JaxprEqn]:
        """Equations that depend on a secret."""
        return [eqn for eqn in self.jaxpr.eqns if not all(map(self.is_public, eqn.outvars))]

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

    def call(self, eqn: core.JaxprEqn, kind: str, *, named: bool = True) -> Call:
        """An equation as a kernel runs it; without `named` only to know its cost."""
        name = eqn.primitive.name
        given = [self.given(v) for v in eqn.invars]
        params = dict(eqn.params) if name in PRIMITIVES else {key: eqn.params[key] for key in _PARAMS.get(name, ())}
        if name == "shift_left":
            given = [None, np.left_shift(np.int64(1), np.asarray(given[1]))]
        if name == "div":
            given = [None, 1 / np.asarray(given[1])]
        if name in ("mul", "div", "dot_general") and dtype_of(eqn.outvars[0]) == "float64":
            given, params["bits"] = _factors(given)
        if name == "scaled_matmul":
            params = {"bits": FRACTION_BITS + eqn.params["shift"]}
            given = [None if value is None else np.rint(value * 2.0**FRACTION_BITS).astype(np.int64) for value in given]
        if name in ("gather", "dynamic_slice"):
            params["places"] = _places(eqn, given[1:])
            given = given[:1]
        if name == "convert_element_type":
            params = {"source": dtype_of(eqn.invars[0])}
        if kind in ("less", "equal"):
            params = {"op": operation_of(eqn), "bits": eqn.params.get("bits", 64)}
        operands = tuple(
            (self.names[v] if named else "") if value is None else value
            for v, value in zip(eqn.invars, given, strict=False)
        )
        outputs = tuple(self.fresh() if named else "" for _ in eqn.outvars)
        if named:
            self.names.update(zip(eqn.outvars, outputs, strict=True))
        return Call(eqn, kind, operands, outputs, params)

    def kernel(self, calls: Sequence[Call]) -> KernelRegion:
        eqns = [call.eqn for call in calls]
        read = list(dict.fromkeys(v for eqn in eqns for v in _variables(eqn.invars)))
        outs = [v for eqn in eqns for v in eqn.outvars]
        public = [v for v in read if self.is_public(v)]
        secret = [v for v in read if not self.is_public(v)]
        jaxpr = core.ClosedJaxpr(core.Jaxpr(public, secret, outs, eqns), [self.given(v) for v in public])
        inputs = tuple(self.names[v] for v in secret)
        outputs = tuple(name for call in calls for name in call.outputs)
        cost = together_cost(calls, self.link) if calls[0].kind in TOGETHER else call_cost(calls[0], self.link)
        return KernelRegion(tuple(calls), inputs, outputs, jaxpr, cost)

    def copied(self, atom: Any) -> KernelRegion:
        """A region that gives a constant or an argument a name of its own."""
        out = core.gensym()(atom.aval)
        eqn = _COPY.replace(invars=[atom], outvars=[out])
        return self.kernel([self.call(eqn, "local")])


def _factors(given: Sequence[NDArray[Any] | None]) -> tuple[list[NDArray[Any] | None], int]:
    """A public float factor as a whole one, and the bits that the product loses."""
    known = next((value for value in given if value is not None), None)
    if known is None:
        return list(given), FRACTION_BITS
    factor, bits = factor_of(known)
    return [None if value is None else factor for value in given], bits


def _places(eqn: core.JaxprEqn, indices: Sequence[NDArray[Any] | None]) -> Places:
    """Where in the operand each element of the result lies, -1 for none."""
    whole = np.arange(size_of(eqn.invars[0]), dtype=np.int64).reshape(shape_of(eqn.invars[0]))
    functions, params = eqn.primitive.get_bind_params(eqn.params)
    if params.get("fill_value", 0) is None:
        params["fill_value"] = -1
    return Places(np.asarray(eqn.primitive.bind(*functions, whole, *indices, **params)))


class Places:
    """An array of positions, shown by its digest."""

    def __init__(self, positions: NDArray[np.int64]) -> None:
        self.positions = positions

    def __repr__(self) -> str:
        return f"places {self.positions.shape} {hashlib.sha256(self.positions.tobytes()).hexdigest()[:16]}"


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
        self._is_public = cutter.is_public
        self._public = [eqn for eqn in cutter.jaxpr.eqns if all(map(cutter.is_public, eqn.invars))]
        secret = cutter.secret()
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
            read = _variables(eqn.invars)
            if here % 2:
                read = [v for v in read if not self._is_public(v)]  # kernels have constants themselves
            self._wanted.setdefault(here - here % 2, set()).update(read)

    def runs(self) -> Iterator[_Run]:
        """Equations of one SPU region, or of kernels, again and again."""
        for number in range(max([0, *self._levels]) + 1):
            eqns = self._levels.get(number, [])
            if number % 2 and eqns:
                yield _Run(eqns, native=True)
            elif not number % 2 and (found := [*self._needed(self._wanted.get(number, set())), *eqns]):
                yield _Run(found, native=False)

    def _needed(self, wanted: set[core.Var]) -> list[core.JaxprEqn]:
        """Public equations that make these variables."""
        needed, found = set(wanted), []
        for eqn in reversed(self._public):
            if not needed.isdisjoint(eqn.outvars):
                found.append(eqn)
                needed.update(v for v in eqn.invars if isinstance(v, core.Var))
        return found[::-1]


def partition(
    fn: Callable[..., Any] | core.ClosedJaxpr,
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
    fn : callable or jax.core.ClosedJaxpr
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
        How far apart the parties are; they must use the same.

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
    aby3: in0, in1 -> v1, 1 rounds, 96 B
      native  v0 <- mul(in0, in1): 1 rounds, 96 B
      native  local: add
    >>> print(partition(lambda x, y: x * y + 1, [spec, spec], protocol="aby3", kernels="spu"))
    aby3: in0, in1 -> v0, ~1 rounds, ~96 B
      spu     v0 <- in0, in1: 2 equations, ~1 rounds, ~96 B
    """
    ours = available if protocol == "aby3" and kernels != "spu" else frozenset()
    try:
        program = trace(fn, specs, protocol, unroll=bool(ours))
    except (jax.errors.ConcretizationTypeError, jax.errors.NonConcreteBooleanIndexError) as error:
        raise UnsupportedError(
            "the program needs the value of a secret to go on (a branch, a loop bound, an index or a shape)",
            code="MPC-0353",
            hint="use jax.numpy.where(condition, a, b) instead of if, and masks instead of boolean indexing",
        ) from error
    cutter = _Cutter(program, protocol, link.kernels, empty=bool(ours))
    if whole(cutter.secret(), cutter.given, kernels, ours):
        regions, outputs = _all_native(cutter)
    else:
        cutter = _Cutter(program, protocol, link.kernels, empty=False)
        regions, outputs = _mixed(cutter, kernels, available if protocol == "aby3" else frozenset(), link)
    public = {name for name, v in zip(outputs, program.jaxpr.outvars, strict=True) if cutter.is_public(v)}
    kept = tuple(r for r in regions if r.outputs)
    return Partitioned(protocol, tuple(cutter.names[v] for v in program.jaxpr.invars), outputs, kept, frozenset(public))


def _all_native(cutter: _Cutter) -> tuple[list[Region], tuple[str, ...]]:
    """Kernel calls only, and the names of the results."""
    calls = [cutter.call(eqn, kind_of(eqn, cutter.given) or "") for eqn in cutter.secret()]
    regions: list[Region] = [cutter.kernel(batch) for batch in batches(calls, cutter.link)]
    made = {v for call in calls for v in call.eqn.outvars}
    copies: dict[Any, KernelRegion] = {}
    outputs = []
    for v in cutter.jaxpr.outvars:
        if isinstance(v, core.Var) and v in made:
            outputs.append(cutter.names[v])
            continue
        key = v if isinstance(v, core.Var) else (np.asarray(v.val).tobytes(), str(v.aval))
        if key not in copies:
            copies[key] = cutter.copied(v)
        outputs.append(copies[key].outputs[0])
    return [*regions, *copies.values()], tuple(outputs)


def _mixed(
    cutter: _Cutter, kernels: Kernels, available: frozenset[str], link: LinkProfile
) -> tuple[list[Region], tuple[str, ...]]:
    """SPU regions with kernels between them, and the names of the results."""

    def cost(eqn: core.JaxprEqn, kind: str) -> Cost:
        return call_cost(cutter.call(eqn, kind, named=False), cutter.link)

    where = chooser(cutter.given, kernels, available, link, cost)
    regions = _regions(cutter, list(_Schedule(cutter, where).runs()))
    outputs, copies = _outputs(cutter)
    return [*regions, *copies], outputs


def _regions(cutter: _Cutter, runs: Sequence[_Run]) -> list[Region]:
    results = set(_variables(cutter.jaxpr.outvars))
    wanted: list[set[core.Var]] = []  # what later runs read, and do not make themselves
    for run in reversed(runs):
        wanted.append(set(results))
        made = {v for eqn in run.eqns for v in eqn.outvars}
        read = (v for eqn in run.eqns for v in _variables(eqn.invars))
        results.update(v for v in read if v not in made and not (run.native and cutter.is_public(v)))
    wanted.reverse()
    regions: list[Region] = []
    for run, later in zip(runs, wanted, strict=True):
        if run.native:
            calls = [cutter.call(eqn, kind_of(eqn, cutter.given) or "") for eqn in run.eqns]
            regions += [cutter.kernel(batch) for batch in batches(calls, cutter.link)]
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
