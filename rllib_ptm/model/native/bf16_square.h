// Products of tiles of bf16, summed in float32: by AMX, or by AVX-512's products of pairs.
//
// A tile holds 16 rows of 16 pairs of bf16: of the left factor, pairs that are neighbours in a
// row; of the right one, pairs that are neighbours in a column.
#pragma once

#include "product.h"

#if defined(__AVX512BF16__) && defined(__linux__)
#define BF16_SQUARES
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace bf16 {

constexpr long kSide = 16, kTile = kSide * kSide;

inline long tiles_of(long size, long side) { return (size + side - 1) / side; }

#ifdef __AMX_BF16__

// Linux gives the tiles to a process that asks for them.
inline bool allowed() {
  constexpr long request_permission = 0x1023, tile_data = 18;
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

// A thread may use tiles between these two.
inline void begin() {
  struct alignas(64) {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t bytes_of_row[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  } eight_whole_tiles;
  _tile_loadconfig(&eight_whole_tiles);
}
inline void end() { _tile_release(); }

constexpr long kRows = 32;  // of a block

// C [32, 32] (+)= A B: two rows of tiles that hold so many pairs, times two columns of them.
inline void block(float* c, long row, const float* left, const float* right, long pairs,
                  bool add) {
  const long bytes = 4 * row, next = tiles_of(pairs, kSide) * kTile;
  if (add) {
    _tile_loadd(0, c, bytes);
    _tile_loadd(1, c + kSide, bytes);
    _tile_loadd(2, c + kSide * row, bytes);
    _tile_loadd(3, c + kSide * row + kSide, bytes);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  for (long k = 0; k < next; k += kTile) {
    _tile_loadd(4, left + k, 64);
    _tile_loadd(5, left + next + k, 64);
    _tile_loadd(6, right + k, 64);
    _tile_loadd(7, right + next + k, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, c, bytes);
  _tile_stored(1, c + kSide, bytes);
  _tile_stored(2, c + kSide * row, bytes);
  _tile_stored(3, c + kSide * row + kSide, bytes);
}

#else

inline bool allowed() { return true; }
inline void begin() {}
inline void end() {}

constexpr long kRows = 8;  // of a block

template <long pairs>
inline void add_products(__m512 (&sum)[kRows][2], const float* left, const float* right,
                         long next) {
  for (long pair = 0; pair < pairs; ++pair) {
    const __m512bh first = (__m512bh)_mm512_load_ps(right + pair * kSide);
    const __m512bh second = (__m512bh)_mm512_load_ps(right + pair * kSide + next);
    for (long r = 0; r < kRows; ++r) {
      const __m512bh both = (__m512bh)_mm512_set1_ps(left[r * kSide + pair]);
      sum[r][0] = _mm512_dpbf16_ps(sum[r][0], both, first);
      sum[r][1] = _mm512_dpbf16_ps(sum[r][1], both, second);
    }
  }
}

// C [8, 32] (+)= A B: half a row of so many whole tiles, and the pairs of another one, times two
// columns of them, `next` apart.
template <long pairs>
inline void whole_tiles_and(float* c, long row, const float* left, const float* right, long next,
                            long whole, bool add) {
  __m512 sum[kRows][2] = {};
  long k = 0;
  do {  // not `for`: see product.h
    add_products<kSide>(sum, left + k * kTile, right + k * kTile, next);
  } while (++k < whole);
  if constexpr (pairs > 0) add_products<pairs>(sum, left + k * kTile, right + k * kTile, next);
  for (long r = 0; r < kRows; ++r)
    for (long n = 0; n < 2; ++n) {
      Vector& to = at(c + r * row + n * kSide);
      to = add ? to + (Vector)sum[r][n] : (Vector)sum[r][n];
    }
}

// The same of tiles that hold so many pairs; half a tile of nothing is not added.
inline void block(float* c, long row, const float* left, const float* right, long pairs,
                  bool add) {
  const long tiles = tiles_of(pairs, kSide), next = tiles * kTile;
  if (tiles > 1 && pairs <= tiles * kSide - kSide / 2)
    whole_tiles_and<kSide / 2>(c, row, left, right, next, tiles - 1, add);
  else
    whole_tiles_and<0>(c, row, left, right, next, tiles, add);
}

#endif

}  // namespace bf16

#else

namespace bf16 {
inline bool allowed() { return false; }
}  // namespace bf16

#endif
