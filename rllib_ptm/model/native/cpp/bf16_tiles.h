// Products of bf16 tiles, summed in float32: by AMX, or by AVX-512's dot products of pairs.
//
// A tile holds 16 rows of 16 pairs of bf16. A pair of the left factor A is two neighbours in a row;
// a pair of the right factor B is two neighbours in a column. Each 32-bit element of a tile is one
// pair, so tiles are stored in arrays of float.
#pragma once

#include "product.h"

#if defined(__AVX512BF16__) && defined(__linux__)
#define HAS_BF16_TILES
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace bf16 {

constexpr long kSide = 16, kTile = kSide * kSide;  // rows, or pairs of a row; pairs in a tile

// How many tiles of length `side` cover `size`.
inline long tiles_for(long size, long side) { return (size + side - 1) / side; }

#ifdef __AMX_BF16__

// Asks Linux for the tile registers, which a process may not use otherwise. Returns whether it got
// them.
inline bool enable() {
  constexpr long request_permission = 0x1023, tile_data = 18;
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

// A thread may use tiles between these two calls.
inline void begin_thread() {
  struct alignas(64) {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  } eight_full_tiles;
  _tile_loadconfig(&eight_full_tiles);
}
inline void end_thread() { _tile_release(); }

constexpr long kRows = 32;  // of a block of C

// C [32, 32] (+)= A [32, pairs] B [pairs, 32]. A is two rows of tiles, B two columns of tiles; the
// second row or column follows the first.
inline void multiply_block(float* c, long c_stride, const float* left, const float* right,
                           long pairs, bool add) {
  const long stride_bytes = 4 * c_stride, second = tiles_for(pairs, kSide) * kTile;
  if (add) {
    _tile_loadd(0, c, stride_bytes);
    _tile_loadd(1, c + kSide, stride_bytes);
    _tile_loadd(2, c + kSide * c_stride, stride_bytes);
    _tile_loadd(3, c + kSide * c_stride + kSide, stride_bytes);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  for (long k = 0; k < second; k += kTile) {
    _tile_loadd(4, left + k, 64);
    _tile_loadd(5, left + second + k, 64);
    _tile_loadd(6, right + k, 64);
    _tile_loadd(7, right + second + k, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, c, stride_bytes);
  _tile_stored(1, c + kSide, stride_bytes);
  _tile_stored(2, c + kSide * c_stride, stride_bytes);
  _tile_stored(3, c + kSide * c_stride + kSide, stride_bytes);
}

#else

inline bool enable() { return true; }
inline void begin_thread() {}
inline void end_thread() {}

constexpr long kRows = 8;  // of a block of C

// Adds the products of one tile's pairs: 8 rows of A times two columns of tiles of B, `second`
// apart.
template <long pairs>
inline void add_tile_products(__m512 (&sum)[kRows][2], const float* left, const float* right,
                              long second) {
  for (long pair = 0; pair < pairs; ++pair) {
    const __m512bh first_column = (__m512bh)_mm512_load_ps(right + pair * kSide);
    const __m512bh second_column = (__m512bh)_mm512_load_ps(right + pair * kSide + second);
    for (long r = 0; r < kRows; ++r) {
      const __m512bh left_pair = (__m512bh)_mm512_set1_ps(left[r * kSide + pair]);
      sum[r][0] = _mm512_dpbf16_ps(sum[r][0], left_pair, first_column);
      sum[r][1] = _mm512_dpbf16_ps(sum[r][1], left_pair, second_column);
    }
  }
}

// C [8, 32] (+)= A B, over `full_tiles` tiles (at least one) and `extra_pairs` pairs of the next.
template <long extra_pairs>
inline void multiply_tiles(float* c, long c_stride, const float* left, const float* right,
                           long second, long full_tiles, bool add) {
  __m512 sum[kRows][2] = {};
  long k = 0;
  do {  // not `for`: see product.h
    add_tile_products<kSide>(sum, left + k * kTile, right + k * kTile, second);
  } while (++k < full_tiles);
  if constexpr (extra_pairs > 0)
    add_tile_products<extra_pairs>(sum, left + k * kTile, right + k * kTile, second);
  for (long r = 0; r < kRows; ++r)
    for (long n = 0; n < 2; ++n) {
      Vector& to = at(c + r * c_stride + n * kSide);
      to = add ? to + (Vector)sum[r][n] : (Vector)sum[r][n];
    }
}

// C [8, 32] (+)= A [8, pairs] B [pairs, 32]. If the last tile is at most half full, only its first
// half is multiplied.
inline void multiply_block(float* c, long c_stride, const float* left, const float* right,
                           long pairs, bool add) {
  const long tiles = tiles_for(pairs, kSide), second = tiles * kTile;
  if (tiles > 1 && pairs <= tiles * kSide - kSide / 2)
    multiply_tiles<kSide / 2>(c, c_stride, left, right, second, tiles - 1, add);
  else
    multiply_tiles<0>(c, c_stride, left, right, second, tiles, add);
}

#endif

}  // namespace bf16

#else

namespace bf16 {
inline bool enable() { return false; }
}  // namespace bf16

#endif
