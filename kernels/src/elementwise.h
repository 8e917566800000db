// Runs a loop over elements on several threads, compiled once for each instruction set.
#pragma once
#include <algorithm>
#include <cstddef>

#include "mpc_kernels/isa.h"
#include "parallel.h"

// For the lambda given to elementwise(): without it the loop would not be compiled anew for each target.
#define MPC_INLINE __attribute__((always_inline))

namespace mpc_kernels {

#if defined(__x86_64__)
template <class Loop>
__attribute__((target("avx2"))) void run_avx2(const Loop& loop, std::size_t begin, std::size_t end) {
  loop(begin, end);
}
template <class Loop>
__attribute__((target("avx512f"))) void run_avx512(const Loop& loop, std::size_t begin, std::size_t end) {
  loop(begin, end);
}
template <class Loop>
__attribute__((target("avx512f,avx512dq"))) void run_avx512dq(const Loop& loop, std::size_t begin, std::size_t end) {
  loop(begin, end);
}
#endif

template <class Loop>
void run_for(Isa isa, const Loop& loop, std::size_t begin, std::size_t end) {
#if defined(__x86_64__)
  if (isa == Isa::avx512dq) return run_avx512dq(loop, begin, end);
  if (isa == Isa::avx512) return run_avx512(loop, begin, end);
  if (isa == Isa::avx2) return run_avx2(loop, begin, end);
#endif
  loop(begin, end);
}

// Calls loop(begin, end) on ranges that cover [0, n); each is worth a thread.
template <class Loop>
void elementwise(std::size_t n, std::size_t threads, Isa isa, const Loop& loop) {
  constexpr std::size_t kWorthAThread = std::size_t{1} << 17;
  const std::size_t parts = std::clamp<std::size_t>(n / kWorthAThread, 1, threads);
  if (parts == 1) return run_for(isa, loop, 0, n);
  const std::size_t each = (n / parts + 7) / 8 * 8;
  parallel(parts, [&](std::size_t i) noexcept {
    run_for(isa, loop, std::min(n, i * each), i + 1 == parts ? n : std::min(n, (i + 1) * each));
  });
}

}  // namespace mpc_kernels
