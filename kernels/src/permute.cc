#include "mpc_kernels/permute.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

namespace mpc_kernels {

std::uint32_t largest_index(const std::uint32_t* index, std::size_t size) {
  std::uint32_t top[16] = {};
  std::size_t i = 0;
  for (; i + 16 <= size; i += 16) {
    for (std::size_t k = 0; k < 16; ++k) top[k] = index[i + k] > top[k] ? index[i + k] : top[k];
  }
  for (; i < size; ++i) top[0] = std::max(top[0], index[i]);
  return *std::max_element(top, top + 16);
}

void gather_rows_var(const std::uint64_t* rows, std::size_t width, const std::uint32_t* index, std::size_t m,
                     std::uint64_t* out) {
  if (width == 1) {
    for (std::size_t i = 0; i < m; ++i) out[i] = rows[index[i]];
  } else if (width == 2) {
    for (std::size_t i = 0; i < m; ++i) std::memcpy(out + 2 * i, rows + 2 * std::size_t{index[i]}, 16);
  } else {
    for (std::size_t i = 0; i < m; ++i) std::copy_n(rows + width * index[i], width, out + width * i);
  }
}

void scatter_rows_var(const std::uint64_t* rows, std::size_t width, const std::uint32_t* index, std::size_t m,
                      std::uint64_t* out) {
  if (width == 1) {
    for (std::size_t i = 0; i < m; ++i) out[index[i]] = rows[i];
  } else {
    for (std::size_t i = 0; i < m; ++i) std::copy_n(rows + width * i, width, out + width * index[i]);
  }
}

void gather_index_var(const std::uint32_t* values, const std::uint32_t* index, std::size_t m, std::uint32_t* out) {
  for (std::size_t i = 0; i < m; ++i) out[i] = values[index[i]];
}

void invert_index_var(const std::uint32_t* index, std::size_t m, std::uint32_t* out) {
  for (std::size_t i = 0; i < m; ++i) out[index[i]] = static_cast<std::uint32_t>(i);
}

bool random_permutation_var(const std::uint64_t* words, std::size_t count, std::size_t n, std::uint32_t* out) {
  std::iota(out, out + n, std::uint32_t{0});
  std::size_t used = 0;
  for (std::size_t i = n; i > 1; --i) {
    const std::uint64_t range = i, threshold = (0 - range) % range;
    unsigned __int128 product;
    do {
      if (used == count) return false;
      product = static_cast<unsigned __int128>(words[used++]) * range;
    } while (static_cast<std::uint64_t>(product) < threshold);
    std::swap(out[i - 1], out[static_cast<std::size_t>(product >> 64)]);
  }
  return true;
}

void group_order_var(const std::uint32_t* group, std::size_t n, std::size_t groups, std::uint32_t* order,
                     std::uint32_t* start) {
  std::fill_n(start, groups + 1, 0U);
  for (std::size_t i = 0; i < n; ++i) ++start[group[i] + 1];
  for (std::size_t g = 0; g < groups; ++g) start[g + 1] += start[g];
  for (std::size_t i = 0; i < n; ++i) order[start[group[i]]++] = static_cast<std::uint32_t>(i);
  for (std::size_t g = groups; g > 0; --g) start[g] = start[g - 1];
  start[0] = 0;
}

}  // namespace mpc_kernels
