"""The numpy meaning of the kernels on bit planes and permutations; see `_reference`."""

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Index = NDArray[np.uint32]


def _bits(rows: Words, order: Index) -> NDArray[np.uint8]:
    """Bits of packed rows, shape [len(order), n]."""
    bytes_ = rows.astype("<u8", copy=False).view(np.uint8).reshape(len(rows), 8 * rows.shape[1])
    return np.ascontiguousarray(np.unpackbits(bytes_, axis=1, bitorder="little")[:, order].T)


def _pack(bits: NDArray[np.uint8], words: int) -> Words:
    packed = np.zeros((len(bits), 8 * words), np.uint8)
    found = np.packbits(bits, axis=1, bitorder="little")
    packed[:, : found.shape[1]] = found
    return packed.view("<u8").astype(np.uint64, copy=False)


def rows_to_planes(rows: Words, order: Index, out: Words) -> None:
    """Bits `order` of rows[n,width] as planes."""
    out[...] = _pack(_bits(rows, order), out.shape[1])


def planes_to_rows(planes: Words, out: Words) -> None:
    """Planes as packed rows."""
    bits = np.unpackbits(planes.astype("<u8", copy=False).view(np.uint8), axis=1, bitorder="little")[:, : len(out)]
    out[...] = _pack(np.ascontiguousarray(bits.T), out.shape[1])


def pick_planes_var(rows: Words, index: Index, order: Index, other: Words | None, flip: int, out: Words) -> None:
    """Planes of rows[index], XORed with other planes and a constant."""
    rows_to_planes(rows[index], order, out)
    if other is not None:
        out ^= other ^ np.uint64(flip)


def pick_pairs_var(
    rows: Words,
    index: Index,
    order: Index,
    other0: Words | None,
    other1: Words | None,
    flip0: int,
    flip1: int,
    out0: Words,
    out1: Words,
) -> None:
    """Planes of both components of picked rows."""
    for part, other, flip, out in zip(np.hsplit(rows, 2), (other0, other1), (flip0, flip1), (out0, out1), strict=True):
        pick_planes_var(np.ascontiguousarray(part), index, order, other, flip, out)


def and_local(x0: Words, x1: Words, y0: Words, y1: Words, mask: Words, out: Words) -> None:
    """One party's masked part of an AND."""
    out[...] = mask ^ (x0 & (y0 ^ y1)) ^ (x1 & y0)


def majority_local(a0: Words, a1: Words, b0: Words, b1: Words, c0: Words, c1: Words, mask: Words, out: Words) -> None:
    """One party's masked part of the carry maj(a, b, c)."""
    and_local(a0 ^ b0, a1 ^ b1, a0 ^ c0, a1 ^ c1, mask ^ a0, out)


def plane_gates_local(
    x0: Words, x1: Words, terms: Index, starts: Index, flip0: int, flip1: int, mask: Words, out: Words
) -> None:
    """One party's masked parts of inner products of planes; see `mpc_kernels.plane_gates_local`."""
    parts = mask.copy()
    for g, part in enumerate(parts):
        for a, b, y in terms[starts[g] : starts[g + 1]].tolist():
            second = {2**32 - 1: (0, 0), 2**32 - 2: (flip0, flip1)}.get(b)
            b0, b1 = (x0[b], x1[b]) if second is None else (np.uint64(flip) for flip in second)
            and_local(x0[a] ^ b0, x1[a] ^ b1, x0[y], x1[y], part.copy(), part)
    out[...] = parts


def gather_rows_var(rows: Words, index: Index, out: Words) -> None:
    """Rows picked by index."""
    out[...] = rows[index]


def scatter_rows_var(rows: Words, index: Index, out: Words) -> None:
    """Rows put where the index says."""
    out[index] = rows


def gather_index_var(values: Index, index: Index, out: Index) -> None:
    """Composition of index arrays."""
    out[...] = values[index]


def invert_index_var(index: Index, out: Index) -> None:
    """Inverse of a permutation."""
    out[index] = np.arange(len(index), dtype=np.uint32)


def random_permutation_var(words: Words, out: Index) -> bool:
    """A uniform permutation by Fisher-Yates; False when the words do not suffice."""
    size = len(out)
    order = list(range(size))
    source = iter(words.tolist())
    for last in range(size, 1, -1):
        threshold = (2**64 - last) % last
        while True:
            word = next(source, None)
            if word is None:
                return False
            if (word * last) % 2**64 >= threshold:
                break
        place = (word * last) >> 64
        order[last - 1], order[place] = order[place], order[last - 1]
    out[...] = order
    return True


def group_order_var(group: Index, order: Index, start: Index) -> None:
    """Stable order of rows by group."""
    order[...] = np.argsort(group, kind="stable")
    start[0] = 0
    start[1:] = np.cumsum(np.bincount(group, minlength=len(start) - 1))
