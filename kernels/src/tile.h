// The inner kernel of every matrix product: a small tile of dot products mod 2^64.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "mpc_kernels/isa.h"

namespace mpc_kernels {

// c[r*ldc + s] += sum over p < len of a[r*lda + p] * b[s*ldb + p], for r < rows, s < cols of the tile.
using TileFn = void (*)(const std::uint64_t* a, std::size_t lda, const std::uint64_t* b, std::size_t ldb,
                        std::size_t len, std::uint64_t* c, std::size_t ldc);

// The tiles of one instruction set: fn[r-1][s-1] for 1 <= r <= rows, 1 <= s <= cols.
struct TileSet {
  std::size_t rows;
  std::size_t cols;
  std::array<std::array<TileFn, 4>, 4> fn;
};

const TileSet& tiles_portable() noexcept;
const TileSet& tiles_avx2() noexcept;
const TileSet& tiles_avx512() noexcept;
const TileSet& tiles_avx512dq() noexcept;

}  // namespace mpc_kernels
