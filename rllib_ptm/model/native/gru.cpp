// A GRU over packed frames with its gradient; called by gru.py.
//
// Sequences do not know of each other: each thread takes some of them through all steps, and their
// states stay in the cache. Forward, the next block is for whoever is free; on the way back, where
// gradients are summed, the next part is. The parts take the blocks in turn: the first ones are the
// longest. The gates are kept for the way back: to read them takes half the time of computing them
// again.
//
// Shape legend: R rows (step by step, the longest sequences first), I inputs, H width.
#include <omp.h>

#include "large_product.h"

namespace {

// As `Sizes` in gru.py. rows: of each step, never more than of the step before.
struct Sizes {
  int64_t steps, inputs, width, threads, parts, narrow;
  const int64_t* rows;
};

// As torch.nn.GRUCell holds them: [3H, I], [3H, H], [3H], [H]; of r, z and n. The last one stands
// inside the product with r.
struct Weights {
  const float *inputs, *recurrent, *bias, *bias_new;
};

// The sequences of a block.
struct Shape : Sizes {
  explicit Shape(const Sizes& sizes) : Sizes(sizes) {}
  long block = share_of(steps ? rows[0] : 0, parts, 64);
};

Vector sigmoid(Vector x) { return 1.0f / (1.0f + exponential(between(-x, -80.0f, 80.0f))); }
Vector hyperbolic_tangent(Vector x) {
  const Vector y = x * x;  // near zero the difference would have few digits: there its series
  const Vector series = x + x * y * (-1.0f / 3 + y * (2.0f / 15 - y * (17.0f / 315)));
  return y < 0.06f ? series : 2.0f * sigmoid(2.0f * x) - 1.0f;
}

// How many sequences of a block go on in a step.
long rows_of(const Shape& s, long step, long first) {
  return step < s.steps ? std::min<long>(s.block, s.rows[step] - first) : 0;
}

// The weights as the products of the way forward need them.
struct Factors {
  Factor inputs, reset_update, recurrent_new;  // the last two: U of r and z, and of n
  Factors(const Sizes& s, const Weights& w)
      : inputs({w.inputs, 1, s.inputs}, s.inputs, 3 * s.width, s.narrow),
        reset_update({w.recurrent, 1, s.width}, s.width, 2 * s.width, s.narrow),
        recurrent_new({w.recurrent + 2 * s.width * s.width, 1, s.width}, s.width, s.width,
                      s.narrow) {}
};

struct BackFactors {
  Factor inputs, recurrent;
  BackFactors(const Sizes& s, const Weights& w)
      : inputs({w.inputs, s.inputs, 1}, 3 * s.width, s.inputs, s.narrow),
        recurrent({w.recurrent, s.width, 1}, 3 * s.width, s.width, s.narrow) {}
};

class ForwardBlock {
 public:
  ForwardBlock(const Shape& shape, const Factors& factors, const Weights& weights)
      : s(shape), factors(factors), w(weights) {}

  // One step: the states [rows, H] after it, and [rows, 4H] its r, z, n and u = U h + b of n, unless
  // `kept` is null.
  void step(const float* inputs, const float* before, float* states, float* kept, long rows) {
    const long H = s.width;
    large(gates.data(), 3 * H, {inputs, s.inputs, 1}, factors.inputs, rows);
    large(gates.data(), 3 * H, {before, H, 1}, factors.reset_update, rows, true);
    large(of_hidden.data(), H, {before, H, 1}, factors.recurrent_new, rows);
    for (long row = 0; row < rows; ++row)
      for (long c = 0; c < H; c += kLanes) {
        const float* x = &gates[row * 3 * H + c];
        const Vector r = sigmoid(at(x) + at(w.bias + c));
        const Vector z = sigmoid(at(x + H) + at(w.bias + H + c));
        const Vector u = at(&of_hidden[row * H + c]) + at(w.bias_new + c);
        const Vector n = hyperbolic_tangent(at(x + 2 * H) + at(w.bias + 2 * H + c) + r * u);
        at(states + row * H + c) = n + z * (at(before + row * H + c) - n);
        if (!kept) continue;
        float* to = kept + row * 4 * H + c;
        at(to) = r;
        at(to + H) = z;
        at(to + 2 * H) = n;
        at(to + 3 * H) = u;
      }
  }

 private:
  const Shape& s;
  const Factors& factors;
  const Weights& w;
  LargeProduct large{s.narrow != 0};
  Array gates{s.block * 3 * s.width}, of_hidden{s.block * s.width};
};

struct Gradients {
  float *inputs, *recurrent, *bias, *bias_new;
  Gradients() = default;
  Gradients(float* place, const Sizes& s)
      : inputs(place),
        recurrent(inputs + 3 * s.width * s.inputs),
        bias(recurrent + 3 * s.width * s.width),
        bias_new(bias + 3 * s.width) {}
};

class GradientBlock {
 public:
  GradientBlock(const Shape& shape, const BackFactors& back) : s(shape), back(back) {}

