// Products of float32 matrices whose factors are rounded to bf16.
#pragma once

#include <algorithm>

#include "bf16_square.h"

#ifdef BF16_SQUARES

class Bf16Product {
 public:
  static void begin() { bf16::begin(); }
  static void end() { bf16::end(); }

  // C (+)= A B, where B was packed.
  void operator()(float* c, long row, Matrix a, const Array& b, long rows, long columns,
                  long depth, bool add) {
    const long across = bf16::tiles_of(depth, kPairs), pairs = (depth + 1) / 2;
    pack_left(a, rows, depth);
    for (long i = 0; i < rows; i += kRows)
      for (long j = 0; j < columns; j += kColumns) {
        const float* left = &left_[(i / kSide * across * kSide + i % kSide) * kSide];
        const float* right = &b[j / kSide * across * kTile];
        const long height = std::min(kRows, rows - i), width = std::min(kColumns, columns - j);
        float* to = c + i * row + j;
        if (height == kRows && width == kColumns)
          bf16::block(to, row, left, right, pairs, add);
        else
          corner(to, row, left, right, pairs, add, height, width);
      }
  }

  static void pack_right(Array& to, const float* b, long row, long columns, long depth) {
    const long across = bf16::tiles_of(depth, kPairs), down = 2 * bf16::tiles_of(columns, kColumns);
    if (to.size() < down * across * kTile) to.allocate(down * across * kTile);
    for (long j = 0; j < down; ++j)
      for (long k = 0; k < across; ++k) {
        Vector x[kSide];
        pairs_of_rows(x, b + k * kPairs * row + j * kSide, row, depth - k * kPairs,
                      columns - j * kSide);
        store(&to[(j * across + k) * kTile], x);
      }
  }

 private:
  static constexpr long kSide = bf16::kSide, kPairs = 2 * kSide, kTile = bf16::kTile;
  static constexpr long kRows = bf16::kRows, kColumns = 2 * kSide;  // of a block of C

  static void store(float* to, const Vector (&x)[kSide]) {
    for (long r = 0; r < kSide; ++r) at(to + r * kSide) = x[r];
  }

  // The same where C ends.
  static void corner(float* c, long row, const float* left, const float* right, long pairs,
                     bool add, long height, long width) {
    alignas(64) float whole[kRows * kColumns];
    bf16::block(whole, kColumns, left, right, pairs, false);
    for (long i = 0; i < height; ++i)
      for (long j = 0; j < width; j += kSide) {
        const __mmask16 there = mask(width - j);
        const __m512 found = _mm512_load_ps(whole + i * kColumns + j);
        const __m512 before = _mm512_maskz_loadu_ps(add ? there : 0, c + i * row + j);
        _mm512_mask_storeu_ps(c + i * row + j, there, before + found);
      }
  }

  // Of the first n of 16.
  static __mmask16 mask(long n) { return n >= kSide ? 0xffff : n > 0 ? (1u << n) - 1 : 0; }

  // Row r: the pairs of the rows 2 r and 2 r + 1, of 16 columns.
  static void pairs_of_rows(Vector (&x)[kSide], const float* from, long row, long rows,
                            long columns) {
    Integers in_turn;
    for (int i = 0; i < kSide; ++i) in_turn[i] = i | (i + kSide) << 16;
    const __mmask16 there = mask(columns);
    for (long r = 0; r < kSide; ++r, from += 2 * row) {
      const __m512 even = _mm512_maskz_loadu_ps(2 * r < rows ? there : 0, from);
      const __m512 odd = _mm512_maskz_loadu_ps(2 * r + 1 < rows ? there : 0, from + row);
      const __m512bh side_by_side = _mm512_cvtne2ps_pbh(odd, even);
      x[r] = (Vector)_mm512_permutexvar_epi16((__m512i)in_turn, (__m512i)side_by_side);
    }
  }

  // Row r: the 32 columns of the row r, pair by pair.
  static void pairs_of_columns(Vector (&x)[kSide], const float* from, long row, long rows,
                               long columns) {
    const __mmask16 first = mask(columns), second = mask(columns - kSide);
    for (long r = 0; r < kSide; ++r) {
      const __m512 low = _mm512_maskz_loadu_ps(r < rows ? first : 0, from + r * row);
      const __m512 high = _mm512_maskz_loadu_ps(r < rows ? second : 0, from + r * row + kSide);
      x[r] = (Vector)_mm512_cvtne2ps_pbh(high, low);
    }
  }

  // A may lie row by row, or column by column.
  void pack_left(Matrix a, long rows, long depth) {
    const long across = bf16::tiles_of(depth, kPairs), down = 2 * bf16::tiles_of(rows, 2 * kSide);
    if (left_.size() < down * across * kTile) left_.allocate(down * across * kTile);
    const auto pack = [&](auto read) {
      for (long i = 0; i < down; ++i)
        for (long k = 0; k < across; ++k) {
          Vector x[kSide];
          read(x, a.data + i * kSide * a.row + k * kPairs * a.column, rows - i * kSide,
               depth - k * kPairs);
          store(&left_[(i * across + k) * kTile], x);
        }
    };
    if (a.column == 1)
      pack([&](Vector (&x)[kSide], const float* from, long height, long width) {
        pairs_of_columns(x, from, a.row, height, width);
      });
    else
      pack([&](Vector (&x)[kSide], const float* from, long height, long width) {
        pairs_of_rows(x, from, a.column, width, height);
        transpose_square(x);
      });
  }

  Array left_;
};

#else

class Bf16Product {
 public:
  static void begin() {}
  static void end() {}
  void operator()(float*, long, Matrix, const Array&, long, long, long, bool) {}
  static void pack_right(Array&, const float*, long, long, long) {}
};

#endif
