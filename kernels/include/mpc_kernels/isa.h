// Which instruction set the kernels use, chosen when the program runs.
#pragma once
#include <string_view>

namespace mpc_kernels {

enum class Isa { portable, avx2, avx512 };

// "portable", "avx2" or "avx512".
const char* name(Isa isa) noexcept;

// True when this CPU and operating system can run `isa`. `avx512` means AVX-512 F.
bool supported(Isa isa) noexcept;

// The fastest supported one.
Isa best() noexcept;

// The instruction set called `wanted`; `best()` when `wanted` is empty.
// Throws std::invalid_argument when there is no such name or this CPU lacks it.
Isa choose(std::string_view wanted);

}  // namespace mpc_kernels
