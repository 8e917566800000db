#include "mpc_kernels/prg.h"

#include <algorithm>
#include <cstring>

#include "mpc_kernels/arith.h"
#include "parallel.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace mpc_kernels {

#if defined(__x86_64__)
namespace {

using u64 = std::uint64_t;
using u8 = std::uint8_t;
using std::size_t;

constexpr size_t kBlock = 16;           // bytes that AES encrypts at once
constexpr size_t kRounds = 10;
constexpr size_t kChunk = 512;          // ring elements masked at a time: both masks stay in the first cache level
constexpr size_t kRoom = 8 * kChunk + 2 * kBlock;

struct Keys {
  alignas(64) __m128i round[kRounds + 1];
};

void wipe(void* data, size_t size) {
  std::memset(data, 0, size);
  asm volatile("" : : "r"(data) : "memory");  // not optimised away
}

template <int Constant>
__attribute__((target("aes,sse4.1"))) __m128i next_key(__m128i key) {
  const __m128i word = _mm_shuffle_epi32(_mm_aeskeygenassist_si128(key, Constant), 0xff);
  key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
  key = _mm_xor_si128(key, _mm_slli_si128(key, 8));
  return _mm_xor_si128(key, word);
}

__attribute__((target("aes,sse4.1"))) void expand(const u8* seed, Keys& keys) {
  __m128i* k = keys.round;
  k[0] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(seed));
  k[1] = next_key<0x01>(k[0]);
  k[2] = next_key<0x02>(k[1]);
  k[3] = next_key<0x04>(k[2]);
  k[4] = next_key<0x08>(k[3]);
  k[5] = next_key<0x10>(k[4]);
  k[6] = next_key<0x20>(k[5]);
  k[7] = next_key<0x40>(k[6]);
  k[8] = next_key<0x80>(k[7]);
  k[9] = next_key<0x1b>(k[8]);
  k[10] = next_key<0x36>(k[9]);
}

// Encrypts counter blocks (high, low), (high, low + 1), ...; `low` does not overflow on the way.
__attribute__((target("aes,sse4.1"))) void blocks_aes(const Keys& keys, u64 high, u64 low, u8* out, size_t count) {
  constexpr size_t kWide = 8;
  const __m128i swap = _mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
  for (size_t at = 0; at < count; at += kWide) {
    __m128i x[kWide];
    for (size_t i = 0; i < kWide; ++i) {
      const __m128i counter = _mm_set_epi64x(static_cast<long long>(low + at + i), static_cast<long long>(high));
      x[i] = _mm_xor_si128(_mm_shuffle_epi8(counter, swap), keys.round[0]);
    }
    for (size_t r = 1; r < kRounds; ++r) {
      for (size_t i = 0; i < kWide; ++i) x[i] = _mm_aesenc_si128(x[i], keys.round[r]);
    }
    for (size_t i = 0; i < kWide; ++i) x[i] = _mm_aesenclast_si128(x[i], keys.round[kRounds]);
    auto* to = reinterpret_cast<__m128i*>(out + kBlock * at);
    const size_t used = std::min(kWide, count - at);
    for (size_t i = 0; i < used; ++i) _mm_storeu_si128(to + i, x[i]);
  }
}

