// Products of float32 matrices that lie in the cache, on one thread: C (+)= A B.
#pragma once

#include "vectors.h"

// The left factor. Strides are in floats, so a transposed matrix is only another pair of strides.
struct Matrix {
  const float* data;
  long row_stride, column_stride;
};

// A tile of C is summed in registers. Its kTileRows x kTileVectors vectors take 24 of the 32
// registers of AVX-512, and 12 of the 16 of AVX; columns of B and elements of A take the others.
constexpr int kTileRows = 6;
#if defined(__AVX__) && !defined(__AVX512F__)
constexpr int kTileVectors = 2;
#else
constexpr int kTileVectors = 4;
#endif

// One tile: C [R, N vectors] (+)= A [R, depth] B [depth, N vectors].
template <int lanes, int R, int N, bool add>
inline void multiply_tile(float* c, long c_stride, const float* a, long a_row_stride,
                          long a_column_stride, const float* b, long b_stride, long depth) {
  using V = typename VectorOf<lanes>::type;
  V sum[R][N] = {};
  do {  // not `while`: with `do`, GCC keeps the sums in registers through the whole loop
    V b_row[N];
    for (int n = 0; n < N; ++n) b_row[n] = at<lanes>(b + n * lanes);
    for (int r = 0; r < R; ++r)
      for (int n = 0; n < N; ++n) sum[r][n] += a[r * a_row_stride] * b_row[n];
    a += a_column_stride;
    b += b_stride;
  } while (--depth > 0);
  for (int r = 0; r < R; ++r)
    for (int n = 0; n < N; ++n) {
      V& to = at<lanes>(c + r * c_stride + n * lanes);
      if constexpr (add) to += sum[r][n];
      else to = sum[r][n];
    }
}

// All rows of N vectors of columns. Tiles of R rows come first, then lower tiles for the remainder.
template <int lanes, int R, int N>
inline void multiply_tile_column(float* c, long c_stride, const float* a, long a_row_stride,
                                 long a_column_stride, const float* b, long b_stride, long rows,
                                 long depth, bool add) {
  for (; rows >= R; rows -= R, c += R * c_stride, a += R * a_row_stride)
    if (add)
      multiply_tile<lanes, R, N, true>(c, c_stride, a, a_row_stride, a_column_stride, b, b_stride,
                                       depth);
    else
      multiply_tile<lanes, R, N, false>(c, c_stride, a, a_row_stride, a_column_stride, b, b_stride,
                                        depth);
  if constexpr (R > 1)
    if (rows)
      multiply_tile_column<lanes, R * 2 / 3, N>(c, c_stride, a, a_row_stride, a_column_stride, b,
                                                b_stride, rows, depth, add);
}

// C [rows, columns] (+)= A [rows, depth] B [depth, columns]. `columns` is a multiple of 4.
inline void multiply(float* c, long c_stride, Matrix a, const float* b, long b_stride, long rows,
                     long columns, long depth, bool add = false) {
  long done = 0;
  const auto fill = [&](auto lanes, auto tile_rows, auto vectors) {
    for (; done + lanes * vectors <= columns; done += lanes * vectors)
      multiply_tile_column<lanes, tile_rows, vectors>(c + done, c_stride, a.data, a.row_stride,
                                                      a.column_stride, b + done, b_stride, rows,
                                                      depth, add);
  };
  using std::integral_constant;
  constexpr integral_constant<int, kLanes> all_lanes;
  constexpr integral_constant<int, 1> one;
  fill(all_lanes, integral_constant<int, kTileRows>{}, integral_constant<int, kTileVectors>{});
  fill(all_lanes, integral_constant<int, 2 * kTileRows>{},
       integral_constant<int, kTileVectors / 2>{});
  fill(all_lanes, integral_constant<int, 2 * kTileRows>{}, one);
  fill(integral_constant<int, 8>{}, integral_constant<int, kTileRows>{}, one);
  fill(integral_constant<int, 4>{}, integral_constant<int, kTileRows>{}, one);
}
