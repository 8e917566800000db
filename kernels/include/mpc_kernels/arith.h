// Elementwise arithmetic on replicated shares in the ring Z/2^64.
//
// Contract of every function here
// - Arrays are dense. A "pair" array holds a party's two shares of each element side by side: x[2i] is the share r,
//   x[2i+1] the share r+1. Inputs and outputs do not overlap. Any count may be 0.
// - `out` is overwritten; it need not be initialised.
// - `threads` >= 1 is an upper limit; the result does not depend on it, nor on `isa`, which this CPU must support.
// - The time depends on the counts only, never on the values, except in functions called *_var, which say what of
//   their arguments may show in time and addresses; that argument is known in the clear to the party that calls.
#pragma once
#include <cstddef>
#include <cstdint>

#include "mpc_kernels/isa.h"

namespace mpc_kernels {

// What one party computes alone in `n` replicated three-party dot products of `terms` factors each (Araki et al., CCS
// 2016), masked:
//   out[i] = sum over j < terms of a0·b0 + a0·b1 + a1·b0, with a, b at [j, i],   + plus[i] - minus[i]   (mod 2^64)
// for pairs a[terms,n,2], b[terms,n,2]. `plus` and `minus` are two parties' pseudo-random streams, or null.
void replicated_dot_local(const std::uint64_t* a, const std::uint64_t* b, const std::uint64_t* plus,
                          const std::uint64_t* minus, std::uint64_t* out, std::size_t terms, std::size_t n,
                          std::size_t threads, Isa isa);

// The same for the rows first, ..., first + count - 1 only: few enough that their sums stay in the cache. `plus` and
// `minus` are the masks of these rows, or null; the other arrays are whole.
void replicated_dot_rows(const std::uint64_t* a, const std::uint64_t* b, const std::uint64_t* plus,
                         const std::uint64_t* minus, std::uint64_t* out, std::size_t terms, std::size_t n,
                         std::size_t first, std::size_t count, Isa isa);

// out[i] = (own[i], next[i]): what a party holds after a reshare.
void pair_up(const std::uint64_t* own, const std::uint64_t* next, std::uint64_t* out, std::size_t n,
             std::size_t threads, Isa isa);

// out[i] = x[0] + ... + x[i] for rows of `width` elements each, x[n,width].
void prefix_sum(const std::uint64_t* x, std::uint64_t* out, std::size_t n, std::size_t width);

// The same, starting again from zero at every row i with start[i] != 0. Constant time in `start` too.
void segmented_prefix_sum(const std::uint64_t* x, const std::uint8_t* start, std::uint64_t* out, std::size_t n,
                          std::size_t width);

// out[b,:] = sum of the rows x[i,:] with bin[i] == b, for b < size; a row with bin[i] >= size counts nowhere.
// The bins show in the addresses: they are in the clear at this party.
void bincount_var(const std::uint64_t* x, const std::uint32_t* bin, std::uint64_t* out, std::size_t n,
                  std::size_t width, std::size_t size);

// Truncation of x = a + b, |x| <= 2^62 - 2^32, by 1 <= bits <= 32 (mpc_engine.runtime.replicated.truncate has the
// protocol). Wherever a u32 appears it is a share mod 2^32 that counts times 2^(64-bits).

// The party that knows a: high[i] = (a[i] asr bits) - mask[i],  low[i] = (a[i] < 0) - low_mask[i].
void truncate_split(const std::uint64_t* a, const std::uint64_t* mask, const std::uint32_t* low_mask,
                    std::uint64_t* high, std::uint32_t* low, std::size_t n, unsigned bits, std::size_t threads,
                    Isa isa);

// A party that knows b = own + other: with b' = b + 2^62 + 2^bits - 1,
//   high[i] = (b' asr bits) - 2^(62-bits),  cross[i] = (b' < 0) · sign[i] - mask[i].
void truncate_cross(const std::uint64_t* own, const std::uint64_t* other, const std::uint32_t* sign,
                    const std::uint32_t* mask, std::uint64_t* high, std::uint32_t* cross, std::size_t n, unsigned bits,
                    std::size_t threads, Isa isa);

// out[i] = (high0 + low0·2^(64-bits), high1 + low1·2^(64-bits)).
void truncate_join(const std::uint64_t* high0, const std::uint32_t* low0, const std::uint64_t* high1,
                   const std::uint32_t* low1, std::uint64_t* out, std::size_t n, unsigned bits, std::size_t threads,
                   Isa isa);

}  // namespace mpc_kernels
