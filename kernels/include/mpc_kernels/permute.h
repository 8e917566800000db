// Permutations and gathers by indices that the party may know.
//
// Contract of every function here
// - Arrays are dense; inputs and outputs do not overlap; sizes may be 0.
// - Addresses depend on the index arguments, which the party knows by design (hence *_var), never on rows.
// - Indices are in range; the bindings check that.
// - Nothing is allocated.
#pragma once
#include <cstddef>
#include <cstdint>

namespace mpc_kernels {

// The largest of `size` > 0 indices.
std::uint32_t largest_index(const std::uint32_t* index, std::size_t size);

// out[i] = rows[index[i]], rows of `width` 64-bit words, i < m.
void gather_rows_var(const std::uint64_t* rows, std::size_t width, const std::uint32_t* index, std::size_t m,
                     std::uint64_t* out);

// out[index[i]] = rows[i]: the inverse gather when `index` is a permutation.
void scatter_rows_var(const std::uint64_t* rows, std::size_t width, const std::uint32_t* index, std::size_t m,
                      std::uint64_t* out);

// out[i] = values[index[i]]: composition of permutations.
void gather_index_var(const std::uint32_t* values, const std::uint32_t* index, std::size_t m, std::uint32_t* out);

// out[index[i]] = i.
void invert_index_var(const std::uint32_t* index, std::size_t m, std::uint32_t* out);

// A uniform permutation of 0..n-1 from uniform words (Fisher-Yates with Lemire's unbiased bounded numbers, "Fast random
// integer generation in an interval", TOMACS 2019). Uses n - 1 words and, with probability below n^2 / 2^65, more.
// Returns false when the `count` words do not suffice.
bool random_permutation_var(const std::uint64_t* words, std::size_t count, std::size_t n, std::uint32_t* out);

// A stable order of rows by group: order[k] is the row at place k. start[groups + 1] are the places where groups begin.
void group_order_var(const std::uint32_t* group, std::size_t n, std::size_t groups, std::uint32_t* order,
                     std::uint32_t* start);

}  // namespace mpc_kernels
