// Bindings of bits.h and permute.h. They check what memory safety needs: sizes agree, indices are in range.
// mpc_kernels/bits.py and mpc_kernels/permute.py explain mistakes to people. Outputs are the caller's arrays.
#include "mpc_kernels/bits.h"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>

#include <cstdint>
#include <optional>

#include "bind.h"
#include "checks.h"
#include "mpc_kernels/permute.h"

namespace nb = nanobind;
using namespace nb::literals;
using mpc_kernels::Isa;

namespace {

std::size_t words_of(std::size_t rows) { return (rows + 63) / 64; }

void bind_planes(nb::module_& m, Isa isa) {
  m.def("rows_to_planes", [isa](const Rows& rows, const Index& order, const RowsOut& out) {
    in_range(order, 64 * rows.shape(1));
    require(out.shape(0) == order.size() && out.shape(1) == words_of(rows.shape(0)), "out has another shape");
    nb::gil_scoped_release release;
    mpc_kernels::rows_to_planes(rows.data(), rows.shape(0), rows.shape(1), order.data(), order.size(), out.data(), isa);
  }, "rows"_a.noconvert(), "order"_a.noconvert(), "out"_a.noconvert(), "Bits of packed rows as planes.");
  m.def("planes_to_rows", [isa](const Rows& planes, const RowsOut& out) {
    const std::size_t bits = planes.shape(0), n = out.shape(0);
    require(planes.shape(1) == words_of(n) && out.shape(1) == words_of(bits), "out has another shape");
    nb::gil_scoped_release release;
    mpc_kernels::planes_to_rows(planes.data(), n, bits, out.data(), isa);
  }, "planes"_a.noconvert(), "out"_a.noconvert(), "Planes as packed rows.");
  m.def("pick_planes_var", [isa](const Rows& rows, const Index& index, const Index& order,
                                 const std::optional<Rows>& other, std::uint64_t flip, const RowsOut& out) {
    in_range(index, rows.shape(0));
    in_range(order, 64 * rows.shape(1));
    require(out.shape(0) == order.size() && out.shape(1) == words_of(index.size()), "out has another shape");
    require(!other || (other->shape(0) == out.shape(0) && other->shape(1) == out.shape(1)), "other has another shape");
    const std::uint64_t* with = other ? other->data() : nullptr;
    nb::gil_scoped_release release;
    mpc_kernels::pick_planes_var(rows.data(), rows.shape(1), index.data(), index.size(), order.data(), order.size(),
                                 with, flip, out.data(), isa);
  }, "rows"_a.noconvert(), "index"_a.noconvert(), "order"_a.noconvert(), "other"_a.noconvert().none(), "flip"_a,
     "out"_a.noconvert(), "Planes of rows picked by public indices.");
  m.def("pick_pairs_var", [isa](const Rows& rows, const Index& index, const Index& order,
                                const std::optional<Rows>& other0, const std::optional<Rows>& other1,
                                std::uint64_t flip0, std::uint64_t flip1, const RowsOut& out0, const RowsOut& out1) {
    const std::size_t width = rows.shape(1) / 2, planes = order.size(), words = words_of(index.size());
    require(rows.shape(1) % 2 == 0, "rows hold two components of one width");
    in_range(index, rows.shape(0));
    in_range(order, 64 * width);
    for (const RowsOut* out : {&out0, &out1}) {
      require(out->shape(0) == planes && out->shape(1) == words, "out has another shape");
    }
    require(other0.has_value() == other1.has_value(), "one component only has other planes");
    for (const std::optional<Rows>* other : {&other0, &other1}) {
      require(!*other || ((*other)->shape(0) == planes && (*other)->shape(1) == words), "other has another shape");
    }
    const std::uint64_t *with0 = other0 ? other0->data() : nullptr, *with1 = other1 ? other1->data() : nullptr;
    nb::gil_scoped_release release;
    mpc_kernels::pick_pairs_var(rows.data(), width, index.data(), index.size(), order.data(), planes, with0, with1,
                                flip0, flip1, out0.data(), out1.data(), isa);
  }, "rows"_a.noconvert(), "index"_a.noconvert(), "order"_a.noconvert(), "other0"_a.noconvert().none(),
     "other1"_a.noconvert().none(), "flip0"_a, "flip1"_a, "out0"_a.noconvert(), "out1"_a.noconvert(),
     "Planes of both components of rows picked by public indices.");
}

void bind_gates(nb::module_& m, Isa isa) {
  m.def("and_local", [isa](const Words& x0, const Words& x1, const Words& y0, const Words& y1, const Words& mask,
                           const WordsOut& out) {
    same_size(out.size(), {x0.size(), x1.size(), y0.size(), y1.size(), mask.size()});
    nb::gil_scoped_release release;
    mpc_kernels::and_local(x0.data(), x1.data(), y0.data(), y1.data(), mask.data(), out.data(), out.size(), isa);
  }, "x0"_a.noconvert(), "x1"_a.noconvert(), "y0"_a.noconvert(), "y1"_a.noconvert(), "mask"_a.noconvert(),
     "out"_a.noconvert(), "One party's masked part of an AND.");
  m.def("majority_local", [isa](const Words& a0, const Words& a1, const Words& b0, const Words& b1, const Words& c0,
                                const Words& c1, const Words& mask, const WordsOut& out) {
    same_size(out.size(), {a0.size(), a1.size(), b0.size(), b1.size(), c0.size(), c1.size(), mask.size()});
    nb::gil_scoped_release release;
    mpc_kernels::majority_local(a0.data(), a1.data(), b0.data(), b1.data(), c0.data(), c1.data(), mask.data(),
                                out.data(), out.size(), isa);
  }, "a0"_a.noconvert(), "a1"_a.noconvert(), "b0"_a.noconvert(), "b1"_a.noconvert(), "c0"_a.noconvert(),
     "c1"_a.noconvert(), "mask"_a.noconvert(), "out"_a.noconvert(), "One party's masked part of a carry.");
}

void bind_plane_gates(nb::module_& m, Isa isa) {
  m.def("plane_gates_local", [isa](const Rows& x0, const Rows& x1, const Array<const std::uint32_t, 2>& terms,
                                   const Index& starts, std::uint64_t flip0, std::uint64_t flip1, const Rows& mask,
                                   const RowsOut& out) {
    const std::size_t planes = x0.shape(0), words = x0.shape(1), gates = out.shape(0);
    require(x1.shape(0) == planes && x1.shape(1) == words && out.shape(1) == words, "planes have other shapes");
    require(mask.shape(0) == gates && mask.shape(1) == words, "mask has another shape");
    require(terms.shape(1) == 3 && starts.size() == gates + 1, "terms have another shape");
    const std::uint32_t *begin = starts.data(), *term = terms.data();
    for (std::size_t g = 0; g < gates; ++g) require(begin[g] <= begin[g + 1], "starts must not decrease");
    require(begin[gates] <= terms.shape(0), "an index is out of range");
    for (std::size_t t = 0; t < terms.shape(0); ++t) {
      const std::uint32_t b = term[3 * t + 1];
      require(term[3 * t] < planes && term[3 * t + 2] < planes &&
                  (b < planes || b == mpc_kernels::kNoPlane || b == mpc_kernels::kOnes),
              "an index is out of range");
    }
    nb::gil_scoped_release release;
    mpc_kernels::plane_gates_local(x0.data(), x1.data(), term, begin, gates, words, flip0, flip1, mask.data(),
                                   out.data(), isa);
  }, "x0"_a.noconvert(), "x1"_a.noconvert(), "terms"_a.noconvert(), "starts"_a.noconvert(), "flip0"_a, "flip1"_a,
     "mask"_a.noconvert(), "out"_a.noconvert(), "One party's masked parts of inner products of planes.");
}

void bind_permute(nb::module_& m) {
  m.def("gather_rows_var", [](const Rows& rows, const Index& index, const RowsOut& out) {
    in_range(index, rows.shape(0));
    require(out.shape(0) == index.size() && out.shape(1) == rows.shape(1), "out has another shape");
    nb::gil_scoped_release release;
    mpc_kernels::gather_rows_var(rows.data(), rows.shape(1), index.data(), index.size(), out.data());
  }, "rows"_a.noconvert(), "index"_a.noconvert(), "out"_a.noconvert(), "Rows picked by index.");
  m.def("scatter_rows_var", [](const Rows& rows, const Index& index, const RowsOut& out) {
    in_range(index, out.shape(0));
    require(rows.shape(0) == index.size() && out.shape(1) == rows.shape(1), "out has another shape");
    nb::gil_scoped_release release;
    mpc_kernels::scatter_rows_var(rows.data(), rows.shape(1), index.data(), index.size(), out.data());
  }, "rows"_a.noconvert(), "index"_a.noconvert(), "out"_a.noconvert(), "Rows put where the index says.");
  m.def("gather_index_var", [](const Index& values, const Index& index, const IndexOut& out) {
    in_range(index, values.size());
    same_size(out.size(), {index.size()});
    nb::gil_scoped_release release;
    mpc_kernels::gather_index_var(values.data(), index.data(), index.size(), out.data());
  }, "values"_a.noconvert(), "index"_a.noconvert(), "out"_a.noconvert(), "Composition of index arrays.");
  m.def("invert_index_var", [](const Index& index, const IndexOut& out) {
    in_range(index, out.size());
    same_size(out.size(), {index.size()});
    nb::gil_scoped_release release;
    mpc_kernels::invert_index_var(index.data(), index.size(), out.data());
  }, "index"_a.noconvert(), "out"_a.noconvert(), "Inverse of a permutation.");
  m.def("random_permutation_var", [](const Words& words, const IndexOut& out) {
    nb::gil_scoped_release release;
    return mpc_kernels::random_permutation_var(words.data(), words.size(), out.size(), out.data());
  }, "words"_a.noconvert(), "out"_a.noconvert(), "A uniform permutation; False when the words do not suffice.");
  m.def("group_order_var", [](const Index& group, const IndexOut& order, const IndexOut& start) {
    require(start.size() > 0, "start needs a place more than there are groups");
    in_range(group, start.size() - 1);
    same_size(order.size(), {group.size()});
    nb::gil_scoped_release release;
    mpc_kernels::group_order_var(group.data(), group.size(), start.size() - 1, order.data(), start.data());
  }, "group"_a.noconvert(), "order"_a.noconvert(), "start"_a.noconvert(), "Stable order of rows by group.");
}

}  // namespace

void bind_bits(nb::module_& m, Isa isa) {
  bind_planes(m, isa);
  bind_gates(m, isa);
  bind_plane_gates(m, isa);
  bind_permute(m);
}
