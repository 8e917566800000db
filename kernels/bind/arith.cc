// The arithmetic kernels of mpc_kernels._native. It checks what memory safety needs; mpc_kernels/arith.py explains
// mistakes to people.
#include "mpc_kernels/arith.h"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/tuple.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <tuple>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "bind.h"
#include "checks.h"

namespace nb = nanobind;
using namespace nb::literals;
using mpc_kernels::Isa;

namespace {

template <class T, std::size_t Dims>
using In = Array<const T, Dims>;
template <class T, std::size_t Dims>
using InOut = Array<T, Dims>;
template <class T, std::size_t Dims>
using Out = nb::ndarray<nb::numpy, T, nb::ndim<Dims>>;
using u64 = std::uint64_t;
using u32 = std::uint32_t;

// Memory for a result, not initialised. As numpy does, large results ask for huge pages: fresh memory of small pages
// costs more time to touch than to compute. Plain malloc, because it hands freed memory out again without faults.
void* allocate(std::size_t bytes) {
  void* data = std::malloc(std::max<std::size_t>(bytes, 1));
  if (data == nullptr) throw std::bad_alloc();
#if defined(__linux__)
  constexpr std::size_t kPage = 4096, kLarge = std::size_t{1} << 22;
  if (bytes >= kLarge) {
    const auto at = reinterpret_cast<std::uintptr_t>(data), page = (at + kPage - 1) / kPage * kPage;
    madvise(reinterpret_cast<void*>(page), bytes - (page - at), MADV_HUGEPAGE);  // advice: may fail
  }
#endif
  return data;
}

template <class T, class... Sizes>
Out<T, sizeof...(Sizes)> fresh(Sizes... sizes) {
  void* data = allocate((sizeof(T) * ... * sizes));
  nb::capsule owner(data, [](void* p) noexcept { std::free(p); });
  return Out<T, sizeof...(Sizes)>(static_cast<T*>(data), {sizes...}, owner);
}

// A mask of n elements, or of none for no mask.
const u64* optional(const In<u64, 1>& mask, std::size_t n) {
  require(mask.shape(0) == n || mask.shape(0) == 0, "a mask has another length");
  return mask.shape(0) == 0 ? nullptr : mask.data();
}

void dot_local(const In<u64, 3>& a, const In<u64, 3>& b, const In<u64, 1>& plus, const In<u64, 1>& minus,
               const InOut<u64, 1>& out, std::size_t threads, Isa isa) {
  const std::size_t terms = a.shape(0), n = a.shape(1);
  require(b.shape(0) == terms && b.shape(1) == n && out.shape(0) == n, "shapes differ");
  require(a.shape(2) == 2 && b.shape(2) == 2, "not share pairs");
  require(threads > 0, "threads must be at least 1");
  const u64 *add = optional(plus, n), *subtract = optional(minus, n);
  nb::gil_scoped_release release;
  mpc_kernels::replicated_dot_local(a.data(), b.data(), add, subtract, out.data(), terms, n, threads, isa);
}

Out<u64, 2> pair_up(const In<u64, 1>& own, const In<u64, 1>& next, std::size_t threads, Isa isa) {
  const std::size_t n = own.shape(0);
  require(next.shape(0) == n, "lengths differ");
  require(threads > 0, "threads must be at least 1");
  auto out = fresh<u64>(n, std::size_t{2});
  nb::gil_scoped_release release;
  mpc_kernels::pair_up(own.data(), next.data(), out.data(), n, threads, isa);
  return out;
}

Out<u64, 2> prefix_sum(const In<u64, 2>& x) {
  auto out = fresh<u64>(x.shape(0), x.shape(1));
  nb::gil_scoped_release release;
  mpc_kernels::prefix_sum(x.data(), out.data(), x.shape(0), x.shape(1));
  return out;
}

Out<u64, 2> segmented_prefix_sum(const In<u64, 2>& x, const In<std::uint8_t, 1>& start) {
  require(start.shape(0) == x.shape(0), "lengths differ");
  auto out = fresh<u64>(x.shape(0), x.shape(1));
  nb::gil_scoped_release release;
  mpc_kernels::segmented_prefix_sum(x.data(), start.data(), out.data(), x.shape(0), x.shape(1));
  return out;
}

Out<u64, 2> bincount(const In<u64, 2>& x, const In<u32, 1>& bin, std::size_t size) {
  require(bin.shape(0) == x.shape(0), "lengths differ");
  require(x.shape(1) == 0 || size <= (std::size_t{1} << 40) / x.shape(1), "too many bins");
  auto out = fresh<u64>(size, x.shape(1));
  nb::gil_scoped_release release;
  mpc_kernels::bincount_var(x.data(), bin.data(), out.data(), x.shape(0), x.shape(1), size);
  return out;
}

void check_bits(unsigned bits, std::size_t threads) {
  require(bits >= 1 && bits <= 32, "bits must be in 1..32");
  require(threads > 0, "threads must be at least 1");
}

// One message: the high parts, 8 bytes each, then the low ones, 4 bytes each.
Out<std::uint8_t, 1> truncate_split(const In<u64, 1>& a, const In<u64, 1>& mask, const In<u32, 1>& low_mask,
                                    unsigned bits, std::size_t threads, Isa isa) {
  const std::size_t n = a.shape(0);
  require(mask.shape(0) == n && low_mask.shape(0) == n, "lengths differ");
  check_bits(bits, threads);
  auto out = fresh<std::uint8_t>(12 * n);
  auto* high = reinterpret_cast<u64*>(out.data());
  nb::gil_scoped_release release;
  mpc_kernels::truncate_split(a.data(), mask.data(), low_mask.data(), high, reinterpret_cast<u32*>(high + n), n, bits,
                              threads, isa);
  return out;
}

std::tuple<Out<u64, 1>, Out<u32, 1>> truncate_cross(const In<u64, 1>& own, const In<u64, 1>& other,
                                                    const In<u32, 1>& sign, const In<u32, 1>& mask, unsigned bits,
                                                    std::size_t threads, Isa isa) {
  const std::size_t n = own.shape(0);
  require(other.shape(0) == n && sign.shape(0) == n && mask.shape(0) == n, "lengths differ");
  check_bits(bits, threads);
  auto high = fresh<u64>(n);
  auto cross = fresh<u32>(n);
  nb::gil_scoped_release release;
  mpc_kernels::truncate_cross(own.data(), other.data(), sign.data(), mask.data(), high.data(), cross.data(), n, bits,
                              threads, isa);
  return {high, cross};
}

Out<u64, 2> truncate_join(const In<u64, 1>& high0, const In<u32, 1>& low0, const In<u64, 1>& high1,
                          const In<u32, 1>& low1, unsigned bits, std::size_t threads, Isa isa) {
  const std::size_t n = high0.shape(0);
  require(low0.shape(0) == n && high1.shape(0) == n && low1.shape(0) == n, "lengths differ");
  check_bits(bits, threads);
  auto out = fresh<u64>(n, std::size_t{2});
  nb::gil_scoped_release release;
  mpc_kernels::truncate_join(high0.data(), low0.data(), high1.data(), low1.data(), out.data(), n, bits, threads, isa);
  return out;
}

}  // namespace

