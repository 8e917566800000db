// The Python module mpc_kernels._native. It checks what memory safety needs; mpc_kernels/matmul.py explains
// mistakes to people.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "bind.h"
#include "mpc_kernels/isa.h"
#include "mpc_kernels/matmul.h"

namespace nb = nanobind;
using namespace nb::literals;
using mpc_kernels::Isa;

namespace {

template <std::size_t Dims>
using In = nb::ndarray<const std::uint64_t, nb::ndim<Dims>, nb::c_contig, nb::device::cpu>;
using Out = nb::ndarray<nb::numpy, std::uint64_t, nb::ndim<2>>;
using Kernel = decltype(&mpc_kernels::matmul64);

template <std::size_t Dims>
Out call(Kernel kernel, const In<Dims>& a, const In<Dims>& b, std::size_t threads, Isa isa) {
  if (a.shape(1) != b.shape(0)) throw nb::value_error("inner dimensions differ");
  if (Dims == 3 && (a.shape(Dims - 1) != 2 || b.shape(Dims - 1) != 2)) throw nb::value_error("not share pairs");
  if (threads == 0) throw nb::value_error("threads must be at least 1");
  const std::size_t m = a.shape(0), k = a.shape(1), n = b.shape(1);
  auto* data = new std::uint64_t[m * n];
  nb::capsule owner(data, [](void* p) noexcept { delete[] static_cast<std::uint64_t*>(p); });
  {
    nb::gil_scoped_release release;
    kernel(a.data(), b.data(), data, m, k, n, threads, isa);
  }
  return Out(data, {m, n}, owner);
}

}  // namespace

NB_MODULE(_native, m) {
  const char* wanted = std::getenv("MPC_KERNELS_ISA");
  Isa isa{};
  try {
    isa = mpc_kernels::choose(wanted == nullptr ? "" : wanted);
  } catch (const std::invalid_argument& error) {
    throw nb::import_error((std::string("MPC_KERNELS_ISA: ") + error.what()).c_str());
  }
  m.def(
      "matmul64",
      [isa](const In<2>& a, const In<2>& b, std::size_t threads) {
        return call<2>(mpc_kernels::matmul64, a, b, threads, isa);
      },
      "a"_a.noconvert(), "b"_a.noconvert(), "threads"_a = 1, "Matrix product mod 2^64.");
  m.def(
      "replicated_matmul_local",
      [isa](const In<3>& a, const In<3>& b, std::size_t threads) {
        return call<3>(mpc_kernels::replicated_matmul_local, a, b, threads, isa);
      },
      "a"_a.noconvert(), "b"_a.noconvert(), "threads"_a = 1,
      "One party's additive part of a replicated matrix product mod 2^64.");
  bind_arith(m, isa);
  bind_bits(m, isa);
  bind_prg(m, isa);
  bind_rank(m, isa);
  m.def("isa", [isa] { return mpc_kernels::name(isa); }, "The instruction set in use.");
}
