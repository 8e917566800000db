// The method is that of tile_avx512.cc, in registers of four lanes.
#include "tile.h"

#if defined(__x86_64__)
#include <immintrin.h>

namespace mpc_kernels {
namespace {

#define MPC_AVX2 __attribute__((target("avx2")))

MPC_AVX2 inline __m256i load(const std::uint64_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

// The sum of the four lanes of low + cross·2^32, where each lane of `cross` is two 32-bit sums.
MPC_AVX2 inline std::uint64_t total(__m256i low, __m256i cross) {
  cross = _mm256_slli_epi64(_mm256_add_epi32(cross, _mm256_srli_epi64(cross, 32)), 32);
  const __m256i sum = _mm256_add_epi64(low, cross);
  const __m128i half = _mm_add_epi64(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
  return static_cast<std::uint64_t>(_mm_cvtsi128_si64(half)) + static_cast<std::uint64_t>(_mm_extract_epi64(half, 1));
}

template <std::size_t R, std::size_t S>
MPC_AVX2 void tile(const std::uint64_t* a, std::size_t lda, const std::uint64_t* b, std::size_t ldb, std::size_t len,
                   std::uint64_t* c, std::size_t ldc) {
  __m256i low[R][S];
  __m256i cross[R][S];
  for (std::size_t r = 0; r < R; ++r) {
    for (std::size_t s = 0; s < S; ++s) low[r][s] = cross[r][s] = _mm256_setzero_si256();
  }
  std::size_t p = 0;
  for (; p + 4 <= len; p += 4) {
    __m256i bv[S];
    __m256i swapped[S];
    for (std::size_t s = 0; s < S; ++s) {
      bv[s] = load(b + s * ldb + p);
      swapped[s] = _mm256_shuffle_epi32(bv[s], 0xb1);
    }
    for (std::size_t r = 0; r < R; ++r) {
      const __m256i av = load(a + r * lda + p);
      for (std::size_t s = 0; s < S; ++s) {
        low[r][s] = _mm256_add_epi64(low[r][s], _mm256_mul_epu32(av, bv[s]));
        cross[r][s] = _mm256_add_epi32(cross[r][s], _mm256_mullo_epi32(av, swapped[s]));
      }
    }
  }
  for (std::size_t r = 0; r < R; ++r) {
    for (std::size_t s = 0; s < S; ++s) {
      std::uint64_t sum = total(low[r][s], cross[r][s]);
      for (std::size_t q = p; q < len; ++q) sum += a[r * lda + q] * b[s * ldb + q];
      c[r * ldc + s] += sum;
    }
  }
}

}  // namespace

const TileSet& tiles_avx2() noexcept {
  static constexpr TileSet set{2, 2, {{{tile<1, 1>, tile<1, 2>}, {tile<2, 1>, tile<2, 2>}}}};
  return set;
}

}  // namespace mpc_kernels
#else
namespace mpc_kernels {
const TileSet& tiles_avx2() noexcept { return tiles_portable(); }
}  // namespace mpc_kernels
#endif
