#include "mpc_kernels/arith.h"

#include <algorithm>

#include "elementwise.h"

namespace mpc_kernels {
namespace {

using u64 = std::uint64_t;
using u32 = std::uint32_t;
using std::size_t;

// Arithmetic shift; of a negative number well defined since C++20.
inline MPC_INLINE u64 asr(u64 value, unsigned bits) noexcept {
  return static_cast<u64>(static_cast<std::int64_t>(value) >> bits);
}

inline MPC_INLINE u32 sign(u64 value) noexcept { return static_cast<u32>(value >> 63); }

// One product per row of several terms; blocks keep the sums in the first-level cache.
constexpr size_t kBlock = 1024;

template <bool First>
inline MPC_INLINE void add_products(const u64* a, const u64* b, u64* out, size_t begin, size_t end) noexcept {
  for (size_t i = begin; i < end; ++i) {
    const u64 a0 = a[2 * i], a1 = a[2 * i + 1], b0 = b[2 * i], b1 = b[2 * i + 1];
    const u64 product = a0 * (b0 + b1) + a1 * b0;
    out[i] = First ? product : out[i] + product;
  }
}

}  // namespace

void replicated_dot_rows(const u64* a, const u64* b, const u64* plus, const u64* minus, u64* out, size_t terms,
                         size_t n, size_t first, size_t count, Isa isa) {
  const size_t last = first + count;
  run_for(isa, [=](size_t begin, size_t end) MPC_INLINE {
    if (terms == 1 && plus != nullptr && minus != nullptr) {
      for (size_t i = begin; i < end; ++i) {
        const u64 a0 = a[2 * i], a1 = a[2 * i + 1], b0 = b[2 * i], b1 = b[2 * i + 1];
        out[i] = a0 * (b0 + b1) + a1 * b0 + (plus[i - first] - minus[i - first]);
      }
      return;
    }
    if (terms == 0) std::fill(out + begin, out + end, u64{0});
    if (terms > 0) add_products<true>(a, b, out, begin, end);
    for (size_t j = 1; j < terms; ++j) add_products<false>(a + 2 * n * j, b + 2 * n * j, out, begin, end);
    if (plus != nullptr) {
      for (size_t i = begin; i < end; ++i) out[i] += plus[i - first];
    }
    if (minus != nullptr) {
      for (size_t i = begin; i < end; ++i) out[i] -= minus[i - first];
    }
  }, first, last);
}

void replicated_dot_local(const u64* a, const u64* b, const u64* plus, const u64* minus, u64* out, size_t terms,
                          size_t n, size_t threads, Isa isa) {
  elementwise(n, threads, Isa::portable, [=](size_t begin, size_t end) {
    for (size_t at = begin; at < end; at += kBlock) {
      const u64 *add = plus == nullptr ? nullptr : plus + at, *subtract = minus == nullptr ? nullptr : minus + at;
      replicated_dot_rows(a, b, add, subtract, out, terms, n, at, std::min(kBlock, end - at), isa);
    }
  });
}

void pair_up(const u64* own, const u64* next, u64* out, size_t n, size_t threads, Isa isa) {
  elementwise(n, threads, isa, [=](size_t begin, size_t end) MPC_INLINE {
    for (size_t i = begin; i < end; ++i) {
      out[2 * i] = own[i];
      out[2 * i + 1] = next[i];
    }
  });
}

void prefix_sum(const u64* x, u64* out, size_t n, size_t width) {
  if (n == 0 || width == 0) return;
  if (width == 2) {  // the sums stay in registers
    u64 first = 0, second = 0;
    for (size_t i = 0; i < n; ++i) {
      out[2 * i] = first += x[2 * i];
      out[2 * i + 1] = second += x[2 * i + 1];
    }
    return;
  }
  std::copy_n(x, width, out);
  for (size_t i = width; i < n * width; ++i) out[i] = out[i - width] + x[i];
}

void segmented_prefix_sum(const u64* x, const std::uint8_t* start, u64* out, size_t n, size_t width) {
  if (n == 0 || width == 0) return;
  std::copy_n(x, width, out);
  for (size_t i = 1; i < n; ++i) {
    const u64 keep = u64{start[i] != 0} - 1;  // all ones where the sum goes on
    for (size_t j = i * width; j < (i + 1) * width; ++j) out[j] = (out[j - width] & keep) + x[j];
  }
}

void bincount_var(const u64* x, const u32* bin, u64* out, size_t n, size_t width, size_t size) {
  std::fill_n(out, size * width, u64{0});
  if (width == 2) {
    for (size_t i = 0; i < n; ++i) {
      if (bin[i] >= size) continue;
      u64* sums = out + size_t{bin[i]} * 2;
      sums[0] += x[2 * i];
      sums[1] += x[2 * i + 1];
    }
    return;
  }
  for (size_t i = 0; i < n; ++i) {
    if (bin[i] >= size) continue;
    for (size_t j = 0; j < width; ++j) out[size_t{bin[i]} * width + j] += x[i * width + j];
  }
}

void truncate_split(const u64* a, const u64* mask, const u32* low_mask, u64* high, u32* low, size_t n, unsigned bits,
                    size_t threads, Isa isa) {
  elementwise(n, threads, isa, [=](size_t begin, size_t end) MPC_INLINE {
    for (size_t i = begin; i < end; ++i) high[i] = asr(a[i], bits) - mask[i];
    for (size_t i = begin; i < end; ++i) low[i] = sign(a[i]) - low_mask[i];
  });
}

void truncate_cross(const u64* own, const u64* other, const u32* sign_share, const u32* mask, u64* high, u32* cross,
                    size_t n, unsigned bits, size_t threads, Isa isa) {
  const u64 offset = (u64{1} << 62) + (u64{1} << bits) - 1;
  const u64 back = u64{1} << (62 - bits);
  elementwise(n, threads, isa, [=](size_t begin, size_t end) MPC_INLINE {
    for (size_t i = begin; i < end; ++i) {
      const u64 b = own[i] + other[i] + offset;
      high[i] = asr(b, bits) - back;
      cross[i] = ((u32{0} - sign(b)) & sign_share[i]) - mask[i];
    }
  });
}

void truncate_join(const u64* high0, const u32* low0, const u64* high1, const u32* low1, u64* out, size_t n,
                   unsigned bits, size_t threads, Isa isa) {
  const unsigned up = 64 - bits;
  elementwise(n, threads, isa, [=](size_t begin, size_t end) MPC_INLINE {
    for (size_t i = begin; i < end; ++i) {
      out[2 * i] = high0[i] + (u64{low0[i]} << up);
      out[2 * i + 1] = high1[i] + (u64{low1[i]} << up);
    }
  });
}

}  // namespace mpc_kernels
