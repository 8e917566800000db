// Every tile size, block border and thread split against the schoolbook product, on every instruction set of this
// CPU. Meant to run under sanitizers: arrays are exactly as long as they must be.
#include "mpc_kernels/matmul.h"

#include <array>
#include <cstdint>
#include <cstdio>
#include <random>
#include <stdexcept>
#include <vector>

using mpc_kernels::Isa;
using u64 = std::uint64_t;
using std::size_t;

namespace {

constexpr std::array kAll = {Isa::portable, Isa::avx2, Isa::avx512, Isa::avx512dq};
int failures = 0;

void expect(bool ok, const char* what, Isa isa, size_t m, size_t k, size_t n, size_t threads) {
  if (ok) return;
  ++failures;
  std::printf("FAILED: %s on %s, m=%zu k=%zu n=%zu threads=%zu\n", what, mpc_kernels::name(isa), m, k, n, threads);
}

// Uniform, with one element in four from the edges of the ring and of the 32-bit halves.
std::vector<u64> elements(std::mt19937_64& random, size_t size) {
  constexpr std::array<u64, 8> edges = {0, 1, 1ULL << 63, ~0ULL, 0xffffffffULL, 1ULL << 32, ~0ULL << 32, (1ULL << 63) - 1};
  std::vector<u64> out(size);
  for (u64& e : out) {
    const u64 r = random();
    e = r % 4 == 0 ? edges[(r >> 32) % edges.size()] : random();
  }
  return out;
}

std::vector<u64> schoolbook(const std::vector<u64>& a, const std::vector<u64>& b, size_t m, size_t k, size_t n) {
  std::vector<u64> out(m * n, 0);
  for (size_t i = 0; i < m; ++i) {
    for (size_t p = 0; p < k; ++p) {
      for (size_t j = 0; j < n; ++j) out[i * n + j] += a[i * k + p] * b[p * n + j];
    }
  }
  return out;
}

std::vector<u64> part(const std::vector<u64>& pairs, size_t which) {
  std::vector<u64> out(pairs.size() / 2);
  for (size_t i = 0; i < out.size(); ++i) out[i] = pairs[2 * i + which];
  return out;
}

std::vector<u64> sum(std::vector<u64> x, const std::vector<u64>& y) {
  for (size_t i = 0; i < x.size(); ++i) x[i] += y[i];
  return x;
}

void compare(std::mt19937_64& random, Isa isa, size_t m, size_t k, size_t n, size_t threads) {
  const auto a = elements(random, m * k * 2);
  const auto b = elements(random, k * n * 2);
  const auto a0 = part(a, 0), a1 = part(a, 1), b0 = part(b, 0), b1 = part(b, 1);
  std::vector<u64> out(m * n, 7);
  mpc_kernels::matmul64(a0.data(), b0.data(), out.data(), m, k, n, threads, isa);
  expect(out == schoolbook(a0, b0, m, k, n), "matmul64", isa, m, k, n, threads);
  mpc_kernels::replicated_matmul_local(a.data(), b.data(), out.data(), m, k, n, threads, isa);
  const auto want = sum(schoolbook(a0, sum(b0, b1), m, k, n), schoolbook(a1, b0, m, k, n));
  expect(out == want, "replicated_matmul_local", isa, m, k, n, threads);
}

void shapes(Isa isa) {
  std::mt19937_64 random(20251122);
  for (size_t m : {0, 1, 2, 3, 4, 5, 9}) {
    for (size_t k : {0, 1, 3, 4, 7, 8, 9, 17}) {
      for (size_t n : {0, 1, 2, 3, 5}) compare(random, isa, m, k, n, 1);
    }
  }
  // Around the depth of a block (512, or 256 share pairs), its width (64), and the split over threads.
  for (size_t k : {255, 256, 257, 511, 512, 513}) compare(random, isa, 5, k, 3, 1);
  for (size_t n : {63, 64, 65, 130}) compare(random, isa, 6, 40, n, 1);
  for (size_t threads : {2, 3, 8}) {
    compare(random, isa, 5, 12000, 9, threads);  // over the depth
    compare(random, isa, 300, 40, 70, threads);  // over the rows
    compare(random, isa, 1, 300, 900, threads);  // fewer rows than threads
  }
}

void names() {
  for (Isa isa : kAll) {
    bool chosen = false;
    try {
      chosen = mpc_kernels::choose(mpc_kernels::name(isa)) == isa;
    } catch (const std::invalid_argument&) {
    }
    expect(chosen == mpc_kernels::supported(isa), "choose", isa, 0, 0, 0, 0);
  }
  expect(mpc_kernels::choose("") == mpc_kernels::best(), "choose the best", mpc_kernels::best(), 0, 0, 0, 0);
}

}  // namespace

int main() {
  names();
  for (Isa isa : kAll) {
    if (!mpc_kernels::supported(isa)) {
      std::printf("%s: not on this CPU\n", mpc_kernels::name(isa));
      continue;
    }
    shapes(isa);
    std::printf("%s: done\n", mpc_kernels::name(isa));
  }
  return failures == 0 ? 0 : 1;
}
