// Blocking, packing and threads around the tiles.
//
// A block of b is packed so that its columns become contiguous; then every output element is a dot product of a
// contiguous row of a with a contiguous packed column, whatever the shape. A replicated local product is the same
// thing over vectors of twice the length: with a row of a as it lies in memory, (a0, a1, a0', a1', ...), and the
// column packed as (b0+b1, b0, b0'+b1', b0', ...), the dot product is a0·(b0+b1) + a1·b0.
#include "mpc_kernels/matmul.h"

#include <algorithm>

#include "parallel.h"
#include "scratch.h"
#include "tile.h"

namespace mpc_kernels {
namespace {

using u64 = std::uint64_t;
using std::size_t;

constexpr size_t kDepth = 512;         // packed column length: a tile's rows and columns fit in 32 KiB of L1
constexpr size_t kColumns = 64;        // columns packed at once: 256 KiB, part of L2
constexpr size_t kPad = 8;             // a cache line between packed columns
constexpr size_t kMinWork = 1U << 16;  // products that are worth a thread
constexpr size_t kMaxPartial = 1U << 17;  // output elements a thread may hold privately (1 MiB)

struct Plain {
  static constexpr size_t width = 1;
  static void put(const u64* b, u64* packed) noexcept { packed[0] = b[0]; }
};

struct Replicated {
  static constexpr size_t width = 2;
  static void put(const u64* b, u64* packed) noexcept {
    packed[0] = b[0] + b[1];
    packed[1] = b[0];
  }
};

const TileSet& tiles(Isa isa) noexcept {
  switch (isa) {
    case Isa::avx512dq:
      return tiles_avx512dq();
    case Isa::avx512:
      return tiles_avx512();
    case Isa::avx2:
      return tiles_avx2();
    case Isa::portable:
      break;
  }
  return tiles_portable();
}

struct Range {
  size_t begin;
  size_t end;
};

// Part i of `parts` near equal parts of [0, size), each but the last a multiple of `step`.
Range part_of(size_t size, size_t step, size_t i, size_t parts) noexcept {
  const size_t steps = (size + step - 1) / step;
  return {std::min(size, steps * i / parts * step), std::min(size, steps * (i + 1) / parts * step)};
}

template <class Form>
struct Product {
  const u64* a;
  const u64* b;
  size_t m, k, n;
  const TileSet& set;

  static constexpr size_t depth = kDepth / Form::width;  // rows of b packed at once

  // From one packed column to the next. Not a power of two, or all columns would share a few sets of the cache.
  size_t pitch() const noexcept { return std::min(k, depth) * Form::width + kPad; }
  size_t packed_size() const noexcept { return std::min(n, kColumns) * pitch(); }

  // packed[(j - cols.begin) * pitch + ...] = column j of b, rows `rows`. Eight rows at a time, so that what is read
  // and what is written are both whole cache lines.
  void pack(Range rows, Range cols, u64* packed) const noexcept {
    size_t p = rows.begin;
    for (; p + 8 <= rows.end; p += 8) pack_rows<8>(p, cols, packed + (p - rows.begin) * Form::width);
    for (; p < rows.end; ++p) pack_rows<1>(p, cols, packed + (p - rows.begin) * Form::width);
  }

  template <size_t Rows>
  void pack_rows(size_t p, Range cols, u64* packed) const noexcept {
    // Copies of the members: for all the compiler knows, a write to `packed` might change them.
    const size_t row = n * Form::width, column = pitch(), count = cols.end - cols.begin;
    const u64* from = b + p * row + cols.begin * Form::width;
    for (size_t j = 0; j < count; ++j) {
      for (size_t q = 0; q < Rows; ++q) {
        Form::put(from + q * row + j * Form::width, packed + j * column + q * Form::width);
      }
    }
  }

  // out[rows, cols] += a[rows, deep] · packed
  void multiply(Range rows, Range deep, Range cols, const u64* packed, u64* out) const noexcept {
    const size_t lda = k * Form::width;
    const size_t ld = pitch();
    const size_t length = (deep.end - deep.begin) * Form::width;
    for (size_t i = rows.begin; i < rows.end; i += set.rows) {
      const auto& row_tiles = set.fn[std::min(set.rows, rows.end - i) - 1];
      const u64* a_rows = a + i * lda + deep.begin * Form::width;
      for (size_t j = cols.begin; j < cols.end; j += set.cols) {
        const TileFn tile = row_tiles[std::min(set.cols, cols.end - j) - 1];
        tile(a_rows, lda, packed + (j - cols.begin) * ld, ld, length, out + i * n + j, n);
      }
    }
  }

  // out[rows, :] += a[rows, deep] · b[deep, :]
  void run(Range rows, Range deep, u64* packed, u64* out) const noexcept {
    for (size_t p = deep.begin; p < deep.end; p += depth) {
      const Range block{p, std::min(p + depth, deep.end)};
      for (size_t j = 0; j < n; j += kColumns) {
        const Range cols{j, std::min(j + kColumns, n)};
        const u64* columns = packed;
        if (Form::width == 1 && n == 1) {
          columns = b + p;  // a single column is contiguous already
        } else {
          pack(block, cols, packed);
        }
        multiply(rows, block, cols, columns, out);
      }
    }
  }

  // Each part takes some of the depth and adds into an output of its own: b is packed once in all.
  void split_depth(u64* out, size_t parts) const {
    const size_t each = packed_size();
    Scratch scratch(parts * each + (parts - 1) * m * n);
    u64* partial = scratch.data() + parts * each;
    std::fill_n(partial, (parts - 1) * m * n, u64{0});
    parallel(parts, [&](size_t i) noexcept {
      u64* mine = i == 0 ? out : partial + (i - 1) * m * n;
      run({0, m}, part_of(k, depth, i, parts), scratch.data() + i * each, mine);
    });
    for (size_t i = 0; i + 1 < parts; ++i) {
      for (size_t e = 0; e < m * n; ++e) out[e] += partial[i * m * n + e];
    }
  }

  // Each part takes some of the rows; b is packed once for each.
  void split_rows(u64* out, size_t parts) const {
    const size_t each = packed_size();
    Scratch scratch(parts * each);
    parallel(parts, [&](size_t i) noexcept {
      run(part_of(m, set.rows, i, parts), {0, k}, scratch.data() + i * each, out);
    });
  }

  void operator()(u64* out, size_t threads) const {
    std::fill_n(out, m * n, u64{0});
    if (m == 0 || k == 0 || n == 0) return;
    // In floating point, because m * k * n may leave 64 bits.
    const double work = static_cast<double>(m) * static_cast<double>(k) * static_cast<double>(n) / kMinWork;
    const size_t useful = work < static_cast<double>(threads) ? static_cast<size_t>(work) + 1 : threads;
    const size_t deep = (k + depth - 1) / depth;
    const size_t tall = (m + set.rows - 1) / set.rows;
    if (deep >= 2 * useful && m * n <= kMaxPartial) {
      split_depth(out, useful);
    } else {
      split_rows(out, std::min(useful, tall));
    }
  }
};

}  // namespace

void matmul64(const u64* a, const u64* b, u64* out, size_t m, size_t k, size_t n, size_t threads, Isa isa) {
  Product<Plain>{a, b, m, k, n, tiles(isa)}(out, threads);
}

void replicated_matmul_local(const u64* a, const u64* b, u64* out, size_t m, size_t k, size_t n, size_t threads,
                             Isa isa) {
  Product<Replicated>{a, b, m, k, n, tiles(isa)}(out, threads);
}

}  // namespace mpc_kernels
