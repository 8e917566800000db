// Matrix products in the ring Z/2^64.
//
// Contract of every function here
// - Arrays are dense and row-major. Input and output do not overlap. A dimension may be 0; a product over
//   k = 0 is the zero matrix.
// - `out` is overwritten; it need not be initialised.
// - `threads` >= 1 is an upper limit: small products use fewer. The result does not depend on it.
// - `isa` must be supported by this CPU (isa.h). The result does not depend on it.
// - The time depends on the shape only, never on the values: no branch and no address depends on an element.
// - Scratch memory holds shares while a call runs (some 256 KiB a thread) and is overwritten before it is freed.
// - Throws std::bad_alloc when scratch memory is missing; `out` is then unspecified.
#pragma once
#include <cstddef>
#include <cstdint>

#include "mpc_kernels/isa.h"

namespace mpc_kernels {

// out[m,n] = a[m,k] · b[k,n]  (mod 2^64).
void matmul64(const std::uint64_t* a, const std::uint64_t* b, std::uint64_t* out, std::size_t m, std::size_t k,
              std::size_t n, std::size_t threads, Isa isa);

// What one party computes alone in a replicated three-party matrix product (Araki et al., CCS 2016):
//   out[m,n] = a0·b0 + a0·b1 + a1·b0  (mod 2^64)
// for replicated shares a[m,k,2] and b[k,n,2], where a0 = a[..,0] is the party's share r and a1 = a[..,1] its
// share r+1. The three parties' results are an additive sharing of the product of the secrets. They are not yet
// uniform: the caller adds a sharing of zero before sending one anywhere.
void replicated_matmul_local(const std::uint64_t* a, const std::uint64_t* b, std::uint64_t* out, std::size_t m,
                             std::size_t k, std::size_t n, std::size_t threads, Isa isa);

}  // namespace mpc_kernels
