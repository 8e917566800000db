// The public part of a sample sort by opened comparisons: which rows to compare next, and where results put them.
// (mpc_engine.runtime.replicated.sort has the algorithm.)
//
// Rows lie bucket by bucket. Bucket b has sizes[b] rows from starts[b] on; its first samples[b] rows, its sample, are
// ranked by comparing all pairs. With levels[b] = 0 the sample is the whole bucket; otherwise (1 << levels[b]) - 1
// evenly spaced rows of the sample are pivots, table[tree[b] + i] is the row of pivot i, and the other rows are placed
// among them by binary search. A bucket's rows come into groups: base[b] + rank without pivots, else
// base[b] + 2 * (pivots below) for a row and one more for a pivot.
//
// Contract of every function here
// - Arrays are dense; inputs and outputs do not overlap; sizes may be 0. Nothing is allocated.
// - All data are public: results of comparisons, and what follows from them; of rows only the addresses are.
// - Results of comparisons are bits: result i is bit i % 64 of word i / 64.
// - The bindings check that every index that follows from the arguments is in range.
#pragma once
#include <cstddef>
#include <cstdint>

#include "mpc_kernels/isa.h"

namespace mpc_kernels {

constexpr std::uint32_t kLargestSample = 4096;

// Whether the buckets fit: rows within n, samples within their buckets and kLargestSample, tables within `table`
// entries, 2 <= (samples + 1) >> levels where there are pivots.
bool good_buckets(const std::uint32_t* starts, const std::uint32_t* sizes, const std::uint32_t* samples,
                  const std::uint32_t* levels, const std::uint32_t* tree, std::size_t buckets, std::size_t n,
                  std::size_t table);

// The comparisons of all samples: (left[k], right[k]) are the pairs of sample rows i < j, bucket after bucket.
void sample_pairs_var(const std::uint32_t* starts, const std::uint32_t* samples, std::size_t buckets,
                      std::uint32_t* left, std::uint32_t* right);

// Takes the results of these comparisons: sets group of the sample rows, and table.
void place_samples_var(const std::uint64_t* less, const std::uint32_t* starts, const std::uint32_t* samples,
                       const std::uint32_t* levels, const std::uint32_t* base, const std::uint32_t* tree,
                       std::size_t buckets, std::uint32_t* group, std::uint32_t* table);

// The rows outside the samples of the buckets picked[0], picked[1], ...: their numbers, and found = tree.
void rest_rows_var(const std::uint32_t* starts, const std::uint32_t* sizes, const std::uint32_t* samples,
                   const std::uint32_t* tree, const std::uint32_t* picked, std::size_t count, std::uint32_t* row,
                   std::uint32_t* found);

// found[i] += step where result i says that the row is not below what it was compared with, `less` = pivot < row.
void step_down_var(const std::uint64_t* less, std::size_t size, std::uint32_t step, std::uint32_t* found, Isa isa);

// left[i] = table[found[i] + plus].
void look_up_var(const std::uint32_t* table, const std::uint32_t* found, std::size_t size, std::uint32_t plus,
                 std::uint32_t* left);

// Sets group of the rows that rest_rows_var listed, from what the search found.
void place_rest_var(const std::uint32_t* found, const std::uint32_t* starts, const std::uint32_t* sizes,
                    const std::uint32_t* samples, const std::uint32_t* base, const std::uint32_t* tree,
                    const std::uint32_t* picked, std::size_t count, std::uint32_t* group);

// Makes groups the new buckets. Row i of `group` < groups is number row[i] of the table that is sorted, and the n
// places of it that these rows will take are `slot`, ascending. A group of one row is done: place[its slot] = its
// number. The rows of the others move, in their order, to rows_out, row_out, slot_out; sizes_out has the groups' sizes.
// `mark` has groups entries of scratch. Returns the rows and buckets that are left.
struct Left {
  std::size_t rows, buckets;
};
Left regroup_var(const std::uint32_t* group, std::size_t n, std::size_t groups, const std::uint64_t* rows,
                 std::size_t width, const std::uint32_t* row, const std::uint32_t* slot, std::uint32_t* place,
                 std::uint32_t* mark, std::uint64_t* rows_out, std::uint32_t* row_out, std::uint32_t* slot_out,
                 std::uint32_t* sizes_out);

}  // namespace mpc_kernels
