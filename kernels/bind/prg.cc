// Bindings of prg.h. They check what memory safety needs; mpc_kernels/prg.py explains mistakes to people. Outputs are
// the caller's arrays.
#include "mpc_kernels/prg.h"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>

#include "bind.h"
#include "checks.h"

namespace nb = nanobind;
using namespace nb::literals;
using mpc_kernels::Isa;
using mpc_kernels::Stream;

namespace {

using Pairs = Array<const std::uint64_t, 3>;

constexpr std::size_t kSeed = 32;

Stream stream(const nb::bytes& seed, std::uint64_t offset, Isa isa) {
  require(seed.size() == kSeed, "a seed has 32 bytes");
  require(mpc_kernels::aes_supported(isa), "this CPU has no AES instructions");
  return {static_cast<const std::uint8_t*>(seed.data()), offset};
}

}  // namespace

void bind_prg(nb::module_& m, Isa isa) {
  m.def("has_aes", [isa] { return mpc_kernels::aes_supported(isa); }, "Whether the streams can be computed here.");
  m.def("prg_fill", [isa](const nb::bytes& seed, std::uint64_t offset, const Array<std::uint8_t, 1>& out) {
    const Stream from = stream(seed, offset, isa);
    nb::gil_scoped_release release;
    mpc_kernels::prg_fill(from, out.data(), out.size(), isa);
  }, "seed"_a, "offset"_a, "out"_a.noconvert(), "Bytes of a pseudo-random stream.");
  m.def("prg_zero", [isa](const nb::bytes& plus, std::uint64_t plus_offset, const nb::bytes& minus,
                          std::uint64_t minus_offset, bool bits, const WordsOut& out) {
    const Stream first = stream(plus, plus_offset, isa), second = stream(minus, minus_offset, isa);
    nb::gil_scoped_release release;
    (bits ? mpc_kernels::prg_zero_bits : mpc_kernels::prg_zero)(first, second, out.data(), out.size(), isa);
  }, "plus"_a, "plus_offset"_a, "minus"_a, "minus_offset"_a, "bits"_a, "out"_a.noconvert(),
     "One party's part of a sharing of zero.");
  m.def("replicated_dot_masked", [isa](const Pairs& a, const Pairs& b, const nb::bytes& plus,
                                       std::uint64_t plus_offset, const nb::bytes& minus, std::uint64_t minus_offset,
                                       const WordsOut& out, std::size_t threads) {
    const std::size_t terms = a.shape(0), n = a.shape(1);
    require(b.shape(0) == terms && b.shape(1) == n && out.size() == n, "shapes differ");
    require(a.shape(2) == 2 && b.shape(2) == 2, "not share pairs");
    require(threads > 0, "threads must be at least 1");
    const Stream first = stream(plus, plus_offset, isa), second = stream(minus, minus_offset, isa);
    nb::gil_scoped_release release;
    mpc_kernels::replicated_dot_masked(a.data(), b.data(), first, second, out.data(), terms, n, threads, isa);
  }, "a"_a.noconvert(), "b"_a.noconvert(), "plus"_a, "plus_offset"_a, "minus"_a, "minus_offset"_a,
     "out"_a.noconvert(), "threads"_a, "Replicated dot products with masks made on the way.");
}
