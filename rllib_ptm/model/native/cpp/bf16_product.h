// Products of float32 matrices whose factors are rounded to bf16: C (+)= A B, summed in float32.
#pragma once

#include <algorithm>

#include "bf16_tiles.h"

#ifdef HAS_BF16_TILES

class Bf16Product {
 public:
  static void begin_thread() { bf16::begin_thread(); }
  static void end_thread() { bf16::end_thread(); }

  // C [rows, columns] (+)= A [rows, depth] B [depth, columns], where pack_right packed B.
  void operator()(float* c, long c_stride, Matrix a, const Array& b, long rows, long columns,
                  long depth, bool add) {
    const long depth_tiles = bf16::tiles_for(depth, kPairs), pairs = (depth + 1) / 2;
    pack_left(a, rows, depth);
    for (long i = 0; i < rows; i += kRows)
      for (long j = 0; j < columns; j += kColumns) {
        const float* left = &left_[(i / kSide * depth_tiles * kSide + i % kSide) * kSide];
        const float* right = &b[j / kSide * depth_tiles * kTile];
        const long height = std::min(kRows, rows - i), width = std::min(kColumns, columns - j);
        float* to = c + i * c_stride + j;
        if (height == kRows && width == kColumns)
          bf16::multiply_block(to, c_stride, left, right, pairs, add);
        else
          multiply_partial_block(to, c_stride, left, right, pairs, add, height, width);
      }
  }

  // B [depth, columns] -> tiles, column of tiles by column of tiles. The number of these columns is
  // even, because a block of C is two tiles wide.
  static void pack_right(Array& to, const float* b, long b_stride, long columns, long depth) {
    const long depth_tiles = bf16::tiles_for(depth, kPairs);
    const long column_tiles = 2 * bf16::tiles_for(columns, kColumns);
    if (to.size() < column_tiles * depth_tiles * kTile)
      to.allocate(column_tiles * depth_tiles * kTile);
    for (long j = 0; j < column_tiles; ++j)
      for (long k = 0; k < depth_tiles; ++k) {
        Vector x[kSide];
        load_row_pairs(x, b + k * kPairs * b_stride + j * kSide, b_stride, depth - k * kPairs,
                       columns - j * kSide);
        store_tile(&to[(j * depth_tiles + k) * kTile], x);
      }
  }

 private:
  static constexpr long kSide = bf16::kSide, kPairs = 2 * kSide, kTile = bf16::kTile;
  static constexpr long kRows = bf16::kRows, kColumns = 2 * kSide;  // of a block of C

  static void store_tile(float* to, const Vector (&x)[kSide]) {
    for (long r = 0; r < kSide; ++r) at(to + r * kSide) = x[r];
  }

  // A block that reaches beyond the end of C: computes all of it, stores [height, width].
  static void multiply_partial_block(float* c, long c_stride, const float* left,
                                     const float* right, long pairs, bool add, long height,
                                     long width) {
    alignas(64) float block[kRows * kColumns];
    bf16::multiply_block(block, kColumns, left, right, pairs, false);
    for (long i = 0; i < height; ++i)
      for (long j = 0; j < width; j += kSide) {
        const __mmask16 in_c = first_lanes(width - j);
        const __m512 product = _mm512_load_ps(block + i * kColumns + j);
        const __m512 before = _mm512_maskz_loadu_ps(add ? in_c : 0, c + i * c_stride + j);
        _mm512_mask_storeu_ps(c + i * c_stride + j, in_c, before + product);
      }
  }

  // A mask of the first n of 16 lanes.
  static __mmask16 first_lanes(long n) { return n >= kSide ? 0xffff : n > 0 ? (1u << n) - 1 : 0; }

  // x[r] = the pairs that rows 2 r and 2 r + 1 form in each of 16 columns.
  static void load_row_pairs(Vector (&x)[kSide], const float* from, long stride, long rows,
                             long columns) {
    IntVector interleaved;
    for (int i = 0; i < kSide; ++i) interleaved[i] = i | (i + kSide) << 16;
    const __mmask16 in_range = first_lanes(columns);
    for (long r = 0; r < kSide; ++r, from += 2 * stride) {
      const __m512 even = _mm512_maskz_loadu_ps(2 * r < rows ? in_range : 0, from);
      const __m512 odd = _mm512_maskz_loadu_ps(2 * r + 1 < rows ? in_range : 0, from + stride);
      const __m512bh side_by_side = _mm512_cvtne2ps_pbh(odd, even);
      x[r] = (Vector)_mm512_permutexvar_epi16((__m512i)interleaved, (__m512i)side_by_side);
    }
  }

  // x[r] = the 16 pairs of neighbours among the 32 columns of row r.
  static void load_column_pairs(Vector (&x)[kSide], const float* from, long stride, long rows,
                                long columns) {
    const __mmask16 first = first_lanes(columns), second = first_lanes(columns - kSide);
    for (long r = 0; r < kSide; ++r) {
      const __m512 low = _mm512_maskz_loadu_ps(r < rows ? first : 0, from + r * stride);
      const __m512 high = _mm512_maskz_loadu_ps(r < rows ? second : 0, from + r * stride + kSide);
      x[r] = (Vector)_mm512_cvtne2ps_pbh(high, low);
    }
  }

  // A [rows, depth] -> tiles, row of tiles by row of tiles. A may lie row by row or column by
  // column.
  void pack_left(Matrix a, long rows, long depth) {
    const long depth_tiles = bf16::tiles_for(depth, kPairs);
    const long row_tiles = 2 * bf16::tiles_for(rows, 2 * kSide);
    if (left_.size() < row_tiles * depth_tiles * kTile)
      left_.allocate(row_tiles * depth_tiles * kTile);
    const auto pack = [&](auto load) {
      for (long i = 0; i < row_tiles; ++i)
        for (long k = 0; k < depth_tiles; ++k) {
          Vector x[kSide];
          load(x, a.data + i * kSide * a.row_stride + k * kPairs * a.column_stride,
               rows - i * kSide, depth - k * kPairs);
          store_tile(&left_[(i * depth_tiles + k) * kTile], x);
        }
    };
    if (a.column_stride == 1)
      pack([&](Vector (&x)[kSide], const float* from, long height, long width) {
        load_column_pairs(x, from, a.row_stride, height, width);
      });
    else
      pack([&](Vector (&x)[kSide], const float* from, long height, long width) {
        load_row_pairs(x, from, a.column_stride, width, height);
        transpose_square(x);
      });
  }

  Array left_;
};

#else

// Never called: has_bf16 is false.
class Bf16Product {
 public:
  static void begin_thread() {}
  static void end_thread() {}
  void operator()(float*, long, Matrix, const Array&, long, long, long, bool) {}
  static void pack_right(Array&, const float*, long, long, long) {}
};

#endif
