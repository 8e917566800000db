// With a = a1·2^32 + a0 and b likewise, a·b = a0·b0 + (a0·b1 + a1·b0)·2^32 (mod 2^64), and of the cross terms only
// the low 32 bits count. So a dot product keeps two sums: of a0·b0 in 64 bits, and of the cross terms in 32 bits
// (one vpmulld of a with b's halves swapped gives both), which is shifted into place once, at the end. That is
// more than twice as fast as vpmullq on the Intel cores measured, and needs AVX-512 F only.
#include "tile.h"

#if defined(__x86_64__)
#include "tile_avx512.h"

namespace mpc_kernels {
namespace {

#define MPC_AVX512 __attribute__((target("avx512f")))

template <std::size_t R, std::size_t S>
struct Sums {
  __m512i low[R][S];
  __m512i cross[R][S];
};

// Adds a[r, 0..8) * b[s, 0..8) to the sums; lanes outside `mask` are neither read nor counted.
template <std::size_t R, std::size_t S>
MPC_AVX512 inline __attribute__((always_inline)) void step(const std::uint64_t* a, std::size_t lda,
                                                           const std::uint64_t* b, std::size_t ldb, __mmask8 mask,
                                                           Sums<R, S>& sums) {
  __m512i bv[S];
  __m512i swapped[S];
  MPC_UNROLL
  for (std::size_t s = 0; s < S; ++s) {
    bv[s] = _mm512_maskz_loadu_epi64(mask, b + s * ldb);
    swapped[s] = _mm512_shuffle_epi32(bv[s], _MM_PERM_CDAB);
  }
  MPC_UNROLL
  for (std::size_t r = 0; r < R; ++r) {
    const __m512i av = _mm512_maskz_loadu_epi64(mask, a + r * lda);
    MPC_UNROLL
    for (std::size_t s = 0; s < S; ++s) {
      sums.low[r][s] = _mm512_add_epi64(sums.low[r][s], _mm512_mul_epu32(av, bv[s]));
      sums.cross[r][s] = _mm512_add_epi32(sums.cross[r][s], _mm512_mullo_epi32(av, swapped[s]));
    }
  }
}

// The sum of the eight lanes of low + cross·2^32, where each lane of `cross` is two 32-bit sums.
MPC_AVX512 inline std::uint64_t total(__m512i low, __m512i cross) {
  cross = _mm512_slli_epi64(_mm512_add_epi32(cross, _mm512_srli_epi64(cross, 32)), 32);
  return lanes_added(_mm512_add_epi64(low, cross));
}

template <std::size_t R, std::size_t S>
MPC_AVX512 void tile(const std::uint64_t* a, std::size_t lda, const std::uint64_t* b, std::size_t ldb,
                     std::size_t len, std::uint64_t* c, std::size_t ldc) {
  Sums<R, S> sums;
  MPC_UNROLL
  for (std::size_t r = 0; r < R; ++r) {
    MPC_UNROLL
    for (std::size_t s = 0; s < S; ++s) sums.low[r][s] = sums.cross[r][s] = _mm512_setzero_si512();
  }
  std::size_t p = 0;
  for (; p + 8 <= len; p += 8) step<R, S>(a + p, lda, b + p, ldb, 0xff, sums);
  if (p < len) step<R, S>(a + p, lda, b + p, ldb, static_cast<__mmask8>((1U << (len - p)) - 1U), sums);
  MPC_UNROLL
  for (std::size_t r = 0; r < R; ++r) {
    MPC_UNROLL
    for (std::size_t s = 0; s < S; ++s) c[r * ldc + s] += total(sums.low[r][s], sums.cross[r][s]);
  }
}

}  // namespace

const TileSet& tiles_avx512() noexcept {
  static constexpr TileSet set{4,
                               2,
                               {{{tile<1, 1>, tile<1, 2>},
                                 {tile<2, 1>, tile<2, 2>},
                                 {tile<3, 1>, tile<3, 2>},
                                 {tile<4, 1>, tile<4, 2>}}}};
  return set;
}

}  // namespace mpc_kernels
#else
namespace mpc_kernels {
const TileSet& tiles_avx512() noexcept { return tiles_portable(); }
}  // namespace mpc_kernels
#endif
