// Which instruction set the kernels use, chosen when the program runs.
#pragma once
#include <string_view>

namespace mpc_kernels {

enum class Isa { portable, avx2, avx512, avx512dq };

// "portable", "avx2", "avx512" or "avx512dq".
const char* name(Isa isa) noexcept;

// True when this CPU and operating system can run `isa`. `avx512` means AVX-512 F; `avx512dq` has DQ too, whose
// 64-bit products take one operation on AMD's processors (Zen 4) and three on Intel's.
bool supported(Isa isa) noexcept;

// The fastest supported one.
Isa best() noexcept;

inline bool has_avx512(Isa isa) noexcept { return isa == Isa::avx512 || isa == Isa::avx512dq; }

// The instruction set called `wanted`; `best()` when `wanted` is empty.
// Throws std::invalid_argument when there is no such name or this CPU lacks it.
Isa choose(std::string_view wanted);

}  // namespace mpc_kernels
