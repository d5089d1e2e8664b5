// A GRU over packed frames and its gradient; called by gru.py.
//
//   r = sigmoid(x_r + U_r h), z = sigmoid(x_z + U_z h)    x = inputs W' + bias, U recurrent weights
//   u = U_n h + bias_new, n = tanh(x_n + r u)
//   h' = (1 - z) n + z h
//
// Sequences are independent: each thread takes a block of them through all steps, and their states
// stay in the cache. The backward pass sums gradients in `partial_sums` parts. A part always gets
// the same blocks, so that the result does not depend on which thread computes it. Parts take
// blocks in turn, because the first blocks hold the longest sequences. r, z, n and u are saved for
// the backward pass: reading them takes half the time of computing them again.
//
// Shape legend: R rows (step by step, the longest sequences first), I inputs, H width.
#include <omp.h>

#include "structs.h"
#include "weight_product.h"

namespace {

struct Shape : GRUSizes {
  explicit Shape(const GRUSizes& sizes) : GRUSizes(sizes) {}
  long block_sequences = block_size(steps ? rows[0] : 0, partial_sums, 64);
};

Vector sigmoid(Vector x) { return 1.0f / (1.0f + exponential(clamp(-x, -80.0f, 80.0f))); }
// Near zero 2 sigmoid(2x) - 1 would lose digits: there it is the Taylor series.
Vector hyperbolic_tangent(Vector x) {
  const Vector y = x * x;
  const Vector series = x + x * y * (-1.0f / 3 + y * (2.0f / 15 - y * (17.0f / 315)));
  return y < 0.06f ? series : 2.0f * sigmoid(2.0f * x) - 1.0f;
}

// How many sequences of the block that begins with sequence `first` have this step.
long block_rows(const Shape& s, long step, long first) {
  return step < s.steps ? std::min<long>(s.block_sequences, s.rows[step] - first) : 0;
}

// The weights, packed for the products of the forward pass.
struct ForwardWeights {
  PackedMatrix inputs, recurrent_gates, recurrent_new;  // W; U of r and z; U of n
  ForwardWeights(const GRUSizes& s, const GRUWeights& w)
      : inputs({w.inputs, 1, s.inputs}, s.inputs, 3 * s.width, s.use_bf16),
        recurrent_gates({w.recurrent, 1, s.width}, s.width, 2 * s.width, s.use_bf16),
        recurrent_new({w.recurrent + 2 * s.width * s.width, 1, s.width}, s.width, s.width,
                      s.use_bf16) {}
};

// The weights, packed for the products of the backward pass.
struct BackwardWeights {
  PackedMatrix inputs, recurrent;
  BackwardWeights(const GRUSizes& s, const GRUWeights& w)
      : inputs({w.inputs, s.inputs, 1}, 3 * s.width, s.inputs, s.use_bf16),
        recurrent({w.recurrent, s.width, 1}, 3 * s.width, s.width, s.use_bf16) {}
};

class ForwardBlock {
 public:
  ForwardBlock(const Shape& shape, const ForwardWeights& packed, const GRUWeights& weights)
      : s(shape), packed(packed), w(weights) {}

  // One step: inputs [rows, I], states before it [rows, H] -> states after it [rows, H], and
  // saved [rows, 4H]: r, z, n, u, unless it is null.
  void step(const float* inputs, const float* before, float* states, float* saved, long rows) {
    const long H = s.width;
    product(gates.data(), 3 * H, {inputs, s.inputs, 1}, packed.inputs, rows);
    product(gates.data(), 3 * H, {before, H, 1}, packed.recurrent_gates, rows, true);
    product(recurrent_new.data(), H, {before, H, 1}, packed.recurrent_new, rows);
    for (long row = 0; row < rows; ++row)
      for (long c = 0; c < H; c += kLanes) {
        const float* x = &gates[row * 3 * H + c];
        const Vector r = sigmoid(at(x) + at(w.bias + c));
        const Vector z = sigmoid(at(x + H) + at(w.bias + H + c));
        const Vector u = at(&recurrent_new[row * H + c]) + at(w.bias_new + c);
        const Vector n = hyperbolic_tangent(at(x + 2 * H) + at(w.bias + 2 * H + c) + r * u);
        at(states + row * H + c) = n + z * (at(before + row * H + c) - n);
        if (!saved) continue;
        float* to = saved + row * 4 * H + c;
        at(to) = r;
        at(to + H) = z;
        at(to + 2 * H) = n;
        at(to + 3 * H) = u;
      }
  }

 private:
  const Shape& s;
  const ForwardWeights& packed;
  const GRUWeights& w;
  WeightProduct product{s.use_bf16 != 0};
  Array gates{s.block_sequences * 3 * s.width}, recurrent_new{s.block_sequences * s.width};
};

// The gradients of all weights, one after the other.
struct Gradients {
  float *inputs, *recurrent, *bias, *bias_new;
  Gradients() = default;
  Gradients(float* start, const GRUSizes& s)
      : inputs(start),
        recurrent(inputs + 3 * s.width * s.inputs),
        bias(recurrent + 3 * s.width * s.width),
        bias_new(bias + 3 * s.width) {}
};

class GradientBlock {
 public:
  GradientBlock(const Shape& shape, const BackwardWeights& packed) : s(shape), packed(packed) {}

