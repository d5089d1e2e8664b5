// Products of float32 matrices that lie in the cache, on one thread.
#pragma once

#include "vectors.h"

// Its rows, and its columns, may lie any distance apart.
struct Matrix {
  const float* data;
  long row, column;
};

// A tile of C is held in registers: of 32 (16 before AVX-512), 24 (12) are for it.
constexpr int kTileRows = 6;
#if defined(__AVX__) && !defined(__AVX512F__)
constexpr int kTileVectors = 2;
#else
constexpr int kTileVectors = 4;
#endif

template <int lanes, int R, int N, bool add>
inline void tile(float* c, long row, const float* a, long a_row, long a_column, const float* b,
                 long b_row, long depth) {
  using V = typename VectorOf<lanes>::type;
  V sum[R][N] = {};
  do {  // not `while`: GCC then keeps the sums in registers from the first to the last
    V of_b[N];
    for (int n = 0; n < N; ++n) of_b[n] = at<lanes>(b + n * lanes);
    for (int r = 0; r < R; ++r)
      for (int n = 0; n < N; ++n) sum[r][n] += a[r * a_row] * of_b[n];
    a += a_column;
    b += b_row;
  } while (--depth > 0);
  for (int r = 0; r < R; ++r)
    for (int n = 0; n < N; ++n) {
      V& to = at<lanes>(c + r * row + n * lanes);
      if constexpr (add) to += sum[r][n];
      else to = sum[r][n];
    }
}

// All rows of N vectors of columns; what is left of the rows, in lower tiles.
template <int lanes, int R, int N>
inline void column_of_tiles(float* c, long row, const float* a, long a_row, long a_column,
                            const float* b, long b_row, long rows, long depth, bool add) {
  for (; rows >= R; rows -= R, c += R * row, a += R * a_row)
    if (add)
      tile<lanes, R, N, true>(c, row, a, a_row, a_column, b, b_row, depth);
    else
      tile<lanes, R, N, false>(c, row, a, a_row, a_column, b, b_row, depth);
  if constexpr (R > 1)
    if (rows)
      column_of_tiles<lanes, R * 2 / 3, N>(c, row, a, a_row, a_column, b, b_row, rows, depth, add);
}

// C [rows, columns] (+)= A [rows, depth] B [depth, columns]. The columns are a multiple of 4; the
// distance from a row to the next is `row` in C and `b_row` in B.
inline void product(float* c, long row, Matrix a, const float* b, long b_row, long rows,
                    long columns, long depth, bool add = false) {
  long done = 0;
  const auto fill = [&](auto lanes, auto tile_rows, auto vectors) {
    for (; done + lanes * vectors <= columns; done += lanes * vectors)
      column_of_tiles<lanes, tile_rows, vectors>(c + done, row, a.data, a.row, a.column, b + done,
                                                 b_row, rows, depth, add);
  };
  using std::integral_constant;
  constexpr integral_constant<int, kLanes> whole;
  constexpr integral_constant<int, 1> one;
  fill(whole, integral_constant<int, kTileRows>{}, integral_constant<int, kTileVectors>{});
  fill(whole, integral_constant<int, 2 * kTileRows>{}, integral_constant<int, kTileVectors / 2>{});
  fill(whole, integral_constant<int, 2 * kTileRows>{}, one);
  fill(integral_constant<int, 8>{}, integral_constant<int, kTileRows>{}, one);
  fill(integral_constant<int, 4>{}, integral_constant<int, kTileRows>{}, one);
}