void bind_arith(nb::module_& m, Isa isa) {
  const auto arg = [](const char* name) { return nb::arg(name).noconvert(); };
  m.def(
      "replicated_dot_local",
      [isa](const In<u64, 3>& a, const In<u64, 3>& b, const In<u64, 1>& plus, const In<u64, 1>& minus,
            const InOut<u64, 1>& out, std::size_t threads) { dot_local(a, b, plus, minus, out, threads, isa); },
      arg("a"), arg("b"), arg("plus"), arg("minus"), arg("out"), "threads"_a = 1,
      "One party's masked additive part of elementwise replicated dot products mod 2^64.");
  m.def(
      "pair_up",
      [isa](const In<u64, 1>& own, const In<u64, 1>& next, std::size_t threads) {
        return pair_up(own, next, threads, isa);
      },
      arg("own"), arg("next"), "threads"_a = 1, "Two shares side by side.");
  m.def("prefix_sum", &prefix_sum, arg("x"), "Running sums of rows mod 2^64.");
  m.def("segmented_prefix_sum", &segmented_prefix_sum, arg("x"), arg("start"),
        "Running sums of rows mod 2^64 that start again at flagged rows.");
  m.def("bincount_var", &bincount, arg("x"), arg("bin"), "size"_a, "Sums of rows mod 2^64 by clear bin.");
  m.def(
      "truncate_split",
      [isa](const In<u64, 1>& a, const In<u64, 1>& mask, const In<u32, 1>& low_mask, unsigned bits,
            std::size_t threads) { return truncate_split(a, mask, low_mask, bits, threads, isa); },
      arg("a"), arg("mask"), arg("low_mask"), "bits"_a, "threads"_a = 1,
      "Masked arithmetic shift and sign of the first addend.");
  m.def(
      "truncate_cross",
      [isa](const In<u64, 1>& own, const In<u64, 1>& other, const In<u32, 1>& sign, const In<u32, 1>& mask,
            unsigned bits, std::size_t threads) { return truncate_cross(own, other, sign, mask, bits, threads, isa); },
      arg("own"), arg("other"), arg("sign"), arg("mask"), "bits"_a, "threads"_a = 1,
      "Arithmetic shift of the second addend, and its sign times a share of the first's.");
  m.def(
      "truncate_join",
      [isa](const In<u64, 1>& high0, const In<u32, 1>& low0, const In<u64, 1>& high1, const In<u32, 1>& low1,
            unsigned bits, std::size_t threads) { return truncate_join(high0, low0, high1, low1, bits, threads, isa); },
      arg("high0"), arg("low0"), arg("high1"), arg("low1"), "bits"_a, "threads"_a = 1,
      "Share pairs from shifted parts and carries.");
}
