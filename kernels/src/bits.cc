#include "mpc_kernels/bits.h"

#include <algorithm>
#include <cstring>

#include "dispatch.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace mpc_kernels {
namespace {

constexpr std::size_t kLanes = 8;             // blocks of 64 rows transposed together, one a lane of a 512-bit register
constexpr std::size_t kBlock = 64 * kLanes;   // rows
constexpr std::size_t kTile = 64;             // words of every plane that are collected before they are written
constexpr std::size_t kPairTile = 32;         // the same where both components are collected
constexpr std::size_t kChunk = 512;           // words of a plane that stay in the first cache level

}  // namespace

// One step of the transposition: swaps the off-diagonal J×J blocks of every 2J×2J block. The lanes are one vector of
// the compiler, so that every instruction set gets its widest registers.
template <std::size_t J>
MPC_LOOP void swap_blocks(std::uint64_t (&a)[64][kLanes], std::uint64_t mask) {
  using Lanes = std::uint64_t __attribute__((vector_size(8 * kLanes), may_alias));
  for (std::size_t k = 0; k < 64; k = (k + J + 1) & ~J) {
    auto* low = reinterpret_cast<Lanes*>(a[k]);
    auto* high = reinterpret_cast<Lanes*>(a[k + J]);
    const Lanes t = ((*low >> J) ^ *high) & mask;
    *high ^= t;
    *low ^= t << J;
  }
}

// Transposes kLanes matrices of 64×64 bits; word i of lane l is a[i][l], aligned to a lane vector.
// (Warren, Hacker's Delight, section 7-3.)
MPC_LOOP void transpose(std::uint64_t (&a)[64][kLanes]) {
  swap_blocks<32>(a, 0x00000000ffffffffULL);
  swap_blocks<16>(a, 0x0000ffff0000ffffULL);
  swap_blocks<8>(a, 0x00ff00ff00ff00ffULL);
  swap_blocks<4>(a, 0x0f0f0f0f0f0f0f0fULL);
  swap_blocks<2>(a, 0x3333333333333333ULL);
  swap_blocks<1>(a, 0x5555555555555555ULL);
}

// Writes `count` words of every plane whose bit lies in word `word` of the packed row, from place `at` of the plane on;
// with `other` the XOR with its planes and `flip`.
template <bool Xor>
MPC_LOOP void put_planes(const std::uint64_t (&tile)[64][kTile], const std::uint32_t* order, std::size_t bits,
                         std::size_t word, std::uint64_t* out, std::size_t words, std::size_t at, std::size_t count,
                         const std::uint64_t* other, std::uint64_t flip) {
  for (std::size_t j = 0; j < bits; ++j) {
    if (order[j] / 64 != word) continue;
    const std::uint64_t* from = tile[order[j] % 64];
    std::uint64_t* to = out + j * words + at;
    if (Xor) {
      const std::uint64_t* with = other + j * words + at;
#pragma GCC ivdep
      for (std::size_t l = 0; l < count; ++l) to[l] = from[l] ^ with[l] ^ flip;
    } else {
#pragma GCC ivdep
      for (std::size_t l = 0; l < count; ++l) to[l] = from[l];
    }
  }
}

// Keeps the transposed block number `block` of a tile.
MPC_LOOP void keep(const std::uint64_t (&a)[64][kLanes], std::uint64_t (&tile)[64][kTile], std::size_t block) {
  for (std::size_t i = 0; i < 64; ++i) {
    for (std::size_t l = 0; l < kLanes; ++l) tile[i][block * kLanes + l] = a[i][l];
  }
}

// Spreads `count` <= kBlock words, `stride` apart, over the lanes; 0 past the end.
MPC_LOOP void load_lanes(const std::uint64_t* from, std::size_t count, std::size_t stride,
                         std::uint64_t (&a)[64][kLanes]) {
  if (count == kBlock) {
    for (std::size_t l = 0; l < kLanes; ++l) {
      for (std::size_t i = 0; i < 64; ++i) a[i][l] = from[(64 * l + i) * stride];
    }
    return;
  }
  std::memset(a, 0, sizeof a);
  for (std::size_t i = 0; i < count; ++i) a[i % 64][i / 64] = from[i * stride];
}