  // Where the gradients of the weights are summed from now on.
  void sum_at(float* place) { to = Gradients(place, s); }

  // One step back: `carried` [rows, H] is the gradient of its states by the steps that follow, and
  // becomes that of the states before.
  void step(const float* inputs, const float* before, const float* kept, const float* grad_states,
            float* carried, float* grad_inputs, long rows) {
    const long H = s.width, I = s.inputs;
    for (long row = 0; row < rows; ++row)
      for (long c = 0; c < H; c += kLanes) {
        const float* gates = kept + row * 4 * H + c;
        const Vector r = at(gates), z = at(gates + H), n = at(gates + 2 * H), u = at(gates + 3 * H);
        const long i = row * H + c;
        const Vector grad = at(carried + i) + at(grad_states + i);
        const Vector of_new = grad * (1.0f - z) * (1.0f - n * n);
        const Vector of_update = grad * (at(before + i) - n) * z * (1.0f - z);
        const Vector of_reset = of_new * u * r * (1.0f - r);
        at(carried + i) = grad * z;
        keep(row * 3 * H + c, c, of_reset, of_update, of_new, of_new * r);
      }
    large(carried, H, {of_hidden.data(), 3 * H, 1}, back.recurrent, rows, true);
    large(grad_inputs, I, {of_inputs.data(), 3 * H, 1}, back.inputs, rows);
    large.gradient(to.inputs, I, {of_inputs.data(), 1, 3 * H}, inputs, I, 3 * H, I, rows);
    large.gradient(to.recurrent, H, {of_hidden.data(), 1, 3 * H}, before, H, 3 * H, H, rows);
  }

 private:
  // The gradients of what inputs and hidden state gave to the gates: they differ in n alone.
  void keep(long i, long c, Vector of_reset, Vector of_update, Vector of_new, Vector of_u) {
    const long H = s.width;
    at(&of_inputs[i]) = at(&of_hidden[i]) = of_reset;
    at(&of_inputs[i + H]) = at(&of_hidden[i + H]) = of_update;
    at(&of_inputs[i + 2 * H]) = of_new;
    at(&of_hidden[i + 2 * H]) = of_u;
    at(to.bias + c) += of_reset;
    at(to.bias + H + c) += of_update;
    at(to.bias + 2 * H + c) += of_new;
    at(to.bias_new + c) += of_u;
  }

  const Shape& s;
  const BackFactors& back;
  Gradients to{};
  LargeProduct large{s.narrow != 0};
  Array of_inputs{s.block * 3 * s.width}, of_hidden{s.block * 3 * s.width};
};

}  // namespace

// inputs [R, I], start [rows of the first step, H] -> states [R, H], and kept [R, 4H] or null.
extern "C" void gru_forward(const Sizes* sizes, const Weights* weights, const float* inputs,
                            const float* start, float* states, float* kept) {
  const Shape s(*sizes);
  const long H = s.width;
  const Factors factors(s, *weights);
#pragma omp parallel num_threads(s.threads)
  {
    ForwardBlock block(s, factors, *weights);
#pragma omp for schedule(dynamic)
    for (long first = 0; first < s.rows[0]; first += s.block) {
      const float* before = start + first * H;
      for (long step = 0, row = first; rows_of(s, step, first) > 0; row += s.rows[step++]) {
        block.step(inputs + row * s.inputs, before, states + row * H,
                   kept ? kept + row * 4 * H : nullptr, rows_of(s, step, first));
        before = states + row * H;
      }
    }
  }
}

// Adds to gradients [parts, all weights] and to grad_start [rows of the first step, H].
extern "C" void gru_backward(const Sizes* sizes, const Weights* weights, const float* inputs,
                             const float* start, const float* states, const float* kept,
                             const float* grad_states, float* grad_inputs, float* grad_start,
                             float* gradients, int64_t parameters) {
  const Shape s(*sizes);
  const long H = s.width, I = s.inputs;
  const BackFactors back(s, *weights);
#pragma omp parallel num_threads(s.threads)
  {
    GradientBlock block(s, back);
#pragma omp for schedule(dynamic)
    for (long part = 0; part < s.parts; ++part) {
      block.sum_at(gradients + part * parameters);
      for (long first = part * s.block; first < s.rows[0]; first += s.parts * s.block) {
        long step = 0, row = first;
        while (rows_of(s, step, first) > 0) row += s.rows[step++];
        while (step-- > 0) {
          row -= s.rows[step];
          const float* before = step ? states + (row - s.rows[step - 1]) * H : start + first * H;
          block.step(inputs + row * I, before, kept + row * 4 * H, grad_states + row * H,
                     grad_start + first * H, grad_inputs + row * I, rows_of(s, step, first));
        }
      }
    }
  }
}
