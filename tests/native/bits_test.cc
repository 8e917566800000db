// Bit planes and permutations against their definitions, on every instruction set, in arrays of exactly the needed
// size: made to run under the sanitizers.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <random>
#include <vector>

#include "mpc_kernels/bits.h"
#include "mpc_kernels/isa.h"
#include "mpc_kernels/permute.h"

namespace {

using mpc_kernels::Isa;
using Words = std::vector<std::uint64_t>;
using Index = std::vector<std::uint32_t>;

std::mt19937_64 random_source(20251122);

Words ring(std::size_t size) {
  Words out(size);
  for (std::uint64_t& word : out) word = random_source();
  return out;
}

Index below(std::size_t size, std::uint32_t limit) {
  Index out(size);
  for (std::uint32_t& word : out) word = static_cast<std::uint32_t>(random_source() % limit);
  return out;
}

void require(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "wrong: %s\n", what);
  std::exit(1);
}

bool bit(const Words& words, std::size_t at) { return (words[at / 64] >> (at % 64) & 1) != 0; }

void planes(std::size_t n, std::size_t width, Isa isa) {
  const std::size_t bits = 1 + random_source() % (64 * width), words = (n + 63) / 64;
  const Words rows = ring(n * width);
  Index order(64 * width);
  std::iota(order.begin(), order.end(), 0U);
  std::shuffle(order.begin(), order.end(), random_source);
  order.resize(bits);
  Words out(bits * words);
  mpc_kernels::rows_to_planes(rows.data(), n, width, order.data(), bits, out.data(), isa);
  for (std::size_t j = 0; j < bits; ++j) {
    for (std::size_t i = 0; i < 64 * words; ++i) {
      const bool wanted = i < n && bit(rows, 64 * width * i + order[j]);
      require(bit(out, 64 * words * j + i) == wanted, "rows_to_planes");
    }
  }
  const std::size_t back_width = (bits + 63) / 64;
  Words back(n * back_width);
  mpc_kernels::planes_to_rows(out.data(), n, bits, back.data(), isa);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < 64 * back_width; ++j) {
      const bool wanted = j < bits && bit(out, 64 * words * j + i);
      require(bit(back, 64 * back_width * i + j) == wanted, "planes_to_rows");
    }
  }
  if (n == 0) return;
  const std::size_t m = random_source() % 1200, picked_words = (m + 63) / 64;
  const Index index = below(m, static_cast<std::uint32_t>(n));
  const Words other = ring(bits * picked_words);
  Words plain(bits * picked_words), mixed(bits * picked_words);
  mpc_kernels::pick_planes_var(rows.data(), width, index.data(), m, order.data(), bits, nullptr, 0, plain.data(), isa);
  mpc_kernels::pick_planes_var(rows.data(), width, index.data(), m, order.data(), bits, other.data(), ~0ULL,
                               mixed.data(), isa);
  for (std::size_t j = 0; j < bits; ++j) {
    for (std::size_t i = 0; i < m; ++i) {
      const bool wanted = bit(rows, 64 * width * index[i] + order[j]);
      require(bit(plain, 64 * picked_words * j + i) == wanted, "pick_planes_var");
    }
  }
  for (std::size_t i = 0; i < mixed.size(); ++i) require(mixed[i] == (plain[i] ^ ~other[i]), "pick_planes_var, other");
  Words pairs(2 * rows.size()), second(plain.size()), wanted_second(plain.size()), next = ring(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    pairs[i / width * 2 * width + i % width] = rows[i];
    pairs[i / width * 2 * width + width + i % width] = next[i];
  }
  mpc_kernels::pick_planes_var(next.data(), width, index.data(), m, order.data(), bits, nullptr, 0,
                               wanted_second.data(), isa);
  mpc_kernels::pick_pairs_var(pairs.data(), width, index.data(), m, order.data(), bits, other.data(), other.data(),
                              ~0ULL, 0, mixed.data(), second.data(), isa);
  for (std::size_t i = 0; i < mixed.size(); ++i) {
    require(mixed[i] == (plain[i] ^ ~other[i]) && second[i] == (wanted_second[i] ^ other[i]), "pick_pairs_var");
  }
}

void gates(std::size_t n, Isa isa) {
  std::vector<Words> in;
  for (int i = 0; i < 6; ++i) in.push_back(ring(n));
  const Words mask = ring(n);
  Words out(n);
  const auto part = [](std::uint64_t x0, std::uint64_t x1, std::uint64_t y0, std::uint64_t y1) {
    return (x0 & y0) ^ (x0 & y1) ^ (x1 & y0);
  };
  mpc_kernels::and_local(in[0].data(), in[1].data(), in[2].data(), in[3].data(), mask.data(), out.data(), n, isa);
  for (std::size_t i = 0; i < n; ++i) {
    require(out[i] == (mask[i] ^ part(in[0][i], in[1][i], in[2][i], in[3][i])), "and_local");
  }
  mpc_kernels::majority_local(in[0].data(), in[1].data(), in[2].data(), in[3].data(), in[4].data(), in[5].data(),
                              mask.data(), out.data(), n, isa);
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint64_t product =
        part(in[0][i] ^ in[2][i], in[1][i] ^ in[3][i], in[0][i] ^ in[4][i], in[1][i] ^ in[5][i]);
    require(out[i] == (mask[i] ^ in[0][i] ^ product), "majority_local");
  }
}

void permutations(std::size_t n) {
  const Words words = ring(n + 4);
  Index perm(n), inverse(n), again(n);
  require(mpc_kernels::random_permutation_var(words.data(), words.size(), n, perm.data()), "random_permutation_var");
  require(n < 2 || !mpc_kernels::random_permutation_var(words.data(), n - 2, n, again.data()), "too few words");
  mpc_kernels::invert_index_var(perm.data(), n, inverse.data());
  mpc_kernels::gather_index_var(perm.data(), inverse.data(), n, again.data());
  for (std::size_t i = 0; i < n; ++i) require(again[i] == i, "invert_index_var");
  require(n == 0 || mpc_kernels::largest_index(perm.data(), n) == n - 1, "largest_index");
  for (std::size_t width = 1; width <= 3; ++width) {
    const Words rows = ring(n * width);
    Words there(n * width), back(n * width);
    mpc_kernels::gather_rows_var(rows.data(), width, perm.data(), n, there.data());
    mpc_kernels::scatter_rows_var(there.data(), width, perm.data(), n, back.data());
    require(back == rows, "gather_rows_var and scatter_rows_var");
  }
  const Index group = below(n, 5);
  Index order(n), start(6);
  mpc_kernels::group_order_var(group.data(), n, 5, order.data(), start.data());
  require(start[0] == 0 && start[5] == n, "group_order_var");
  for (std::size_t i = 1; i < n; ++i) {
    const std::uint32_t a = group[order[i - 1]], b = group[order[i]];
    require(a < b || (a == b && order[i - 1] < order[i]), "group_order_var");
  }
}

}  // namespace

int main() {
  for (const Isa isa : {Isa::portable, Isa::avx2, Isa::avx512, Isa::avx512dq}) {
    if (!mpc_kernels::supported(isa)) continue;
    for (const std::size_t n : {0, 1, 63, 64, 65, 511, 512, 513, 4095, 4097, 5000}) {
      for (std::size_t width = 1; width <= 2; ++width) planes(n, width, isa);
    }
    for (const std::size_t n : {0, 1, 7, 8, 9, 511, 512, 513, 1300}) gates(n, isa);
  }
  for (const std::size_t n : {0, 1, 2, 15, 16, 17, 1000}) permutations(n);
  std::puts("bits and permutations: ok");
  return 0;
}