MPC_LOOP void rows_to_planes_loop(const std::uint64_t* rows, std::size_t n, std::size_t width,
                                  const std::uint32_t* order, std::size_t bits, std::uint64_t* out) {
  alignas(64) std::uint64_t a[64][kLanes];
  alignas(64) std::uint64_t tile[64][kTile];
  const std::size_t words = (n + 63) / 64;
  for (std::size_t first = 0; first < n; first += 64 * kTile) {
    const std::size_t last = std::min(n, first + 64 * kTile), count = (last - first + 63) / 64;
    for (std::size_t word = 0; word < width; ++word) {
      for (std::size_t base = first; base < last; base += kBlock) {
        load_lanes(rows + base * width + word, std::min(kBlock, last - base), width, a);
        transpose(a);
        keep(a, tile, (base - first) / kBlock);
      }
      put_planes<false>(tile, order, bits, word, out, words, first / 64, count, nullptr, 0);
    }
  }
}

MPC_LOOP void planes_to_rows_loop(const std::uint64_t* planes, std::size_t n, std::size_t bits, std::uint64_t* out) {
  alignas(64) std::uint64_t a[64][kLanes];
  const std::size_t words = (n + 63) / 64, width = (bits + 63) / 64;
  for (std::size_t base = 0; base < n; base += kBlock) {
    const std::size_t at = base / 64, lanes = std::min(kLanes, words - at);
    for (std::size_t word = 0; word < width; ++word) {
      const std::size_t used = std::min<std::size_t>(64, bits - 64 * word);
      std::memset(a, 0, sizeof a);
      for (std::size_t i = 0; i < used; ++i) {
        const std::uint64_t* from = planes + (64 * word + i) * words + at;
        for (std::size_t l = 0; l < lanes; ++l) a[i][l] = from[l];
      }
      transpose(a);
      for (std::size_t l = 0; l < lanes; ++l) {
        const std::size_t first = base + 64 * l, count = std::min<std::size_t>(64, n - first);
        std::uint64_t* to = out + first * width + word;
        for (std::size_t i = 0; i < count; ++i) to[i * width] = a[i][l];
      }
    }
  }
}

// Not inlined, so that no gather instruction is used: since the microcode fixes of 2023 they are several times slower
// than single loads.
__attribute__((noinline)) static void pick(const std::uint64_t* rows, std::size_t width, const std::uint32_t* index,
                                           std::size_t count, std::uint64_t* out) {
  for (std::size_t i = 0; i < count; ++i) out[i] = rows[std::size_t{index[i]} * width];
}

MPC_LOOP void pick_planes_var_loop(const std::uint64_t* rows, std::size_t width, const std::uint32_t* index,
                                   std::size_t m, const std::uint32_t* order, std::size_t bits,
                                   const std::uint64_t* other, std::uint64_t flip, std::uint64_t* out) {
  alignas(64) std::uint64_t a[64][kLanes];
  alignas(64) std::uint64_t tile[64][kTile];
  std::uint64_t picked[kBlock];
  const std::size_t words = (m + 63) / 64;
  for (std::size_t first = 0; first < m; first += 64 * kTile) {
    const std::size_t last = std::min(m, first + 64 * kTile), count = (last - first + 63) / 64;
    for (std::size_t word = 0; word < width; ++word) {
      for (std::size_t base = first; base < last; base += kBlock) {
        const std::size_t size = std::min(kBlock, last - base);
        pick(rows + word, width, index + base, size, picked);
        load_lanes(picked, size, 1, a);
        transpose(a);
        keep(a, tile, (base - first) / kBlock);
      }
      if (other == nullptr) {
        put_planes<false>(tile, order, bits, word, out, words, first / 64, count, nullptr, 0);
      } else {
        put_planes<true>(tile, order, bits, word, out, words, first / 64, count, other, flip);
      }
    }
  }
}

// Transposes kBlock words: bit p of word i becomes bit i % 64 of tile[p][at + i / 64].
using PairTile = std::uint64_t[64][kPairTile];

MPC_LOOP void transpose_block_loop(const std::uint64_t* picked, PairTile& tile, std::size_t at) {
  alignas(64) std::uint64_t a[64][kLanes];
  load_lanes(picked, kBlock, 1, a);
  transpose(a);
  for (std::size_t i = 0; i < 64; ++i) {
    for (std::size_t l = 0; l < kLanes; ++l) tile[i][at + l] = a[i][l];
  }
}

