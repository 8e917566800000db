"""What an implementation of the kernels on bit planes and permutations provides."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Index = NDArray[np.uint32]


class BitKernels(Protocol):
    """Arguments have been checked; see `mpc_kernels.bits` and `mpc_kernels.permute` for the contracts."""

    def rows_to_planes(self, rows: Words, order: Index, out: Words) -> None:
        """Bits of packed rows as planes."""

    def planes_to_rows(self, planes: Words, out: Words) -> None:
        """Planes as packed rows."""

    def pick_planes_var(
        self, rows: Words, index: Index, order: Index, other: Words | None, flip: int, out: Words
    ) -> None:
        """Planes of rows picked by public indices."""

    def pick_pairs_var(
        self,
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
        """Planes of both components of rows picked by public indices."""

    def and_local(self, x0: Words, x1: Words, y0: Words, y1: Words, mask: Words, out: Words) -> None:
        """One party's masked part of an AND."""

    def majority_local(
        self, a0: Words, a1: Words, b0: Words, b1: Words, c0: Words, c1: Words, mask: Words, out: Words
    ) -> None:
        """One party's masked part of a carry."""

    def plane_gates_local(
        self, x0: Words, x1: Words, terms: Index, starts: Index, flip0: int, flip1: int, mask: Words, out: Words
    ) -> None:
        """One party's masked parts of inner products of planes."""

    def gather_rows_var(self, rows: Words, index: Index, out: Words) -> None:
        """Rows picked by index."""

    def scatter_rows_var(self, rows: Words, index: Index, out: Words) -> None:
        """Rows put where the index says."""

    def gather_index_var(self, values: Index, index: Index, out: Index) -> None:
        """Composition of index arrays."""

    def invert_index_var(self, index: Index, out: Index) -> None:
        """Inverse of a permutation."""

    def random_permutation_var(self, words: Words, out: Index) -> bool:
        """A uniform permutation; False when the words do not suffice."""

    def group_order_var(self, group: Index, order: Index, start: Index) -> None:
        """Stable order of rows by group."""


class RankKernels(Protocol):
    """Arguments have been checked by their caller; see `mpc_kernels.rank` for the contracts."""

    def sample_pairs_var(self, buckets: Index, left: Index, right: Index) -> None:
        """Comparisons that rank all samples."""

    def place_samples_var(self, less: Words, buckets: Index, group: Index, table: Index) -> None:
        """Groups of the samples' rows, and the pivots."""

    def rest_rows_var(self, buckets: Index, picked: Index, row: Index, found: Index) -> None:
        """Rows outside the samples, and where their search starts."""

    def step_down_var(self, less: Words, step: int, found: Index) -> None:
        """One step of a binary search."""

    def look_up_var(self, table: Index, found: Index, plus: int, left: Index) -> None:
        """What to compare with next."""

    def place_rest_var(self, found: Index, buckets: Index, picked: Index, group: Index) -> None:
        """Groups of the rows outside the samples."""

    def regroup_var(
        self,
        group: Index,
        rows: Words,
        row: Index,
        slot: Index,
        place: Index,
        mark: Index,
        rows_out: Words,
        row_out: Index,
        slot_out: Index,
        sizes_out: Index,
    ) -> tuple[int, int]:
        """Rows of each group side by side; those of groups of one row are placed."""
