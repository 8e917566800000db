// The streams against a published vector and against themselves cut elsewhere, on every instruction set of this CPU.
// Meant to run under sanitizers: arrays are exactly as long as they must be.
#include "mpc_kernels/prg.h"

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "mpc_kernels/arith.h"

using mpc_kernels::Isa;
using mpc_kernels::Stream;
using u8 = std::uint8_t;
using u64 = std::uint64_t;
using std::size_t;

namespace {

int failures = 0;

void expect(bool ok, const char* what, Isa isa, size_t n) {
  if (ok) return;
  ++failures;
  std::printf("FAILED: %s on %s, n=%zu\n", what, mpc_kernels::name(isa), n);
}

std::vector<u8> bytes(Stream stream, size_t size, Isa isa) {
  std::vector<u8> out(size);
  mpc_kernels::prg_fill(stream, out.data(), size, isa);
  return out;
}

std::vector<u64> words(Stream stream, size_t size, Isa isa) {
  const std::vector<u8> raw = bytes(stream, 8 * size, isa);
  std::vector<u64> out(size);
  if (size > 0) std::memcpy(out.data(), raw.data(), raw.size());
  return out;
}

// NIST SP 800-38A, section F.5.1: the first two blocks of the key stream.
void vector(Isa isa) {
  const u8 seed[32] = {0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6, 0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c,
                       0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff};
  const std::vector<u8> want = {0xec, 0x8c, 0xdf, 0x73, 0x98, 0x60, 0x7c, 0xb0, 0xf2, 0xd2, 0x16,
                                0x75, 0xea, 0x9e, 0xa1, 0xe4, 0x36, 0x2b, 0x7c, 0x3c, 0x67, 0x73,
                                0x51, 0x63, 0x18, 0xa0, 0x77, 0xd7, 0xfc, 0x50, 0x73, 0xae};
  expect(bytes({seed, 0}, 32, isa) == want, "the published vector", isa, 32);
}

void cuts(std::mt19937_64& random, Isa isa, size_t n) {
  u8 seed[32], other[32];
  for (u8& b : seed) b = static_cast<u8>(random());
  for (u8& b : other) b = static_cast<u8>(random());
  if (n % 2 == 0) std::memset(seed + 24, 0xff, 8);  // the low half of the counter overflows
  const std::vector<u8> whole = bytes({seed, 0}, n + 64, isa);
  for (size_t at : {size_t{0}, size_t{1}, size_t{8}, size_t{16}, size_t{37}, size_t{64}}) {
    const std::vector<u8> want(whole.begin() + static_cast<std::ptrdiff_t>(at),
                               whole.begin() + static_cast<std::ptrdiff_t>(at + n));
    expect(bytes({seed, at}, n, isa) == want, "prg_fill", isa, n);
    const auto plus = words({seed, at}, n, isa), minus = words({other, 5}, n, isa);
    std::vector<u64> out(n), want_words(n);
    for (size_t i = 0; i < n; ++i) want_words[i] = plus[i] ^ minus[i];
    mpc_kernels::prg_zero_bits({seed, at}, {other, 5}, out.data(), n, isa);
    expect(out == want_words, "prg_zero_bits", isa, n);
    for (size_t i = 0; i < n; ++i) want_words[i] = plus[i] - minus[i];
    mpc_kernels::prg_zero({seed, at}, {other, 5}, out.data(), n, isa);
    expect(out == want_words, "prg_zero", isa, n);
    for (size_t terms : {0, 1, 2}) {
      std::vector<u64> a(2 * terms * n), b(2 * terms * n);
      for (u64& x : a) x = random();
      for (u64& x : b) x = random();
      mpc_kernels::replicated_dot_local(a.data(), b.data(), plus.data(), minus.data(), want_words.data(), terms, n, 1,
                                        isa);
      mpc_kernels::replicated_dot_masked(a.data(), b.data(), {seed, at}, {other, 5}, out.data(), terms, n, 2, isa);
      expect(out == want_words, "replicated_dot_masked", isa, n);
    }
  }
}

}  // namespace

int main() {
  std::mt19937_64 random(20261126);
  for (Isa isa : {Isa::portable, Isa::avx2, Isa::avx512, Isa::avx512dq}) {
    if (!mpc_kernels::supported(isa) || !mpc_kernels::aes_supported(isa)) continue;
    vector(isa);
    for (size_t n : {0, 1, 2, 7, 63, 64, 511, 512, 513, 1025, 5000}) cuts(random, isa, n);
  }
  if (failures == 0) std::printf("all streams agree\n");
  return failures == 0 ? 0 : 1;
}
