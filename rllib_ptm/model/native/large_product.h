// Products with a weight, or for the gradient of one: in float32 or in bf16, as it is asked.
#pragma once

#include "bf16_product.h"

// How many of `all` a block takes: at most `most`, and so that all parts get as many blocks.
inline long share_of(long all, long parts, long most) {
  const long each = std::max(1L, (all + parts - 1) / parts);
  const long blocks = (each + std::max(1L, most) - 1) / std::max(1L, most);
  return (each + blocks - 1) / blocks;
}

// The right factor [depth, columns] of many products, laid out for them once. In float32 it lies in
// panels, without a gap and no wider than a tile: what a column of tiles reads stays in the first
// cache.
class Factor {
 public:
  Factor(Matrix from, long depth, long columns, bool narrow) : depth_(depth), columns_(columns) {
    const long width = narrow ? columns : kPanel;
    Array rows(depth * columns);
    for (long first = 0; first < columns; first += width)
      lay_out(&rows[first * depth], {from.data + first * from.column, from.row, from.column},
              std::min(width, columns - first));
    if (narrow)
      Bf16Product::pack_right(tiles_, rows.data(), columns, columns, depth);
    else
      panels_ = std::move(rows);
  }

  // C [rows, columns] (+)= A and this, in float32.
  void times(float* c, long row, Matrix a, long rows, bool add) const {
    for (long first = 0; first < columns_; first += kPanel) {
      const long width = std::min(kPanel, columns_ - first);
      product(c + first, row, a, &panels_[first * depth_], width, rows, width, depth_, add);
    }
  }

  const Array& tiles() const { return tiles_; }
  long depth() const { return depth_; }
  long columns() const { return columns_; }

 private:
  static constexpr long kPanel = kTileVectors * kLanes;

  void lay_out(float* to, Matrix from, long width) const {
    if (from.column == 1)
      for (long r = 0; r < depth_; ++r)
        std::memcpy(to + r * width, from.data + r * from.row, 4 * width);
    else if (from.row == 1 && depth_ % kLanes == 0 && width % kLanes == 0)
      transpose(to, width, from.data, from.column, width, depth_);
    else
      for (long r = 0; r < depth_; ++r)
        for (long c = 0; c < width; ++c)
          to[r * width + c] = from.data[r * from.row + c * from.column];
  }

  long depth_, columns_;
  Array panels_, tiles_;
};

// Of one thread, which may have one only.
class LargeProduct {
 public:
  explicit LargeProduct(bool narrow) : narrow_(narrow) {
    if (narrow_) Bf16Product::begin();
  }
  ~LargeProduct() {
    if (narrow_) Bf16Product::end();
  }
  LargeProduct(const LargeProduct&) = delete;

  // C [rows, columns of B] (+)= A B, as `product`; B is a factor of many.
  void operator()(float* c, long row, Matrix a, const Factor& b, long rows, bool add = false) {
    if (narrow_)
      in_bf16_(c, row, a, b.tiles(), rows, b.columns(), b.depth(), add);
    else
      b.times(c, row, a, rows, add);
  }

  // C += A B, over all rows of a block: the gradient of a weight.
  void gradient(float* c, long row, Matrix a, const float* b, long b_row, long rows, long columns,
                long depth) {
    if (narrow_) {
      Bf16Product::pack_right(right_, b, b_row, columns, depth);
      in_bf16_(c, row, a, right_, rows, columns, depth, true);
    } else {
      product(c, row, a, b, b_row, rows, columns, depth, true);
    }
  }

 private:
  bool narrow_;
  Bf16Product in_bf16_;
  Array right_;
};
