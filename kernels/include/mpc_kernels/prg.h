// Pseudo-random streams, AES-128 in counter mode, and masks made of two of them.
//
// Contract of every function here
// - A stream is 32 bytes of seed: the AES key, then the first counter block (big endian, as NIST SP 800-38A counts).
//   Byte `offset` of the stream is byte offset % 16 of the encryption of counter block offset / 16.
// - Needs aes_supported(isa); there is no table-driven fallback, whose addresses would depend on the key.
// - The time depends on sizes and offsets only. Round keys and masks on the stack are overwritten before returning.
// - Sizes may be 0. Nothing is allocated. The result does not depend on `isa`.
#pragma once
#include <cstddef>
#include <cstdint>

#include "mpc_kernels/isa.h"

namespace mpc_kernels {

// A place in a stream.
struct Stream {
  const std::uint8_t* seed;
  std::uint64_t offset;
};

// Whether this CPU has AES instructions, and `isa` is not portable.
bool aes_supported(Isa isa) noexcept;

// out[size] = the stream's next bytes.
void prg_fill(Stream stream, std::uint8_t* out, std::size_t size, Isa isa);

// out[i] = plus[i] ^ minus[i], or plus[i] - minus[i] mod 2^64: a party's part of a sharing of zero.
void prg_zero_bits(Stream plus, Stream minus, std::uint64_t* out, std::size_t size, Isa isa);
void prg_zero(Stream plus, Stream minus, std::uint64_t* out, std::size_t size, Isa isa);

// replicated_dot_local (arith.h) with masks that are made on the way: out = sum of products + plus[..] - minus[..].
void replicated_dot_masked(const std::uint64_t* a, const std::uint64_t* b, Stream plus, Stream minus,
                           std::uint64_t* out, std::size_t terms, std::size_t n, std::size_t threads, Isa isa);

}  // namespace mpc_kernels