__attribute__((target("avx512f,avx512bw,vaes"))) void blocks_vaes(const Keys& keys, u64 high, u64 low, u8* out,
                                                                  size_t count) {
  constexpr size_t kWide = 8, kEach = 4;
  __m512i round[kRounds + 1];
  for (size_t r = 0; r <= kRounds; ++r) round[r] = _mm512_broadcast_i32x4(keys.round[r]);
  const __m512i swap =
      _mm512_broadcast_i32x4(_mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
  const auto h = static_cast<long long>(high), l = static_cast<long long>(low);
  __m512i counter = _mm512_add_epi64(_mm512_set_epi64(l, h, l, h, l, h, l, h), _mm512_set_epi64(3, 0, 2, 0, 1, 0, 0, 0));
  const __m512i step = _mm512_set_epi64(4, 0, 4, 0, 4, 0, 4, 0);
  for (size_t at = 0; at < count; at += kWide * kEach) {
    __m512i x[kWide];
    for (size_t i = 0; i < kWide; ++i) {
      x[i] = _mm512_xor_si512(_mm512_shuffle_epi8(counter, swap), round[0]);
      counter = _mm512_add_epi64(counter, step);
    }
    for (size_t r = 1; r < kRounds; ++r) {
      for (size_t i = 0; i < kWide; ++i) x[i] = _mm512_aesenc_epi128(x[i], round[r]);
    }
    for (size_t i = 0; i < kWide; ++i) x[i] = _mm512_aesenclast_epi128(x[i], round[kRounds]);
    u8* to = out + kBlock * at;
    const size_t used = count - at;
    if (used >= kWide * kEach) {
      for (size_t i = 0; i < kWide; ++i) _mm512_storeu_si512(to + 64 * i, x[i]);
    } else {
      alignas(64) u8 rest[64 * kWide];
      for (size_t i = 0; i < kWide; ++i) _mm512_store_si512(rest + 64 * i, x[i]);
      std::memcpy(to, rest, kBlock * used);
      wipe(rest, sizeof rest);
    }
  }
}

__attribute__((target("avx2,vaes"))) void blocks_vaes256(const Keys& keys, u64 high, u64 low, u8* out, size_t count) {
  constexpr size_t kWide = 8, kEach = 2;
  __m256i round[kRounds + 1];
  for (size_t r = 0; r <= kRounds; ++r) round[r] = _mm256_broadcastsi128_si256(keys.round[r]);
  const __m256i swap =
      _mm256_broadcastsi128_si256(_mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
  const auto h = static_cast<long long>(high), l = static_cast<long long>(low);
  __m256i counter = _mm256_add_epi64(_mm256_set_epi64x(l, h, l, h), _mm256_set_epi64x(1, 0, 0, 0));
  const __m256i step = _mm256_set_epi64x(2, 0, 2, 0);
  for (size_t at = 0; at < count; at += kWide * kEach) {
    __m256i x[kWide];
    for (size_t i = 0; i < kWide; ++i) {
      x[i] = _mm256_xor_si256(_mm256_shuffle_epi8(counter, swap), round[0]);
      counter = _mm256_add_epi64(counter, step);
    }
    for (size_t r = 1; r < kRounds; ++r) {
      for (size_t i = 0; i < kWide; ++i) x[i] = _mm256_aesenc_epi128(x[i], round[r]);
    }
    for (size_t i = 0; i < kWide; ++i) x[i] = _mm256_aesenclast_epi128(x[i], round[kRounds]);
    u8* to = out + kBlock * at;
    const size_t used = count - at;
    if (used >= kWide * kEach) {
      for (size_t i = 0; i < kWide; ++i) _mm256_storeu_si256(reinterpret_cast<__m256i*>(to) + i, x[i]);
    } else {
      alignas(32) u8 rest[32 * kWide];
      for (size_t i = 0; i < kWide; ++i) _mm256_store_si256(reinterpret_cast<__m256i*>(rest) + i, x[i]);
      std::memcpy(to, rest, kBlock * used);
      wipe(rest, sizeof rest);
    }
  }
}

using Blocks = void (*)(const Keys&, u64 high, u64 low, u8* out, size_t count);

// The widest that `isa` allows and this processor has.
Blocks blocks_for(Isa isa) noexcept {
  static const bool vaes = __builtin_cpu_supports("vaes");
  static const bool avx512 = vaes && __builtin_cpu_supports("avx512bw");
  static const bool avx2 = vaes && __builtin_cpu_supports("avx2");
  if (has_avx512(isa) && avx512) return blocks_vaes;
  return avx2 ? blocks_vaes256 : blocks_aes;
}

u64 big_endian(const u8* bytes) noexcept {
  u64 value;
  std::memcpy(&value, bytes, sizeof value);
  return __builtin_bswap64(value);
}

// A stream with its round keys, read from front to back.
class Reader {
 public:
  Reader(Stream stream, Isa isa) : seed_(stream.seed), offset_(stream.offset), blocks_(blocks_for(isa)) {
    expand(seed_, keys_);
  }
  ~Reader() { wipe(&keys_, sizeof keys_); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  // The next `size` <= 8 * kChunk bytes, somewhere in room[kRoom].
  const u8* next(u8* room, size_t size) {
    const size_t skip = offset_ % kBlock;
    whole(room, (skip + size + kBlock - 1) / kBlock);
    offset_ += size;
    return room + skip;
  }

  void copy(u8* out, size_t size) {
    u8 edge[kBlock];
    const size_t skip = offset_ % kBlock, head = skip == 0 ? 0 : std::min(size, kBlock - skip);
    if (head > 0) {
      whole(edge, 1);
      std::memcpy(out, edge + skip, head);
      offset_ += head;
    }
    const size_t middle = (size - head) / kBlock;
    whole(out + head, middle);
    offset_ += middle * kBlock;
    const size_t rest = size - head - middle * kBlock;
    if (rest > 0) {
      whole(edge, 1);
      std::memcpy(out + size - rest, edge, rest);
      offset_ += rest;
    }
    wipe(edge, sizeof edge);
  }

 private:
  // Whole blocks from the one that the offset lies in.
  void whole(u8* out, size_t count) const {
    u64 high = big_endian(seed_ + kBlock), low = big_endian(seed_ + kBlock + 8);
    const u64 first = low + offset_ / kBlock;
    high += first < low;
    low = first;
    const u64 left = u64{0} - low;  // blocks until the low half overflows; 0 for 2^64
    const size_t before = left == 0 ? count : std::min<size_t>(count, left);
    some(high, low, out, before);
    if (before < count) some(high + 1, 0, out + kBlock * before, count - before);
  }
  void some(u64 high, u64 low, u8* out, size_t count) const {
    blocks_(keys_, high, low, out, count);
  }

  Keys keys_;
  const u8* seed_;
  u64 offset_;
  Blocks blocks_;
};

// Calls mask(first, plus, minus, count) on runs of ring elements with their masks.
template <class Mask>
void masked(Stream plus, Stream minus, size_t n, Isa isa, const Mask& mask) {
  alignas(64) u8 room[2][kRoom];
  Reader add(plus, isa), subtract(minus, isa);
  for (size_t at = 0; at < n; at += kChunk) {
    const size_t count = std::min(kChunk, n - at);
    const u8 *p = add.next(room[0], 8 * count), *m = subtract.next(room[1], 8 * count);
    if (reinterpret_cast<std::uintptr_t>(p) % 8 != 0) std::memmove(room[0], p, 8 * count), p = room[0];
    if (reinterpret_cast<std::uintptr_t>(m) % 8 != 0) std::memmove(room[1], m, 8 * count), m = room[1];
    mask(at, reinterpret_cast<const u64*>(p), reinterpret_cast<const u64*>(m), count);
  }
  wipe(room, sizeof room);
}

Stream behind(Stream stream, size_t elements) noexcept { return {stream.seed, stream.offset + 8 * u64{elements}}; }

}  // namespace

bool aes_supported(Isa isa) noexcept {
  __builtin_cpu_init();
  return isa != Isa::portable && __builtin_cpu_supports("aes") && __builtin_cpu_supports("sse4.1");
}

void prg_fill(Stream stream, u8* out, size_t size, Isa isa) {
  if (size > 0) Reader(stream, isa).copy(out, size);
}

void prg_zero_bits(Stream plus, Stream minus, u64* out, size_t size, Isa isa) {
  masked(plus, minus, size, isa, [=](size_t at, const u64* p, const u64* m, size_t count) {
#pragma GCC ivdep
    for (size_t i = 0; i < count; ++i) out[at + i] = p[i] ^ m[i];
  });
}

void prg_zero(Stream plus, Stream minus, u64* out, size_t size, Isa isa) {
  masked(plus, minus, size, isa, [=](size_t at, const u64* p, const u64* m, size_t count) {
#pragma GCC ivdep
    for (size_t i = 0; i < count; ++i) out[at + i] = p[i] - m[i];
  });
}

void replicated_dot_masked(const u64* a, const u64* b, Stream plus, Stream minus, u64* out, size_t terms, size_t n,
                           size_t threads, Isa isa) {
  constexpr size_t kWorthAThread = size_t{1} << 17;
  const size_t parts = std::clamp<size_t>(n / kWorthAThread, 1, threads), each = (n / parts + 7) / 8 * 8;
  const auto part = [=](size_t begin, size_t end) {
    masked(behind(plus, begin), behind(minus, begin), end - begin, isa,
           [=](size_t at, const u64* p, const u64* m, size_t count) {
             replicated_dot_rows(a, b, p, m, out, terms, n, begin + at, count, isa);
           });
  };
  if (parts == 1) return part(0, n);
  parallel(parts, [&](size_t i) noexcept { part(std::min(n, i * each), i + 1 == parts ? n : std::min(n, (i + 1) * each)); });
}

#else

bool aes_supported(Isa) noexcept { return false; }
void prg_fill(Stream, std::uint8_t*, std::size_t, Isa) {}
void prg_zero_bits(Stream, Stream, std::uint64_t*, std::size_t, Isa) {}
void prg_zero(Stream, Stream, std::uint64_t*, std::size_t, Isa) {}
void replicated_dot_masked(const std::uint64_t*, const std::uint64_t*, Stream, Stream, std::uint64_t*, std::size_t,
                           std::size_t, std::size_t, Isa) {}

#endif

}  // namespace mpc_kernels
