// Bit planes: 64 rows to a word, one array of words for each bit, least significant row first.
//
// Row i of a column of n rows is bit i % 64 of word i / 64; a plane has (n + 63) / 64 words, and rows past the end are
// 0. A packed row has `width` 64-bit words, least significant first; its bit k is bit k % 64 of word k / 64.
//
// Contract of every function here
// - Arrays are dense. Inputs and outputs do not overlap, except that `out` may be `mask`, and in and_local and
//   majority_local any of the inputs.
// - Sizes may be 0. The result does not depend on `isa`, which must be supported by this CPU (isa.h).
// - The time depends on the shapes only, never on bits or words: no branch and no address depends on them. Functions
//   named *_var also address by their `index` argument, which must be public.
// - Nothing is allocated.
#pragma once
#include <cstddef>
#include <cstdint>

#include "mpc_kernels/isa.h"

namespace mpc_kernels {

// out[j][..] = bit order[j] of rows[n][width], for j < bits. order[j] < 64 * width.
void rows_to_planes(const std::uint64_t* rows, std::size_t n, std::size_t width, const std::uint32_t* order,
                    std::size_t bits, std::uint64_t* out, Isa isa);

// The inverse for order 0, 1, ..., bits - 1: rows[n][(bits + 63) / 64], bits past the end 0.
void planes_to_rows(const std::uint64_t* planes, std::size_t n, std::size_t bits, std::uint64_t* out, Isa isa);

// Planes of rows picked by index: out[j] = bit order[j] of rows[index[i]], i < m; index < the number of rows. With
// `other`, planes of the same shape, out[j] = that ^ other[j] ^ flip; `other` may be null.
void pick_planes_var(const std::uint64_t* rows, std::size_t width, const std::uint32_t* index, std::size_t m,
                     const std::uint32_t* order, std::size_t bits, const std::uint64_t* other, std::uint64_t flip,
                     std::uint64_t* out, Isa isa);

// The same for both components of a party at once: rows[n][2 * width] hold `width` words of the first component and as
// many of the second; order[j] < 64 * width. `other0` and `other1` are both given or both null.
void pick_pairs_var(const std::uint64_t* rows, std::size_t width, const std::uint32_t* index, std::size_t m,
                    const std::uint32_t* order, std::size_t bits, const std::uint64_t* other0,
                    const std::uint64_t* other1, std::uint64_t flip0, std::uint64_t flip1, std::uint64_t* out0,
                    std::uint64_t* out1, Isa isa);

// One party's part of the AND of replicated x = (x0, x1) and y = (y0, y1), masked:
//   out = mask ^ x0·y0 ^ x0·y1 ^ x1·y0          (Araki et al., CCS 2016, section 3.2 over GF(2))
void and_local(const std::uint64_t* x0, const std::uint64_t* x1, const std::uint64_t* y0, const std::uint64_t* y1,
               const std::uint64_t* mask, std::uint64_t* out, std::size_t size, Isa isa);

// One party's part of the carry of a full adder, maj(a, b, c) = a ^ (a ^ b)·(a ^ c): one AND. With b complemented by
// the caller and c the running result this is also the step of a ripple comparator.
void majority_local(const std::uint64_t* a0, const std::uint64_t* a1, const std::uint64_t* b0, const std::uint64_t* b1,
                    const std::uint64_t* c0, const std::uint64_t* c1, const std::uint64_t* mask, std::uint64_t* out,
                    std::size_t size, Isa isa);

// One party's parts of many gates on planes x = (x0, x1) of `words` words each. Gate g is the inner product of the terms
// starts[g], ..., starts[g + 1] - 1; term t is (x[a] ^ x[b])·x[y] for (a, b, y) = terms[3 t ..]:
//   out[g] = mask[g] ^ the part of the sum of its terms
// b may be kNoPlane for x[a]·x[y], or kOnes for the constant 1, which `flip0`, `flip1` add: all ones at the party whose
// component carries constants, else 0. `out` may be `mask`, and part of x0 if no gate reads it.
constexpr std::uint32_t kNoPlane = 0xffffffffU, kOnes = 0xfffffffeU;
void plane_gates_local(const std::uint64_t* x0, const std::uint64_t* x1, const std::uint32_t* terms,
                       const std::uint32_t* starts, std::size_t gates, std::size_t words, std::uint64_t flip0,
                       std::uint64_t flip1, const std::uint64_t* mask, std::uint64_t* out, Isa isa);

}  // namespace mpc_kernels
