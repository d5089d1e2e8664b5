// Vectors of floats as wide as the machine's registers, and the operations on them.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>

// Floats in a vector register.
#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

template <int lanes>
struct VectorOf {
  typedef float type __attribute__((vector_size(4 * lanes), aligned(4), may_alias));
};
using Vector = VectorOf<kLanes>::type;
typedef int32_t IntVector __attribute__((vector_size(4 * kLanes)));
typedef int8_t ByteVector __attribute__((vector_size(kLanes), aligned(1), may_alias));

// The vector that begins at p; it need not be aligned.
template <int lanes = kLanes>
inline typename VectorOf<lanes>::type& at(float* p) {
  return *reinterpret_cast<typename VectorOf<lanes>::type*>(p);
}
template <int lanes = kLanes>
inline const typename VectorOf<lanes>::type& at(const float* p) {
  return *reinterpret_cast<const typename VectorOf<lanes>::type*>(p);
}

// An uninitialised array of floats that one thread owns. It is aligned to a cache line, because a
// vector load from an unaligned array touches two lines.
class Array {
 public:
  Array() = default;
  explicit Array(long size) { allocate(size); }
  void allocate(long size) {
    const long bytes = (4 * size + 64) / 64 * 64;
    data_.reset(static_cast<float*>(std::aligned_alloc(64, bytes)));
    if (!data_) throw std::bad_alloc();
    size_ = size;
  }
  long size() const { return size_; }
  float* data() const { return data_.get(); }
  float& operator[](long i) const { return data_[i]; }

 private:
  struct Free {
    void operator()(float* p) const { std::free(p); }
  };
  std::unique_ptr<float[], Free> data_;
  long size_ = 0;
};

// Both keep NaN, so that a broken weight shows in the result.
inline Vector clamp(Vector x, float low, float high) {
  x = x < low ? Vector{} + low : x;
  return x > high ? Vector{} + high : x;
}
inline Vector relu(Vector x) { return x < 0.0f ? Vector{} : x; }

// e^x for |x| <= 87, with a relative error of 2e-7: 2^n e^r, with a polynomial for e^r (the expf of
// the Cephes library).
inline Vector exponential(Vector x) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it drops the fraction
  const Vector shifted = x * 1.44269504f + kRound;
  const Vector n = shifted - kRound;
  const Vector r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  Vector p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  return p * (Vector)(((IntVector)shifted << 23) + (127 << 23));
}

// Swaps lane i + distance of x with lane i of y, for every i whose bit `distance` is not set. It is
// one step of transposing a square of vectors.
template <int distance>
inline void swap_lanes(Vector& x, Vector& y) {
  IntVector first_lanes, second_lanes;  // lanes of y count from kLanes on
  for (int i = 0; i < kLanes; ++i) {
    first_lanes[i] = i & distance ? i - distance + kLanes : i;
    second_lanes[i] = i & distance ? i + kLanes : i + distance;
  }
  const Vector first = __builtin_shuffle(x, y, first_lanes);
  y = __builtin_shuffle(x, y, second_lanes);
  x = first;
}

// Lane i of the result is the sum of the lanes of x[i].
inline Vector lane_sums(Vector (&x)[kLanes]) {
  const auto add = [&](auto distance) {
    for (int i = 0; i < kLanes; i += 2 * distance) {
      swap_lanes<distance>(x[i], x[i + distance]);
      x[i] += x[i + distance];
    }
  };
  add(std::integral_constant<int, 1>{});
  add(std::integral_constant<int, 2>{});
  if constexpr (kLanes > 4) add(std::integral_constant<int, 4>{});
  if constexpr (kLanes > 8) add(std::integral_constant<int, 8>{});
  return x[0];
}

// sums[i] = the sum of the lanes of vector_at(i), for i < count. `sums` has room for count rounded
// up to whole vectors.
template <class VectorAt>
inline void lane_sums(float* sums, long count, VectorAt vector_at) {
  for (long first = 0; first < count; first += kLanes) {
    Vector x[kLanes];
    for (int i = 0; i < kLanes; ++i) x[i] = first + i < count ? vector_at(first + i) : Vector{};
    at(sums + first) = lane_sums(x);
  }
}

// sum [columns] += the rows of x [rows, columns].
inline void add_rows(float* sum, const float* x, long rows, long columns) {
  for (long r = 0; r < rows; ++r)
    for (long c = 0; c < columns; c += kLanes) at(sum + c) += at(x + r * columns + c);
}

inline void transpose_square(Vector (&x)[kLanes]) {
  const auto swap_all = [&](auto distance) {
    for (int i = 0; i < kLanes; ++i)
      if (!(i & distance)) swap_lanes<distance>(x[i], x[i + distance]);
  };
  swap_all(std::integral_constant<int, 1>{});
  swap_all(std::integral_constant<int, 2>{});
  if constexpr (kLanes > 4) swap_all(std::integral_constant<int, 4>{});
  if constexpr (kLanes > 8) swap_all(std::integral_constant<int, 8>{});
}

// [rows, columns], `stride` apart -> [columns, padded_rows]. The padding becomes zero. `columns` is
// a multiple of kLanes.
inline void transpose(float* to, long padded_rows, const float* from, long stride, long rows,
                      long columns) {
  for (long r = 0; r < padded_rows; r += kLanes)
    for (long c = 0; c < columns; c += kLanes) {
      Vector x[kLanes];
      for (int i = 0; i < kLanes; ++i)
        x[i] = r + i < rows ? at(from + (r + i) * stride + c) : Vector{};
      transpose_square(x);
      for (int i = 0; i < kLanes; ++i) at(to + (c + i) * padded_rows + r) = x[i];
    }
}