MPC_DISPATCH(transpose_block, (const std::uint64_t* picked, PairTile& tile, std::size_t at), (picked, tile, at))

#if defined(__x86_64__)
// The same with instructions for 8x8 bit matrices: bytes of 8 rows side by side, their bits, then bytes and words.
__attribute__((target("avx512f,avx512bw,avx512vbmi,gfni"))) static void transpose_block_gfni(
    const std::uint64_t* picked, PairTile& tile, std::size_t at) {
  alignas(64) std::uint8_t order[64];
  for (std::size_t j = 0; j < 8; ++j) {
    for (std::size_t r = 0; r < 8; ++r) order[8 * j + 7 - r] = static_cast<std::uint8_t>(8 * r + j);
  }
  const __m512i bytes = _mm512_load_si512(order);
  const __m512i identity = _mm512_set1_epi64(static_cast<long long>(0x8040201008040201ULL));
  alignas(64) __m512i half[kLanes][8];  // [block][q]: word 2 l + e is plane 16 l + 2 q + e
  for (std::size_t block = 0; block < kLanes; ++block) {
    __m512i z[8];
    for (std::size_t k = 0; k < 8; ++k) {
      const __m512i rows = _mm512_loadu_si512(picked + 64 * block + 8 * k);
      z[k] = _mm512_gf2p8affine_epi64_epi8(identity, _mm512_permutexvar_epi8(bytes, rows), 0);
    }
    __m512i two[4][2], four[2][4];
    for (std::size_t k = 0; k < 4; ++k) {
      two[k][0] = _mm512_unpacklo_epi8(z[2 * k], z[2 * k + 1]);
      two[k][1] = _mm512_unpackhi_epi8(z[2 * k], z[2 * k + 1]);
    }
    for (std::size_t k = 0; k < 2; ++k) {
      for (std::size_t h = 0; h < 2; ++h) {
        four[k][2 * h] = _mm512_unpacklo_epi16(two[2 * k][h], two[2 * k + 1][h]);
        four[k][2 * h + 1] = _mm512_unpackhi_epi16(two[2 * k][h], two[2 * k + 1][h]);
      }
    }
    for (std::size_t h = 0; h < 4; ++h) {
      half[block][2 * h] = _mm512_unpacklo_epi32(four[0][h], four[1][h]);
      half[block][2 * h + 1] = _mm512_unpackhi_epi32(four[0][h], four[1][h]);
    }
  }
  for (std::size_t q = 0; q < 8; ++q) {
    for (std::size_t e = 0; e < 2; ++e) {
      __m512i t[4];
      for (std::size_t k = 0; k < 4; ++k) {
        const __m512i x = half[2 * k][q], y = half[2 * k + 1][q];
        t[k] = e == 0 ? _mm512_unpacklo_epi64(x, y) : _mm512_unpackhi_epi64(x, y);
      }
      const __m512i even0 = _mm512_shuffle_i64x2(t[0], t[1], 0x88), odd0 = _mm512_shuffle_i64x2(t[0], t[1], 0xdd);
      const __m512i even1 = _mm512_shuffle_i64x2(t[2], t[3], 0x88), odd1 = _mm512_shuffle_i64x2(t[2], t[3], 0xdd);
      const std::size_t plane = 2 * q + e;
      _mm512_storeu_si512(&tile[plane][at], _mm512_shuffle_i64x2(even0, even1, 0x88));
      _mm512_storeu_si512(&tile[plane + 16][at], _mm512_shuffle_i64x2(odd0, odd1, 0x88));
      _mm512_storeu_si512(&tile[plane + 32][at], _mm512_shuffle_i64x2(even0, even1, 0xdd));
      _mm512_storeu_si512(&tile[plane + 48][at], _mm512_shuffle_i64x2(odd0, odd1, 0xdd));
    }
  }
}

static bool has_gfni() noexcept {
  static const bool found = __builtin_cpu_supports("gfni") && __builtin_cpu_supports("avx512vbmi") &&
                            __builtin_cpu_supports("avx512bw");
  return found;
}
#endif

