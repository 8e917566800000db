// Arrays of the caller, and what memory safety needs of them.
#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <initializer_list>

#include "mpc_kernels/permute.h"

template <class T, std::size_t Dims>
using Array = nanobind::ndarray<T, nanobind::ndim<Dims>, nanobind::c_contig, nanobind::device::cpu>;
using Words = Array<const std::uint64_t, 1>;
using WordsOut = Array<std::uint64_t, 1>;
using Rows = Array<const std::uint64_t, 2>;
using RowsOut = Array<std::uint64_t, 2>;
using Index = Array<const std::uint32_t, 1>;
using IndexOut = Array<std::uint32_t, 1>;

inline void require(bool good, const char* message) {
  if (!good) throw nanobind::value_error(message);
}

inline void in_range(const Index& index, std::size_t limit) {
  require(index.size() == 0 || mpc_kernels::largest_index(index.data(), index.size()) < limit,
          "an index is out of range");
}

inline void same_size(std::size_t size, std::initializer_list<std::size_t> others) {
  for (const std::size_t other : others) require(other == size, "array sizes differ");
}
