#include "mpc_kernels/isa.h"

#include <array>
#include <stdexcept>
#include <string>

namespace mpc_kernels {
namespace {
constexpr std::array kAll = {Isa::avx512dq, Isa::avx512, Isa::avx2, Isa::portable};
}

const char* name(Isa isa) noexcept {
  switch (isa) {
    case Isa::avx512dq:
      return "avx512dq";
    case Isa::avx512:
      return "avx512";
    case Isa::avx2:
      return "avx2";
    case Isa::portable:
      break;
  }
  return "portable";
}

bool supported(Isa isa) noexcept {
#if defined(__x86_64__)
  // These also ask the operating system whether it keeps the wide registers.
  __builtin_cpu_init();
  if (isa == Isa::avx512dq) return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq");
  if (isa == Isa::avx512) return __builtin_cpu_supports("avx512f");
  if (isa == Isa::avx2) return __builtin_cpu_supports("avx2");
#endif
  return isa == Isa::portable;
}

// Whether vpmullq is as fast as vpmuludq; measured on Zen 4, against the Intel cores that tile_avx512.cc speaks of.
static bool one_operation_products() noexcept {
#if defined(__x86_64__)
  return __builtin_cpu_is("amd");
#else
  return false;
#endif
}

Isa best() noexcept {
  for (Isa isa : kAll) {
    if (supported(isa) && (isa != Isa::avx512dq || one_operation_products())) return isa;
  }
  return Isa::portable;
}

Isa choose(std::string_view wanted) {
  if (wanted.empty()) return best();
  for (Isa isa : kAll) {
    if (wanted != name(isa)) continue;
    if (!supported(isa)) throw std::invalid_argument("this CPU does not have " + std::string(wanted));
    return isa;
  }
  throw std::invalid_argument("unknown instruction set '" + std::string(wanted) +
                              "'; known are portable, avx2, avx512, avx512dq");
}

}  // namespace mpc_kernels
