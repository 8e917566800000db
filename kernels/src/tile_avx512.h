// What the tiles of AVX-512 share.
#pragma once
#include <immintrin.h>

#include <cstdint>

// Before loops over the rows and columns of a tile, whose sums stay in registers only if the loops are gone.
#define MPC_UNROLL _Pragma("GCC unroll 4")

namespace mpc_kernels {

// Not _mm512_reduce_add_epi64, which GCC writes as a signed addition that may not overflow.
__attribute__((target("avx512f"))) inline std::uint64_t lanes_added(__m512i sum) {
  const __m256i half = _mm256_add_epi64(_mm512_castsi512_si256(sum), _mm512_extracti64x4_epi64(sum, 1));
  const __m128i pair = _mm_add_epi64(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
  return static_cast<std::uint64_t>(_mm_cvtsi128_si64(pair)) + static_cast<std::uint64_t>(_mm_extract_epi64(pair, 1));
}

}  // namespace mpc_kernels
