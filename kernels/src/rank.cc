#include "mpc_kernels/rank.h"

#include <algorithm>
#include <cstring>

#include "dispatch.h"

namespace mpc_kernels {

using u32 = std::uint32_t;
using u64 = std::uint64_t;
using std::size_t;

bool good_buckets(const u32* starts, const u32* sizes, const u32* samples, const u32* levels, const u32* tree,
                  size_t buckets, size_t n, size_t table) {
  bool good = true;
  for (size_t b = 0; b < buckets; ++b) {
    good &= u64{starts[b]} + sizes[b] <= n && samples[b] <= sizes[b] && samples[b] <= kLargestSample;
    if (levels[b] == 0) continue;
    good &= levels[b] < 12 && (samples[b] + 1) >> levels[b] >= 1 && u64{tree[b]} + (u64{1} << levels[b]) <= table;
  }
  return good;
}

void sample_pairs_var(const u32* starts, const u32* samples, size_t buckets, u32* left, u32* right) {
  size_t at = 0;
  for (size_t b = 0; b < buckets; ++b) {
    const u32 first = starts[b], count = samples[b];
    for (u32 i = 0; i + 1 < count; ++i) {
      for (u32 j = i + 1; j < count; ++j, ++at) {
        left[at] = first + i;
        right[at] = first + j;
      }
    }
  }
}

void place_samples_var(const u64* less, const u32* starts, const u32* samples, const u32* levels, const u32* base,
                       const u32* tree, size_t buckets, u32* group, u32* table) {
  u32 rank[kLargestSample];
  size_t at = 0;
  for (size_t b = 0; b < buckets; ++b) {
    const u32 first = starts[b], count = samples[b];
    std::fill_n(rank, count, 0U);
    for (u32 i = 0; i + 1 < count; ++i) {
      u32 above = 0;  // rows after i that are greater
      for (u32 j = i + 1; j < count; ++j, ++at) {
        const u32 bit = static_cast<u32>(less[at / 64] >> (at % 64)) & 1;
        rank[j] += bit;
        above += bit;
      }
      rank[i] += count - 1 - i - above;
    }
    if (levels[b] == 0) {
      for (u32 i = 0; i < count; ++i) group[first + i] = base[b] + rank[i];
      continue;
    }
    const u32 step = (count + 1) >> levels[b], last = (1U << levels[b]) - 1;
    for (u32 i = 0; i < count; ++i) {
      const u32 leaf = std::min(rank[i] / step, last);
      const bool pivot = leaf < last && (rank[i] + 1) % step == 0;
      group[first + i] = base[b] + 2 * leaf + pivot;
      if (pivot) table[tree[b] + leaf] = first + i;
    }
  }
}

void rest_rows_var(const u32* starts, const u32* sizes, const u32* samples, const u32* tree, const u32* picked,
                   size_t count, u32* row, u32* found) {
  for (size_t k = 0; k < count; ++k) {
    const u32 b = picked[k], first = starts[b] + samples[b], rest = sizes[b] - samples[b];
    for (u32 i = 0; i < rest; ++i) {
      row[i] = first + i;
      found[i] = tree[b];
    }
    row += rest;
    found += rest;
  }
}

MPC_LOOP void step_down_var_loop(const u64* less, size_t size, u32 step, u32* found) {
  for (size_t at = 0; at < size; at += 32) {
    const u32 bits = static_cast<u32>(less[at / 64] >> (at % 64));
    if (size - at >= 32) {
      for (u32 i = 0; i < 32; ++i) found[at + i] += step & (u32{0} - ((bits >> i) & 1));
    } else {
      for (u32 i = 0; i < size - at; ++i) found[at + i] += step & (u32{0} - ((bits >> i) & 1));
    }
  }
}

MPC_DISPATCH(step_down_var, (const std::uint64_t* less, std::size_t size, std::uint32_t step, std::uint32_t* found),
             (less, size, step, found))

void look_up_var(const u32* table, const u32* found, size_t size, u32 plus, u32* left) {
  for (size_t i = 0; i < size; ++i) left[i] = table[found[i] + plus];
}

void place_rest_var(const u32* found, const u32* starts, const u32* sizes, const u32* samples, const u32* base,
                    const u32* tree, const u32* picked, size_t count, u32* group) {
  for (size_t k = 0; k < count; ++k) {
    const u32 b = picked[k], rest = sizes[b] - samples[b], shift = base[b] - 2 * tree[b];
    u32* to = group + starts[b] + samples[b];
    for (u32 i = 0; i < rest; ++i) to[i] = 2 * found[i] + shift;
    found += rest;
  }
}

template <size_t Width>
static void scatter_rows(const u32* group, size_t n, const u64* rows, size_t width, const u32* row, const u32* slot,
                         u32* place, u32* mark, u64* rows_out, u32* row_out) {
  constexpr u32 kDone = 1U << 31;
  const size_t words = Width == 0 ? width : Width;
  for (size_t i = 0; i < n; ++i) {
    const u32 to = mark[group[i]];
    if (to & kDone) {
      place[slot[to - kDone]] = row[i];
      continue;
    }
    mark[group[i]] = to + 1;
    row_out[to] = row[i];
    std::memcpy(rows_out + words * to, rows + words * i, 8 * words);
  }
}

Left regroup_var(const u32* group, size_t n, size_t groups, const u64* rows, size_t width, const u32* row,
                 const u32* slot, u32* place, u32* mark, u64* rows_out, u32* row_out, u32* slot_out, u32* sizes_out) {
  constexpr u32 kDone = 1U << 31;
  std::fill_n(mark, groups, 0U);
  for (size_t i = 0; i < n; ++i) ++mark[group[i]];
  u32 from = 0, to = 0;
  size_t buckets = 0;
  for (size_t g = 0; g < groups; ++g) {
    const u32 size = mark[g];
    mark[g] = size == 1 ? kDone + from : to;
    if (size > 1) {
      for (u32 k = 0; k < size; ++k) slot_out[to + k] = slot[from + k];
      sizes_out[buckets++] = size;
      to += size;
    }
    from += size;
  }
  if (width == 2) {
    scatter_rows<2>(group, n, rows, width, row, slot, place, mark, rows_out, row_out);
  } else if (width == 4) {
    scatter_rows<4>(group, n, rows, width, row, slot, place, mark, rows_out, row_out);
  } else {
    scatter_rows<0>(group, n, rows, width, row, slot, place, mark, rows_out, row_out);
  }
  return {to, buckets};
}

}  // namespace mpc_kernels