static void transpose_words(const std::uint64_t* picked, PairTile& tile, std::size_t at, Isa isa) {
#if defined(__x86_64__)
  if (has_avx512(isa) && has_gfni()) return transpose_block_gfni(picked, tile, at);
#endif
  transpose_block(picked, tile, at, isa);
}

// As put_planes, of a PairTile.
MPC_LOOP void put_pair_planes_loop(const PairTile& tile, const std::uint32_t* order, std::size_t bits,
                                   std::size_t word, std::uint64_t* out, std::size_t words, std::size_t at,
                                   std::size_t count, const std::uint64_t* other, std::uint64_t flip) {
  for (std::size_t j = 0; j < bits; ++j) {
    if (order[j] / 64 != word) continue;
    const std::uint64_t* from = tile[order[j] % 64];
    std::uint64_t* to = out + j * words + at;
    if (other != nullptr) {
      const std::uint64_t* with = other + j * words + at;
#pragma GCC ivdep
      for (std::size_t l = 0; l < count; ++l) to[l] = from[l] ^ with[l] ^ flip;
    } else {
#pragma GCC ivdep
      for (std::size_t l = 0; l < count; ++l) to[l] = from[l];
    }
  }
}

MPC_DISPATCH(put_pair_planes,
             (const PairTile& tile, const std::uint32_t* order, std::size_t bits, std::size_t word,
              std::uint64_t* out, std::size_t words, std::size_t at, std::size_t count, const std::uint64_t* other,
              std::uint64_t flip),
             (tile, order, bits, word, out, words, at, count, other, flip))

void pick_pairs_var(const std::uint64_t* rows, std::size_t width, const std::uint32_t* index, std::size_t m,
                    const std::uint32_t* order, std::size_t bits, const std::uint64_t* other0,
                    const std::uint64_t* other1, std::uint64_t flip0, std::uint64_t flip1, std::uint64_t* out0,
                    std::uint64_t* out1, Isa isa) {
  alignas(64) PairTile tile0, tile1;
  alignas(64) std::uint64_t picked0[kBlock], picked1[kBlock];
  const std::size_t words = (m + 63) / 64;
  for (std::size_t first = 0; first < m; first += 64 * kPairTile) {
    const std::size_t last = std::min(m, first + 64 * kPairTile), count = (last - first + 63) / 64;
    for (std::size_t word = 0; word < width; ++word) {
      for (std::size_t base = first; base < last; base += kBlock) {
        const std::size_t size = std::min(kBlock, last - base);
        for (std::size_t i = 0; i < size; ++i) {
          const std::uint64_t* from = rows + 2 * width * index[base + i] + word;
          picked0[i] = from[0];
          picked1[i] = from[width];
        }
        if (size < kBlock) {
          std::fill(picked0 + size, picked0 + kBlock, std::uint64_t{0});
          std::fill(picked1 + size, picked1 + kBlock, std::uint64_t{0});
        }
        transpose_words(picked0, tile0, (base - first) / 64, isa);
        transpose_words(picked1, tile1, (base - first) / 64, isa);
      }
      put_pair_planes(tile0, order, bits, word, out0, words, first / 64, count, other0, flip0, isa);
      put_pair_planes(tile1, order, bits, word, out1, words, first / 64, count, other1, flip1, isa);
    }
  }
}

MPC_LOOP void and_local_loop(const std::uint64_t* x0, const std::uint64_t* x1, const std::uint64_t* y0,
                             const std::uint64_t* y1, const std::uint64_t* mask, std::uint64_t* out,
                             std::size_t size) {
#pragma GCC ivdep
  for (std::size_t i = 0; i < size; ++i) out[i] = mask[i] ^ (x0[i] & (y0[i] ^ y1[i])) ^ (x1[i] & y0[i]);
}

MPC_LOOP void majority_local_loop(const std::uint64_t* a0, const std::uint64_t* a1, const std::uint64_t* b0,
                                  const std::uint64_t* b1, const std::uint64_t* c0, const std::uint64_t* c1,
                                  const std::uint64_t* mask, std::uint64_t* out, std::size_t size) {
#pragma GCC ivdep
  for (std::size_t i = 0; i < size; ++i) {
    const std::uint64_t x0 = a0[i] ^ b0[i], x1 = a1[i] ^ b1[i], y0 = a0[i] ^ c0[i], y1 = a1[i] ^ c1[i];
    out[i] = mask[i] ^ a0[i] ^ (x0 & (y0 ^ y1)) ^ (x1 & y0);
  }
}

