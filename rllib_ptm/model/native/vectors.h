// Vectors of floats as wide as the machine's registers, and what is computed with them.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>

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
typedef int32_t Integers __attribute__((vector_size(4 * kLanes)));
typedef int8_t Bytes __attribute__((vector_size(kLanes), aligned(1), may_alias));

// The vector that begins at p.
template <int lanes = kLanes>
inline typename VectorOf<lanes>::type& at(float* p) {
  return *reinterpret_cast<typename VectorOf<lanes>::type*>(p);
}
template <int lanes = kLanes>
inline const typename VectorOf<lanes>::type& at(const float* p) {
  return *reinterpret_cast<const typename VectorOf<lanes>::type*>(p);
}

// Memory of one thread, with anything in it. It begins where a line of the cache does, or each load
// of a vector would touch two of them.
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

// Where x is not a number, it stays so in all that follows.
inline Vector between(Vector x, float low, float high) {
  x = x < low ? Vector{} + low : x;
  return x > high ? Vector{} + high : x;
}
inline Vector rectified(Vector x) { return x < 0.0f ? Vector{} : x; }

// e^x for |x| <= 87, to 2e-7 of it: 2^n e^r, and a polynomial for the second (Cephes' expf).
inline Vector exponential(Vector x) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: whoever adds it drops the fraction
  const Vector shifted = x * 1.44269504f + kRound;
  const Vector n = shifted - kRound;
  const Vector r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  Vector p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  return p * (Vector)(((Integers)shifted << 23) + (127 << 23));
}

// Exchanges, across the diagonal of a square, the lanes whose numbers differ by `distance`.
template <int distance>
inline void exchange(Vector& x, Vector& y) {
  Integers of_x, of_y;
  for (int i = 0; i < kLanes; ++i) {
    of_x[i] = i & distance ? i - distance + kLanes : i;
    of_y[i] = i & distance ? i + kLanes : i + distance;
  }
  const Vector first = __builtin_shuffle(x, y, of_x);
  y = __builtin_shuffle(x, y, of_y);
  x = first;
}

// Lane i: the sum of the lanes of x[i].
inline Vector sums_of(Vector (&x)[kLanes]) {
  const auto add = [&](auto distance) {
    for (int i = 0; i < kLanes; i += 2 * distance) {
      exchange<distance>(x[i], x[i + distance]);
      x[i] += x[i + distance];
    }
  };
  add(std::integral_constant<int, 1>{});
  add(std::integral_constant<int, 2>{});
  if constexpr (kLanes > 4) add(std::integral_constant<int, 4>{});
  if constexpr (kLanes > 8) add(std::integral_constant<int, 8>{});
  return x[0];
}

// The sums of so many vectors; there is room for those that fill the last vector of sums.
template <class VectorAt>
inline void sums_of(float* sums, long many, VectorAt vector) {
  for (long first = 0; first < many; first += kLanes) {
    Vector x[kLanes];
    for (int i = 0; i < kLanes; ++i) x[i] = first + i < many ? vector(first + i) : Vector{};
    at(sums + first) = sums_of(x);
  }
}

inline void transpose_square(Vector (&x)[kLanes]) {
  const auto all = [&](auto distance) {
    for (int i = 0; i < kLanes; ++i)
      if (!(i & distance)) exchange<distance>(x[i], x[i + distance]);
  };
  all(std::integral_constant<int, 1>{});
  all(std::integral_constant<int, 2>{});
  if constexpr (kLanes > 4) all(std::integral_constant<int, 4>{});
  if constexpr (kLanes > 8) all(std::integral_constant<int, 8>{});
}

// [rows, columns] -> [columns, padded]; what stands behind the rows is zero. The columns are a
// multiple of kLanes.
inline void transpose(float* to, long padded, const float* from, long from_row, long rows,
                      long columns) {
  for (long r = 0; r < padded; r += kLanes)
    for (long c = 0; c < columns; c += kLanes) {
      Vector x[kLanes];
      for (int i = 0; i < kLanes; ++i)
        x[i] = r + i < rows ? at(from + (r + i) * from_row + c) : Vector{};
      transpose_square(x);
      for (int i = 0; i < kLanes; ++i) at(to + (c + i) * padded + r) = x[i];
    }
}
