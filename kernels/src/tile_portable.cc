#include "tile.h"

namespace mpc_kernels {
namespace {

template <std::size_t R, std::size_t S>
void tile(const std::uint64_t* a, std::size_t lda, const std::uint64_t* b, std::size_t ldb, std::size_t len,
          std::uint64_t* c, std::size_t ldc) {
  std::uint64_t acc[R][S] = {};
  for (std::size_t p = 0; p < len; ++p) {
    for (std::size_t r = 0; r < R; ++r) {
      for (std::size_t s = 0; s < S; ++s) acc[r][s] += a[r * lda + p] * b[s * ldb + p];
    }
  }
  for (std::size_t r = 0; r < R; ++r) {
    for (std::size_t s = 0; s < S; ++s) c[r * ldc + s] += acc[r][s];
  }
}

}  // namespace

const TileSet& tiles_portable() noexcept {
  static constexpr TileSet set{2, 2, {{{tile<1, 1>, tile<1, 2>}, {tile<2, 1>, tile<2, 2>}}}};
  return set;
}

}  // namespace mpc_kernels