MPC_LOOP void plane_gates_local_loop(const std::uint64_t* x0, const std::uint64_t* x1, const std::uint32_t* terms,
                                     const std::uint32_t* starts, std::size_t gates, std::size_t words,
                                     std::uint64_t flip0, std::uint64_t flip1, const std::uint64_t* mask,
                                     std::uint64_t* out) {
  for (std::size_t from = 0; from < words; from += kChunk) {
    const std::size_t count = std::min(words - from, kChunk);
    for (std::size_t g = 0; g < gates; ++g) {
      std::uint64_t* to = out + g * words + from;
      const std::uint64_t* with = mask + g * words + from;
      if (to != with) std::copy_n(with, count, to);
      for (std::size_t t = starts[g]; t < starts[g + 1]; ++t) {
        const std::size_t a = terms[3 * t] * words + from, b = terms[3 * t + 1], y = terms[3 * t + 2] * words + from;
        const std::uint64_t *a0 = x0 + a, *a1 = x1 + a, *y0 = x0 + y, *y1 = x1 + y;
        if (b == kNoPlane) {
#pragma GCC ivdep
          for (std::size_t i = 0; i < count; ++i) to[i] ^= (a0[i] & (y0[i] ^ y1[i])) ^ (a1[i] & y0[i]);
        } else if (b == kOnes) {
#pragma GCC ivdep
          for (std::size_t i = 0; i < count; ++i) {
            to[i] ^= ((a0[i] ^ flip0) & (y0[i] ^ y1[i])) ^ ((a1[i] ^ flip1) & y0[i]);
          }
        } else {
          const std::uint64_t *b0 = x0 + b * words + from, *b1 = x1 + b * words + from;
#pragma GCC ivdep
          for (std::size_t i = 0; i < count; ++i) {
            to[i] ^= ((a0[i] ^ b0[i]) & (y0[i] ^ y1[i])) ^ ((a1[i] ^ b1[i]) & y0[i]);
          }
        }
      }
    }
  }
}

MPC_DISPATCH(plane_gates_local,
             (const std::uint64_t* x0, const std::uint64_t* x1, const std::uint32_t* terms,
              const std::uint32_t* starts, std::size_t gates, std::size_t words, std::uint64_t flip0,
              std::uint64_t flip1, const std::uint64_t* mask, std::uint64_t* out),
             (x0, x1, terms, starts, gates, words, flip0, flip1, mask, out))

MPC_DISPATCH(rows_to_planes,
             (const std::uint64_t* rows, std::size_t n, std::size_t width, const std::uint32_t* order,
              std::size_t bits, std::uint64_t* out),
             (rows, n, width, order, bits, out))

MPC_DISPATCH(planes_to_rows, (const std::uint64_t* planes, std::size_t n, std::size_t bits, std::uint64_t* out),
             (planes, n, bits, out))

MPC_DISPATCH(pick_planes_var,
             (const std::uint64_t* rows, std::size_t width, const std::uint32_t* index, std::size_t m,
              const std::uint32_t* order, std::size_t bits, const std::uint64_t* other, std::uint64_t flip,
              std::uint64_t* out),
             (rows, width, index, m, order, bits, other, flip, out))

MPC_DISPATCH(and_local,
             (const std::uint64_t* x0, const std::uint64_t* x1, const std::uint64_t* y0, const std::uint64_t* y1,
              const std::uint64_t* mask, std::uint64_t* out, std::size_t size),
             (x0, x1, y0, y1, mask, out, size))

MPC_DISPATCH(majority_local,
             (const std::uint64_t* a0, const std::uint64_t* a1, const std::uint64_t* b0, const std::uint64_t* b1,
              const std::uint64_t* c0, const std::uint64_t* c1, const std::uint64_t* mask, std::uint64_t* out,
              std::size_t size),
             (a0, a1, b0, b1, c0, c1, mask, out, size))

}  // namespace mpc_kernels