  // From now on, gradients of the weights are added to `sums` [all weights].
  void add_to(float* sums) { gradients = Gradients(sums, s); }

  // One step back. grad_states [rows, H] is the gradient of the states from outside the GRU.
  // `carried` [rows, H] is that from the later steps; it becomes the gradient of the states before
  // this step.
  void step(const float* inputs, const float* before, const float* saved, const float* grad_states,
            float* carried, float* grad_inputs, long rows) {
    const long H = s.width, I = s.inputs;
    for (long row = 0; row < rows; ++row)
      for (long c = 0; c < H; c += kLanes) {
        const float* gates = saved + row * 4 * H + c;
        const Vector r = at(gates), z = at(gates + H), n = at(gates + 2 * H), u = at(gates + 3 * H);
        const long i = row * H + c;
        const Vector grad = at(carried + i) + at(grad_states + i);
        const Vector grad_n = grad * (1.0f - z) * (1.0f - n * n);
        const Vector grad_z = grad * (at(before + i) - n) * z * (1.0f - z);
        const Vector grad_r = grad_n * u * r * (1.0f - r);
        at(carried + i) = grad * z;
        store_gate_gradients(row * 3 * H + c, c, grad_r, grad_z, grad_n, grad_n * r);
      }
    product(carried, H, {grad_recurrent.data(), 3 * H, 1}, packed.recurrent, rows, true);
    product(grad_inputs, I, {grad_gates.data(), 3 * H, 1}, packed.inputs, rows);
    product.add_gradient(gradients.inputs, I, {grad_gates.data(), 1, 3 * H}, inputs, I, 3 * H, I,
                         rows);
    product.add_gradient(gradients.recurrent, H, {grad_recurrent.data(), 1, 3 * H}, before, H,
                         3 * H, H, rows);
  }

 private:
  // Stores the gradients of W x and of U h, which differ in n alone, and adds those of the biases.
  void store_gate_gradients(long i, long c, Vector grad_r, Vector grad_z, Vector grad_n,
                            Vector grad_u) {
    const long H = s.width;
    at(&grad_gates[i]) = at(&grad_recurrent[i]) = grad_r;
    at(&grad_gates[i + H]) = at(&grad_recurrent[i + H]) = grad_z;
    at(&grad_gates[i + 2 * H]) = grad_n;
    at(&grad_recurrent[i + 2 * H]) = grad_u;
    at(gradients.bias + c) += grad_r;
    at(gradients.bias + H + c) += grad_z;
    at(gradients.bias + 2 * H + c) += grad_n;
    at(gradients.bias_new + c) += grad_u;
  }

  const Shape& s;
  const BackwardWeights& packed;
  Gradients gradients{};
  WeightProduct product{s.use_bf16 != 0};
  Array grad_gates{s.block_sequences * 3 * s.width};      // rows,3H: of W x
  Array grad_recurrent{s.block_sequences * 3 * s.width};  // rows,3H: of U h
};

}  // namespace

// inputs [R, I], start [rows of the first step, H] -> states [R, H]; saved [R, 4H], or null.
extern "C" void gru_forward(const GRUSizes* sizes, const GRUWeights* weights, const float* inputs,
                            const float* start, float* states, float* saved) {
  const Shape s(*sizes);
  const long H = s.width;
  const ForwardWeights packed(s, *weights);
#pragma omp parallel num_threads(s.threads)
  {
    ForwardBlock block(s, packed, *weights);
#pragma omp for schedule(dynamic)
    for (long first = 0; first < s.rows[0]; first += s.block_sequences) {
      const float* before = start + first * H;
      for (long step = 0, row = first; block_rows(s, step, first) > 0; row += s.rows[step++]) {
        block.step(inputs + row * s.inputs, before, states + row * H,
                   saved ? saved + row * 4 * H : nullptr, block_rows(s, step, first));
        before = states + row * H;
      }
    }
  }
}

// Adds to gradients [partial_sums, parameters], where `parameters` counts all weights, and to
// grad_start [rows of the first step, H]. Overwrites grad_inputs [R, I].
extern "C" void gru_backward(const GRUSizes* sizes, const GRUWeights* weights, const float* inputs,
                             const float* start, const float* states, const float* saved,
                             const float* grad_states, float* grad_inputs, float* grad_start,
                             float* gradients, int64_t parameters) {
  const Shape s(*sizes);
  const long H = s.width, I = s.inputs;
  const BackwardWeights packed(s, *weights);
#pragma omp parallel num_threads(s.threads)
  {
    GradientBlock block(s, packed);
#pragma omp for schedule(dynamic)
    for (long part = 0; part < s.partial_sums; ++part) {
      block.add_to(gradients + part * parameters);
      for (long first = part * s.block_sequences; first < s.rows[0];
           first += s.partial_sums * s.block_sequences) {
        long step = 0, row = first;
        while (block_rows(s, step, first) > 0) row += s.rows[step++];
        while (step-- > 0) {
          row -= s.rows[step];
          const float* before = step ? states + (row - s.rows[step - 1]) * H : start + first * H;
          block.step(inputs + row * I, before, saved + row * 4 * H, grad_states + row * H,
                     grad_start + first * H, grad_inputs + row * I, block_rows(s, step, first));
        }
      }
    }
  }
}
