// Bindings of rank.h. They check what memory safety needs; outputs are the caller's arrays.
#include "mpc_kernels/rank.h"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>

#include <cstdint>
#include <utility>

#include "bind.h"
#include "checks.h"
#include "mpc_kernels/permute.h"

namespace nb = nanobind;
using namespace nb::literals;
using mpc_kernels::Isa;

namespace {

using Table = Array<const std::uint32_t, 2>;

// Buckets as a table of six rows: starts, sizes, samples, levels, base, tree.
struct Buckets {
  Buckets(const Table& table, std::size_t n, std::size_t pivots) : count(table.shape(1)) {
    require(table.shape(0) == 6, "buckets have six properties");
    const std::uint32_t* at = table.data();
    for (const std::uint32_t** to : {&starts, &sizes, &samples, &levels, &base, &tree}) {
      *to = at;
      at += count;
    }
    require(mpc_kernels::good_buckets(starts, sizes, samples, levels, tree, count, n, pivots), "buckets do not fit");
  }
  std::size_t pairs() const {
    std::size_t total = 0;
    for (std::size_t b = 0; b < count; ++b) total += std::size_t{samples[b]} * (samples[b] - (samples[b] > 0)) / 2;
    return total;
  }
  std::size_t rest(const Index& picked) const {
    in_range(picked, count);
    std::size_t total = 0;
    for (std::size_t k = 0; k < picked.size(); ++k) total += sizes[picked.data()[k]] - samples[picked.data()[k]];
    return total;
  }
  std::size_t count;
  const std::uint32_t *starts, *sizes, *samples, *levels, *base, *tree;
};

constexpr std::size_t kAny = std::size_t{1} << 32;

}  // namespace

void bind_rank(nb::module_& m, Isa isa) {
  m.def("sample_pairs_var", [](const Table& buckets, const IndexOut& left, const IndexOut& right) {
    const Buckets b(buckets, kAny, kAny);
    same_size(b.pairs(), {left.size(), right.size()});
    nb::gil_scoped_release release;
    mpc_kernels::sample_pairs_var(b.starts, b.samples, b.count, left.data(), right.data());
  }, "buckets"_a.noconvert(), "left"_a.noconvert(), "right"_a.noconvert(), "Comparisons that rank all samples.");
  m.def("place_samples_var", [](const Words& less, const Table& buckets, const IndexOut& group,
                                const IndexOut& table) {
    const Buckets b(buckets, group.size(), table.size());
    same_size((b.pairs() + 63) / 64, {less.size()});
    nb::gil_scoped_release release;
    mpc_kernels::place_samples_var(less.data(), b.starts, b.samples, b.levels, b.base, b.tree, b.count, group.data(),
                                   table.data());
  }, "less"_a.noconvert(), "buckets"_a.noconvert(), "group"_a.noconvert(), "table"_a.noconvert(),
     "Groups of the samples' rows, and the pivots.");
  m.def("rest_rows_var", [](const Table& buckets, const Index& picked, const IndexOut& row, const IndexOut& found) {
    const Buckets b(buckets, kAny, kAny);
    same_size(b.rest(picked), {row.size(), found.size()});
    nb::gil_scoped_release release;
    mpc_kernels::rest_rows_var(b.starts, b.sizes, b.samples, b.tree, picked.data(), picked.size(), row.data(),
                               found.data());
  }, "buckets"_a.noconvert(), "picked"_a.noconvert(), "row"_a.noconvert(), "found"_a.noconvert(),
     "Rows outside the samples, and where their search starts.");
  m.def("step_down_var", [isa](const Words& less, std::uint32_t step, const IndexOut& found) {
    same_size((found.size() + 63) / 64, {less.size()});
    nb::gil_scoped_release release;
    mpc_kernels::step_down_var(less.data(), found.size(), step, found.data(), isa);
  }, "less"_a.noconvert(), "step"_a, "found"_a.noconvert(), "One step of a binary search.");
  m.def("look_up_var", [](const Index& table, const Index& found, std::uint32_t plus, const IndexOut& left) {
    same_size(left.size(), {found.size()});
    require(plus < table.size() || found.size() == 0, "an index is out of range");
    in_range(found, table.size() - plus);
    nb::gil_scoped_release release;
    mpc_kernels::look_up_var(table.data(), found.data(), found.size(), plus, left.data());
  }, "table"_a.noconvert(), "found"_a.noconvert(), "plus"_a, "left"_a.noconvert(), "What to compare with next.");
  m.def("place_rest_var", [](const Index& found, const Table& buckets, const Index& picked, const IndexOut& group) {
    const Buckets b(buckets, group.size(), kAny);
    same_size(b.rest(picked), {found.size()});
    nb::gil_scoped_release release;
    mpc_kernels::place_rest_var(found.data(), b.starts, b.sizes, b.samples, b.base, b.tree, picked.data(),
                                picked.size(), group.data());
  }, "found"_a.noconvert(), "buckets"_a.noconvert(), "picked"_a.noconvert(), "group"_a.noconvert(),
     "Groups of the rows outside the samples.");
  m.def("regroup_var", [](const Index& group, const Rows& rows, const Index& row, const Index& slot,
                          const IndexOut& place, const IndexOut& mark, const RowsOut& rows_out,
                          const IndexOut& row_out, const IndexOut& slot_out, const IndexOut& sizes_out) {
    const std::size_t n = group.size();
    in_range(group, mark.size());
    in_range(slot, place.size());
    same_size(n, {rows.shape(0), row.size(), slot.size(), rows_out.shape(0), row_out.size(), slot_out.size()});
    require(rows_out.shape(1) == rows.shape(1) && sizes_out.size() >= n / 2 && n < std::size_t{1} << 31,
            "an output has another shape");
    nb::gil_scoped_release release;
    const mpc_kernels::Left left =
        mpc_kernels::regroup_var(group.data(), n, mark.size(), rows.data(), rows.shape(1), row.data(), slot.data(),
                                 place.data(), mark.data(), rows_out.data(), row_out.data(), slot_out.data(),
                                 sizes_out.data());
    return std::pair(left.rows, left.buckets);
  }, "group"_a.noconvert(), "rows"_a.noconvert(), "row"_a.noconvert(), "slot"_a.noconvert(), "place"_a.noconvert(),
     "mark"_a.noconvert(), "rows_out"_a.noconvert(), "row_out"_a.noconvert(), "slot_out"_a.noconvert(),
     "sizes_out"_a.noconvert(), "Rows of each group side by side; those of groups of one row are placed.");
}
