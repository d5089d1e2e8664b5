// Products with a weight matrix, and products that give a weight's gradient; in float32 or bf16.
#pragma once

#include "bf16_product.h"

// A right factor [depth, columns] that many products use; it is packed once. In float32 it lies in
// panels without gaps, no wider than a tile, so that what a column of tiles reads stays in the L1
// cache. In bf16 it lies in tiles: see bf16_product.h.
class PackedMatrix {
 public:
  PackedMatrix(Matrix from, long depth, long columns, bool use_bf16)
      : depth_(depth), columns_(columns) {
    const long width = use_bf16 ? columns : kPanel;
    Array panels(depth * columns);
    for (long first = 0; first < columns; first += width)
      copy_panel(&panels[first * depth],
                 {from.data + first * from.column_stride, from.row_stride, from.column_stride},
                 std::min(width, columns - first));
    if (use_bf16)
      Bf16Product::pack_right(tiles_, panels.data(), columns, columns, depth);
    else
      panels_ = std::move(panels);
  }

  // C [rows, columns] (+)= A times this matrix, in float32.
  void multiply_fp32(float* c, long c_stride, Matrix a, long rows, bool add) const {
    for (long first = 0; first < columns_; first += kPanel) {
      const long width = std::min(kPanel, columns_ - first);
      multiply(c + first, c_stride, a, &panels_[first * depth_], width, rows, width, depth_, add);
    }
  }

  const Array& tiles() const { return tiles_; }
  long depth() const { return depth_; }
  long columns() const { return columns_; }

 private:
  static constexpr long kPanel = kTileVectors * kLanes;

  void copy_panel(float* to, Matrix from, long width) const {
    if (from.column_stride == 1)
      for (long r = 0; r < depth_; ++r)
        std::memcpy(to + r * width, from.data + r * from.row_stride, 4 * width);
    else if (from.row_stride == 1 && depth_ % kLanes == 0 && width % kLanes == 0)
      transpose(to, width, from.data, from.column_stride, width, depth_);
    else
      for (long r = 0; r < depth_; ++r)
        for (long c = 0; c < width; ++c)
          to[r * width + c] = from.data[r * from.row_stride + c * from.column_stride];
  }

  long depth_, columns_;
  Array panels_, tiles_;
};

// The products of one thread. A thread holds at most one of these, because with AMX it configures
// the thread's tile registers.
class WeightProduct {
 public:
  explicit WeightProduct(bool use_bf16) : use_bf16_(use_bf16) {
    if (use_bf16_) Bf16Product::begin_thread();
  }
  ~WeightProduct() {
    if (use_bf16_) Bf16Product::end_thread();
  }
  WeightProduct(const WeightProduct&) = delete;

  // C [rows, columns of B] (+)= A B.
  void operator()(float* c, long c_stride, Matrix a, const PackedMatrix& b, long rows,
                  bool add = false) {
    if (use_bf16_)
      bf16_product_(c, c_stride, a, b.tiles(), rows, b.columns(), b.depth(), add);
    else
      b.multiply_fp32(c, c_stride, a, rows, add);
  }

  // C [rows, columns] += A [rows, depth] B [depth, columns], where `depth` counts the rows of a
  // block: the gradient of a weight.
  void add_gradient(float* c, long c_stride, Matrix a, const float* b, long b_stride, long rows,
                    long columns, long depth) {
    if (depth <= 0) return;
    if (use_bf16_) {
      Bf16Product::pack_right(packed_b_, b, b_stride, columns, depth);
      bf16_product_(c, c_stride, a, packed_b_, rows, columns, depth, true);
    } else {
      multiply(c, c_stride, a, b, b_stride, rows, columns, depth, true);
    }
  }

 private:
  bool use_bf16_;
  Bf16Product bf16_product_;
  Array packed_b_;
};
