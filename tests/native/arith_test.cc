// The arithmetic kernels against what they mean, on every instruction set of this CPU. Meant to run under sanitizers:
// arrays are exactly as long as they must be.
#include "mpc_kernels/arith.h"

#include <array>
#include <cstdint>
#include <cstdio>
#include <random>
#include <vector>

using mpc_kernels::Isa;
using u64 = std::uint64_t;
using u32 = std::uint32_t;
using std::size_t;

namespace {

int failures = 0;

void expect(bool ok, const char* what, Isa isa, size_t n) {
  if (ok) return;
  ++failures;
  std::printf("FAILED: %s on %s, n=%zu\n", what, mpc_kernels::name(isa), n);
}

template <class T>
std::vector<T> elements(std::mt19937_64& random, size_t size) {
  constexpr std::array<u64, 6> edges = {0, 1, 1ULL << 63, ~0ULL, 1ULL << 62, (1ULL << 63) - 1};
  std::vector<T> out(size);
  for (T& e : out) {
    const u64 r = random();
    e = static_cast<T>(r % 4 == 0 ? edges[(r >> 32) % edges.size()] : random());
  }
  return out;
}

void dots(std::mt19937_64& random, Isa isa, size_t n, size_t terms, size_t threads) {
  const auto a = elements<u64>(random, terms * n * 2), b = elements<u64>(random, terms * n * 2);
  const auto plus = elements<u64>(random, n), minus = elements<u64>(random, n);
  std::vector<u64> out(n), want(n);
  for (size_t i = 0; i < n; ++i) {
    want[i] = plus[i] - minus[i];
    for (size_t j = 0; j < terms; ++j) {
      const u64 *x = &a[2 * (j * n + i)], *y = &b[2 * (j * n + i)];
      want[i] += x[0] * y[0] + x[0] * y[1] + x[1] * y[0];
    }
  }
  mpc_kernels::replicated_dot_local(a.data(), b.data(), plus.data(), minus.data(), out.data(), terms, n, threads, isa);
  expect(out == want, "replicated_dot_local", isa, n);
}

// A truncation from its parts, with all masks: the result is the quotient or one more, and exact for multiples.
void truncations(std::mt19937_64& random, Isa isa, size_t n, size_t threads, unsigned bits) {
  const auto a = elements<u64>(random, n), r = elements<u64>(random, n), other = elements<u64>(random, n);
  const auto q = elements<u32>(random, n), p0 = elements<u32>(random, n), p1 = elements<u32>(random, n);
  std::vector<u64> x(n), own(n), high(n), kept(n), pairs(2 * n);
  std::vector<u32> low(n), u(n), v(n), pads(n);
  for (size_t i = 0; i < n; ++i) {
    const u64 limit = (u64{1} << 62) - (u64{1} << bits);
    x[i] = random() % (2 * limit + 1) - limit;
    if (i % 3 == 0) x[i] = x[i] >> bits << bits;
    if (static_cast<std::int64_t>(x[i]) < -(std::int64_t{1} << 62)) x[i] = 0;
    own[i] = x[i] - a[i] - other[i];
    pads[i] = p0[i] + p1[i];
  }
  mpc_kernels::truncate_split(a.data(), r.data(), q.data(), high.data(), low.data(), n, bits, threads, isa);
  mpc_kernels::truncate_cross(own.data(), other.data(), q.data(), p0.data(), kept.data(), u.data(), n, bits, threads,
                              isa);
  mpc_kernels::truncate_cross(other.data(), own.data(), low.data(), p1.data(), kept.data(), v.data(), n, bits, threads,
                              isa);
  mpc_kernels::truncate_join(high.data(), v.data(), r.data(), u.data(), pairs.data(), n, bits, threads, isa);
  bool good = true;
  for (size_t i = 0; i < n; ++i) {
    const u64 found = pairs[2 * i] + pairs[2 * i + 1] + kept[i] + (u64{pads[i]} << (64 - bits));
    const auto floor = static_cast<std::int64_t>(x[i]) >> bits;
    const u64 up = found - static_cast<u64>(floor);
    const bool exact = (x[i] & ((u64{1} << bits) - 1)) == 0;
    good = good && (up == 0 || (up == 1 && !exact));
  }
  expect(good, "truncation", isa, n);
}

void sums(std::mt19937_64& random, size_t n, size_t width) {
  const auto x = elements<u64>(random, n * width);
  std::vector<u64> running(n * width), segments(n * width), counts(5 * width);
  std::vector<std::uint8_t> start(n);
  std::vector<u32> bins(n);
  for (size_t i = 0; i < n; ++i) {
    start[i] = random() % 8 == 0;
    bins[i] = static_cast<u32>(random() % 7);
  }
  mpc_kernels::prefix_sum(x.data(), running.data(), n, width);
  mpc_kernels::segmented_prefix_sum(x.data(), start.data(), segments.data(), n, width);
  mpc_kernels::bincount_var(x.data(), bins.data(), counts.data(), n, width, 5);
  for (size_t j = 0; j < width; ++j) {
    u64 all = 0, segment = 0;
    std::array<u64, 7> by_bin{};
    bool good = true;
    for (size_t i = 0; i < n; ++i) {
      const u64 value = x[i * width + j];
      all += value;
      segment = (start[i] != 0 ? 0 : segment) + value;
      by_bin[bins[i]] += value;
      good = good && running[i * width + j] == all && segments[i * width + j] == segment;
    }
    for (size_t b = 0; b < 5; ++b) good = good && counts[b * width + j] == by_bin[b];
    expect(good, "sums", Isa::portable, n);
  }
}

}  // namespace

int main() {
  std::mt19937_64 random(7);
  for (const Isa isa : {Isa::portable, Isa::avx2, Isa::avx512, Isa::avx512dq}) {
    if (!mpc_kernels::supported(isa)) continue;
    for (const size_t n : {size_t{0}, size_t{1}, size_t{7}, size_t{8}, size_t{9}, size_t{1025}, size_t{300001}}) {
      for (const size_t threads : {size_t{1}, size_t{2}}) {
        for (const size_t terms : {size_t{0}, size_t{1}, size_t{3}}) dots(random, isa, n, terms, threads);
        for (const unsigned bits : {1U, 18U, 32U}) truncations(random, isa, n, threads, bits);
      }
      const auto own = elements<u64>(random, n), next = elements<u64>(random, n);
      std::vector<u64> pairs(2 * n);
      mpc_kernels::pair_up(own.data(), next.data(), pairs.data(), n, 2, isa);
      bool good = true;
      for (size_t i = 0; i < n; ++i) good = good && pairs[2 * i] == own[i] && pairs[2 * i + 1] == next[i];
      expect(good, "pair_up", isa, n);
    }
  }
  for (const size_t width : {size_t{0}, size_t{1}, size_t{2}, size_t{3}}) {
    for (const size_t n : {size_t{0}, size_t{1}, size_t{2}, size_t{1000}}) sums(random, n, width);
  }
  if (failures == 0) std::printf("all good\n");
  return failures == 0 ? 0 : 1;
}
