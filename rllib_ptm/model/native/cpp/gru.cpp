// A GRU over packed frames and its gradient; called by gru.py.
//
//   r = sigmoid(x_r + U_r h), z = sigmoid(x_z + U_z h)    x = inputs W' + bias, U recurrent weights
//   u = U_n h + bias_new, n = tanh(x_n + r u)
//   h' = (1 - z) n + z h
//
// Sequences are independent: each thread takes a block of them through all steps, and their states
// stay in the cache. Sequences that do not exist are left out. The backward pass sums gradients in
// parts, which take blocks in turn (see blocks.h), because the first blocks hold the longest
// sequences. r, z, n and u are saved for the backward pass: reading them takes half the time of
// computing them again.
//
// Shape legend: R rows (step by step, the longest sequences first), I inputs, H width.
#include <algorithm>
#include <vector>

#include "blocks.h"
#include "structs.h"
#include "weight_product.h"

namespace {

// Sizes, and the sequences that exist: their places among the rows of the first step.
struct Shape : GRUSizes {
  // `exists` [rows of the first step]; null = all of them.
  Shape(const GRUSizes& sizes, const bool* exists)
      : GRUSizes(sizes),
        sequences(existing(exists)),
        blocks(long(sequences.size()), kSequencesPerBlock, partial_sums, threads) {}

  static constexpr long kSequencesPerBlock = 64;
  std::vector<long> sequences;
  Blocks blocks;
  long block_sequences = blocks.size;

 private:
  std::vector<long> existing(const bool* exists) const {
    std::vector<long> found;
    for (long i = 0; i < (steps ? rows[0] : 0); ++i)
      if (!exists || exists[i]) found.push_back(i);
    return found;
  }
};

// Neighbours among the sequences that exist. The longest come first, so those that have a step are
// the first size_at(step).
class Block {
 public:
  Block(const Shape& s, long first, long size)
      : s(s), sequences(&s.sequences[first]), size(size) {}

  long size_at(long step) const {
    if (step >= s.steps) return 0;
    return std::lower_bound(sequences, sequences + size, s.rows[step]) - sequences;
  }
  long operator[](long i) const { return sequences[i]; }

  // to [rows, width] = the rows of this block among all rows `from` of a step.
  void gather(Array& to, const float* from, long width, long rows) const {
    for (long i = 0; i < rows; ++i)
      std::memcpy(&to[i * width], from + sequences[i] * width, 4 * width);
  }
  void scatter(float* to, const Array& from, long width, long rows) const {
    for (long i = 0; i < rows; ++i)
      std::memcpy(to + sequences[i] * width, &from[i * width], 4 * width);
  }

