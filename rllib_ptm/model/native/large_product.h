// Products with a weight, or for the gradient of one: in float32 or in bf16, as it is asked.
#pragma once

#include "bf16_product.h"

// How many of `all` a block takes: at most `most`, and so that all threads get as many blocks.
inline long share_of(long all, long threads, long most) {
  const long each = std::max(1L, (all + threads - 1) / threads);
  const long blocks = (each + std::max(1L, most) - 1) / std::max(1L, most);
  return (each + blocks - 1) / blocks;
}

// The right factor [depth, columns] of many products, laid out for them once.
class Factor {
 public:
  Factor(Matrix from, long depth, long columns, bool narrow) : rows_(depth * columns) {
    if (from.column == 1)
      for (long r = 0; r < depth; ++r)
        std::memcpy(&rows_[r * columns], from.data + r * from.row, 4 * columns);
    else if (from.row == 1 && depth % kLanes == 0 && columns % kLanes == 0)
      transpose(rows_.data(), columns, from.data, from.column, columns, depth);
    else
      for (long r = 0; r < depth; ++r)
        for (long c = 0; c < columns; ++c)
          rows_[r * columns + c] = from.data[r * from.row + c * from.column];
    if (narrow) Bf16Product::pack_right(tiles_, rows_.data(), columns, columns, depth);
  }
  const Array& rows() const { return rows_; }
  const Array& tiles() const { return tiles_; }

 private:
  Array rows_, tiles_;
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

  // As `product`; B is a factor of many.
  void operator()(float* c, long row, Matrix a, const Factor& b, long rows, long columns,
                  long depth, bool add = false) {
    if (narrow_)
      in_bf16_(c, row, a, b.tiles(), rows, columns, depth, add);
    else
      product(c, row, a, b.rows().data(), columns, rows, columns, depth, add);
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