 private:
  const Shape& s;
  const long* sequences;
  long size;
};

Vector sigmoid(Vector x) { return 1.0f / (1.0f + exponential(clamp(-x, -80.0f, 80.0f))); }
// Near zero 2 sigmoid(2x) - 1 would lose digits: there it is the Taylor series.
Vector hyperbolic_tangent(Vector x) {
  const Vector y = x * x;
  const Vector series = x + x * y * (-1.0f / 3 + y * (2.0f / 15 - y * (17.0f / 315)));
  return y < 0.06f ? series : 2.0f * sigmoid(2.0f * x) - 1.0f;
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

  // All steps of a block: inputs [R, I], start [rows of the first step, H] -> states [R, H]; saved
  // [R, 4H], or null.
  void run(const Block& block, const float* inputs, const float* start, float* states,
           float* saved) {
    block.gather(state, start, s.width, block.size_at(0));
    for (long step = 0, first = 0; long rows = block.size_at(step); first += s.rows[step++]) {
      block.gather(step_inputs, inputs + first * s.inputs, s.inputs, rows);
      compute_step(block, saved ? saved + first * 4 * s.width : nullptr, rows);
      block.scatter(states + first * s.width, state, s.width, rows);
    }
  }

 private:
  // From step_inputs [rows, I] and state [rows, H] -> the next state, and r, z, n, u.
  void compute_step(const Block& block, float* saved, long rows) {
    const long H = s.width;
    product(gates.data(), 3 * H, {step_inputs.data(), s.inputs, 1}, packed.inputs, rows);
    product(gates.data(), 3 * H, {state.data(), H, 1}, packed.recurrent_gates, rows, true);
    product(recurrent_new.data(), H, {state.data(), H, 1}, packed.recurrent_new, rows);
    for (long row = 0; row < rows; ++row)
      for (long c = 0; c < H; c += kLanes) {
        const float* x = &gates[row * 3 * H + c];
        Vector& h = at(&state[row * H + c]);
        const Vector r = sigmoid(at(x) + at(w.bias + c));
        const Vector z = sigmoid(at(x + H) + at(w.bias + H + c));
        const Vector u = at(&recurrent_new[row * H + c]) + at(w.bias_new + c);
        const Vector n = hyperbolic_tangent(at(x + 2 * H) + at(w.bias + 2 * H + c) + r * u);
        h = n + z * (h - n);
        if (!saved) continue;
        float* to = saved + block[row] * 4 * H + c;
        at(to) = r;
        at(to + H) = z;
        at(to + 2 * H) = n;
        at(to + 3 * H) = u;
      }
  }

  const Shape& s;
  const ForwardWeights& packed;
  const GRUWeights& w;
  WeightProduct product{s.use_bf16 != 0};
  Array step_inputs{s.block_sequences * s.inputs}, state{s.block_sequences * s.width};
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

  // All steps of a block, backwards: grad_states [R, H] -> grad_inputs [R, I], and grad_start [rows
  // of the first step, H], which is overwritten.
  void run(const Block& block, const float* inputs, const float* start, const float* states,
           const float* saved, const float* grad_states, float* grad_inputs, float* grad_start) {
    const long H = s.width, I = s.inputs;
    std::memset(carried.data(), 0, 4 * carried.size());
    long step = 0, first = 0;
    while (block.size_at(step)) first += s.rows[step++];
    while (step-- > 0) {
      const long rows = block.size_at(step);
      first -= s.rows[step];
      block.gather(step_inputs, inputs + first * I, I, rows);
      block.gather(before, step ? states + (first - s.rows[step - 1]) * H : start, H, rows);
      backward_gates(block, saved + first * 4 * H, grad_states + first * H, rows);
      backward_products(rows);
      block.scatter(grad_inputs + first * I, grad_step_inputs, I, rows);
    }
    block.scatter(grad_start, carried, H, block.size_at(0));
  }

 private:
  // From the gradient of the states to those of W x and U h. `carried` [rows, H] is the gradient
  // from the later steps. It becomes that part of the earlier state's gradient that goes through no
  // product; backward_products adds the rest.
  void backward_gates(const Block& block, const float* saved, const float* grad_states, long rows) {
    const long H = s.width;
    for (long row = 0; row < rows; ++row)
      for (long c = 0; c < H; c += kLanes) {
        const float* gates = saved + block[row] * 4 * H + c;
        const Vector r = at(gates), z = at(gates + H), n = at(gates + 2 * H), u = at(gates + 3 * H);
        const long i = row * H + c;
        const Vector grad = at(&carried[i]) + at(grad_states + block[row] * H + c);
        const Vector grad_n = grad * (1.0f - z) * (1.0f - n * n);
        const Vector grad_z = grad * (at(&before[i]) - n) * z * (1.0f - z);
        const Vector grad_r = grad_n * u * r * (1.0f - r);
        at(&carried[i]) = grad * z;
        store_gate_gradients(row * 3 * H + c, c, grad_r, grad_z, grad_n, grad_n * r);
      }
  }

  // From the gradients of W x and U h to those of the inputs, the states before, W and U.
  void backward_products(long rows) {
    const long H = s.width, I = s.inputs;
    product(carried.data(), H, {grad_recurrent.data(), 3 * H, 1}, packed.recurrent, rows, true);
    product(grad_step_inputs.data(), I, {grad_gates.data(), 3 * H, 1}, packed.inputs, rows);
    product.add_gradient(gradients.inputs, I, {grad_gates.data(), 1, 3 * H}, step_inputs.data(), I,
                         3 * H, I, rows);
    product.add_gradient(gradients.recurrent, H, {grad_recurrent.data(), 1, 3 * H}, before.data(),
                         H, 3 * H, H, rows);
  }

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
  Array step_inputs{s.block_sequences * s.inputs}, grad_step_inputs{s.block_sequences * s.inputs};
  Array before{s.block_sequences * s.width}, carried{s.block_sequences * s.width};
  Array grad_gates{s.block_sequences * 3 * s.width};      // rows,3H: of W x
  Array grad_recurrent{s.block_sequences * 3 * s.width};  // rows,3H: of U h
};

}  // namespace

// inputs [R, I], start [rows of the first step, H] -> states [R, H]; saved [R, 4H], or null.
// `exists` [rows of the first step] says which sequences exist; null = all. Nothing is written for
// the others.
extern "C" void gru_forward(const GRUSizes* sizes, const GRUWeights* weights, const bool* exists,
                            const float* inputs, const float* start, float* states, float* saved) {
  const Shape s(*sizes, exists);
  const ForwardWeights packed(s, *weights);
  s.blocks.for_each([&] { return ForwardBlock(s, packed, *weights); },
                    [&](ForwardBlock& forward, long first, long size) {
                      forward.run(Block(s, first, size), inputs, start, states, saved);
                    });
}

// Adds to gradients [partial_sums, parameters], where `parameters` counts all weights. Overwrites
// grad_inputs [R, I] and grad_start [rows of the first step, H], except for sequences that do not
// exist.
extern "C" void gru_backward(const GRUSizes* sizes, const GRUWeights* weights, const bool* exists,
                             const float* inputs, const float* start, const float* states,
                             const float* saved, const float* grad_states, float* grad_inputs,
                             float* grad_start, float* gradients, int64_t parameters) {
  const Shape s(*sizes, exists);
  const BackwardWeights packed(s, *weights);
  s.blocks.add_gradients(
      gradients, parameters, [&] { return GradientBlock(s, packed); },
      [&](GradientBlock& backward, long first, long size) {
        backward.run(Block(s, first, size), inputs, start, states, saved, grad_states, grad_inputs,
                     grad_start);
      });
}
