// The entity head and its gradient; called by entity_head.py.
//
// Of an agent with hidden state h, action u of base b has the utility
//   base_b . h + base_bias_b                            if it aims at nothing, or at what is unseen
//   base_b . h + base_bias_b + k_e . h + c_e            if it is of kind i and aims at entity e
// with (k_e, c_e) = key_i y_e + key_bias_i of the embedded entity y_e. Each plain action has a
// base, and so has each kind of aimed actions.
//
// Of each frame, the bases and the keys of all seen targets are one matrix [B + its keys, K], so
// that one product with the hidden states gives all utilities. Threads take blocks of frames. The
// backward pass sums gradients in parts: see blocks.h.
//
// Shape legend: F frames, M masks, A agents, R = M * A rows of a frame, E entities, U actions, B
// bases, I kinds, W width of an embedded entity, K width of a hidden state.
#include <algorithm>
#include <vector>

#include "blocks.h"
#include "structs.h"
#include "weight_product.h"

namespace {

struct Shape : EntityHeadSizes {
  explicit Shape(const EntityHeadSizes& sizes) : EntityHeadSizes(sizes) {
    for (long u = 0; u < actions; ++u)
      if (kinds_of_actions[u] >= 0) aimed.push_back(u);
    std::stable_sort(aimed.begin(), aimed.end(), [&](long first, long second) {
      return kinds_of_actions[first] < kinds_of_actions[second];
    });
    most_columns = (bases + long(aimed.size()) + kLanes - 1) / kLanes * kLanes;
  }
  static constexpr long kFramesPerBlock = 16;
  static constexpr long kBiasColumns = 4;  // c, and zeros up to a quarter of the widest vector
  long rows = masks * agents;                                            // R
  Blocks blocks{frames, kFramesPerBlock, partial_sums, threads};
  long block_frames = blocks.size;
  long key_columns = hidden + kBiasColumns;
  std::vector<long> aimed;        // the actions that aim at an entity, kind by kind
  long most_columns;              // of the products of a frame: B and all keys, in whole vectors
};

// The key layers of all kinds, [key_columns, W] each, packed for the forward or the backward pass.
std::vector<PackedMatrix> pack_keys(const Shape& s, const EntityHeadWeights& w, bool forward) {
  std::vector<PackedMatrix> packed;
  for (long i = 0; i < s.kinds; ++i) {
    const float* key = w.key + i * s.key_columns * s.width;
    if (forward) packed.emplace_back(Matrix{key, 1, s.width}, s.width, s.key_columns, false);
    else packed.emplace_back(Matrix{key, s.width, 1}, s.key_columns, s.width, false);
  }
  return packed;
}

// An aimed action whose target an agent sees in a frame of a block.
struct Key {
  long row;     // among all keys of the block
  long slot;    // of its target, in [F, E]
  long action;
  long target;  // in [E]
  long column;  // of the frame's products
};

// The keys of a block of frames, and the utilities.
class HeadBlock {
 public:
  HeadBlock(const Shape& shape, const std::vector<PackedMatrix>& packed,
            const EntityHeadWeights& weights)
      : s(shape), packed(packed), w(weights), keys_of_frame(s.block_frames) {
    std::memcpy(frame_weights.data(), w.base, 4 * s.bases * s.hidden);
  }

  // Finds the keys of a block and computes them, from masks [F, M, A, E], embedded [F, E, W].
  void begin(const float* embedded, const bool* masks, long frames) {
    find_keys(masks, frames);
    for (const auto& keys : keys_of_frame)
      for (const Key& key : keys)
        std::memcpy(&targets[key.row * s.width], embedded + key.slot * s.width, 4 * s.width);
    for_each_kind([&](long kind, long first, long count) {
      float* to = &key_values[first * s.key_columns];
      product(to, s.key_columns, {&targets[first * s.width], s.width, 1}, packed[kind], count);
      add_bias(to, w.key_bias + kind * s.key_columns, count);
    });
  }

  // Of one frame: hidden states [R, K], masks [R, E] -> utilities [R, U].
  void compute_utilities(const float* states, const bool* masks, float* utilities, long f) {
    const long K = s.hidden, P = begin_frame(f);
    transpose(weights_transposed.data(), P, frame_weights.data(), K, columns(f), K);
    multiply(products.data(), P, {states, K, 1}, weights_transposed.data(), P, s.rows, P, K);
    for (long row = 0; row < s.rows; ++row, utilities += s.actions) {
      const float* of_row = &products[row * P];
      for (long u = 0; u < s.actions; ++u) {
        const long base = s.bases_of_actions[u];
        utilities[u] = of_row[base] + w.base_bias[base];
      }
      for (const Key& key : keys_of_frame[f])
        if (masks[row * s.entities + key.target])
          utilities[key.action] += of_row[key.column] + key_bias(key);
    }
  }

 protected:
  void find_keys(const bool* masks, long frames) {
    for (auto& keys : keys_of_frame) keys.clear();
    first_of_kind.assign(s.kinds + 1, 0);
    seen.assign(frames * s.entities, 0);
    const long E = s.entities;
    for (long f = 0; f < frames; ++f) {
      char* const seen_here = &seen[f * E];  // a local pointer, so that GCC uses vectors
      for (long row = 0; row < s.rows; ++row, masks += E)
        for (long e = 0; e < E; ++e) seen_here[e] |= char(masks[e]);
    }
    long found = 0;
    for (const long u : s.aimed) {
      const long target = s.targets_of_actions[u];
      for (long f = 0; f < frames; ++f) {
        const long slot = f * s.entities + target;
        if (seen[slot])
          keys_of_frame[f].push_back({found++, slot, u, target, columns(f)});
      }
      first_of_kind[s.kinds_of_actions[u] + 1] = found;
    }
  }

  // Calls visit(kind, its first key, how many they are).
  template <class Visit>
  void for_each_kind(Visit visit) const {
    for (long i = 0; i < s.kinds; ++i)
      visit(i, first_of_kind[i], first_of_kind[i + 1] - first_of_kind[i]);
  }

  // Appends the keys of a frame to the bases in frame_weights. Returns the columns of its products,
  // rounded up to whole vectors.
  long begin_frame(long f) {
    for (const Key& key : keys_of_frame[f])
      std::memcpy(&frame_weights[key.column * s.hidden], &key_values[key.row * s.key_columns],
                  4 * s.hidden);
    return (columns(f) + kLanes - 1) / kLanes * kLanes;
  }

  long columns(long f) const { return s.bases + long(keys_of_frame[f].size()); }
  float key_bias(const Key& key) const { return key_values[key.row * s.key_columns + s.hidden]; }

  void add_bias(float* values, const float* bias, long count) const {
    for (long i = 0; i < count; ++i, values += s.key_columns)
      for (long c = 0; c < s.key_columns; ++c) values[c] += bias[c];
  }

  const Shape& s;
  const std::vector<PackedMatrix>& packed;
  const EntityHeadWeights& w;
  WeightProduct product{false};
  std::vector<std::vector<Key>> keys_of_frame;
  std::vector<long> first_of_kind;  // the row of the first key of each kind, and their end
  std::vector<char> seen;           // F,E
  Array targets{s.block_frames * long(s.aimed.size()) * s.width};           // keys,W
  Array key_values{s.block_frames * long(s.aimed.size()) * s.key_columns};  // keys,key_columns
  // Of one frame:
  Array frame_weights{s.most_columns * s.hidden};       // B + its keys,K
  Array weights_transposed{s.hidden * s.most_columns};  // K,P
  Array products{s.rows * s.most_columns};              // R,P
};

// The gradients of all weights, one after the other.
struct Gradients {
  float *base, *base_bias, *key, *key_bias;
  Gradients() = default;
  Gradients(float* start, const Shape& s)
      : base(start),
        base_bias(base + s.bases * s.hidden),
        key(base_bias + s.bases),
        key_bias(key + s.kinds * s.key_columns * s.width) {}
};

class GradientBlock : public HeadBlock {
 public:
  GradientBlock(const Shape& shape, const std::vector<PackedMatrix>& packed,
                const std::vector<PackedMatrix>& backward, const EntityHeadWeights& weights)
      : HeadBlock(shape, packed, weights), backward(backward) {}

  // From now on, gradients of the weights are added to `sums` [all weights].
  void add_to(float* sums) { gradients = Gradients(sums, s); }

  // Of one frame: grad_utilities [R, U] -> grad_states [R, K], and the gradients of bases and keys.
  void backward_frame(const float* states, const bool* masks, const float* grad_utilities,
                      float* grad_states, long f) {
    const long K = s.hidden, P = begin_frame(f), num_keys = columns(f) - s.bases;
    gather_grad_products(masks, grad_utilities, P, f);
    multiply(grad_states, K, {grad_products.data(), P, 1}, frame_weights.data(), K, s.rows, K,
             columns(f));
    multiply(gradients.base, K, {grad_products.data(), 1, P}, states, K, s.bases, K, s.rows, true);
    multiply(grad_keys_of_frame.data(), K, {&grad_products[s.bases], 1, P}, states, K, num_keys, K,
             s.rows);
    for (const Key& key : keys_of_frame[f]) {
      float* to = &grad_key_values[key.row * s.key_columns];
      std::memcpy(to, &grad_keys_of_frame[(key.column - s.bases) * K], 4 * K);
      std::fill(to + K, to + s.key_columns, 0.0f);
      to[K] = grad_biases[key.column];
    }
  }

  // Ends a block: from the keys to their layers, and to grad_embedded [F, E, W], to which it adds.
  void backward_keys(float* grad_embedded) {
    const long W = s.width, C = s.key_columns;
    for_each_kind([&](long kind, long first, long count) {
      const float* grad = &grad_key_values[first * C];
      product.add_gradient(gradients.key + kind * C * W, W, {grad, 1, C}, &targets[first * W], W, C,
                           W, count);
      for (long key = 0; key < count; ++key)
        for (long c = 0; c < C; ++c) gradients.key_bias[kind * C + c] += grad[key * C + c];
      product(&grad_targets[first * W], W, {grad, C, 1}, backward[kind], count);
    });
    for (const auto& keys : keys_of_frame)
      for (const Key& key : keys)
        for (long c = 0; c < W; c += kLanes)
          at(grad_embedded + key.slot * W + c) += at(&grad_targets[key.row * W + c]);
  }

 private:
  // The gradient of the products [R, P]. Its sum over the rows is that of the biases.
  void gather_grad_products(const bool* masks, const float* grad_utilities, long P, long f) {
    std::memset(grad_products.data(), 0, 4 * s.rows * P);
    std::memset(grad_biases.data(), 0, 4 * P);
    for (long row = 0; row < s.rows; ++row, grad_utilities += s.actions) {
      float* grad_product = &grad_products[row * P];
      for (long u = 0; u < s.actions; ++u) grad_product[s.bases_of_actions[u]] += grad_utilities[u];
      for (const Key& key : keys_of_frame[f])
        if (masks[row * s.entities + key.target])
          grad_product[key.column] = grad_utilities[key.action];
    }
    add_rows(grad_biases.data(), grad_products.data(), s.rows, P);
    for (long b = 0; b < s.bases; ++b) gradients.base_bias[b] += grad_biases[b];
  }

  const std::vector<PackedMatrix>& backward;
  Gradients gradients{};
  Array grad_key_values{key_values.size()};  // keys,key_columns
  Array grad_targets{targets.size()};        // keys,W
  // Of one frame:
  Array grad_products{products.size()};                      // R,P
  Array grad_biases{s.most_columns};                         // P
  Array grad_keys_of_frame{long(s.aimed.size()) * s.hidden};  // its keys,K
};

}  // namespace

// states [F, M, A, K], embedded [F, E, W], masks [F, M, A, E] -> utilities [F, M, A, U].
extern "C" void entity_head_forward(const EntityHeadSizes* sizes, const EntityHeadWeights* weights,
                                    const float* states, const float* embedded, const bool* masks,
                                    float* utilities) {
  const Shape s(*sizes);
  const auto packed = pack_keys(s, *weights, true);
  const auto compute = [&](HeadBlock& block, long start, long frames) {
    block.begin(embedded + start * s.entities * s.width, masks + start * s.rows * s.entities,
                frames);
    for (long f = 0; f < frames; ++f) {
      const long row = (start + f) * s.rows;
      block.compute_utilities(states + row * s.hidden, masks + row * s.entities,
                              utilities + row * s.actions, f);
    }
  };
  s.blocks.for_each([&] { return HeadBlock(s, packed, *weights); }, compute);
}

// Adds to gradients [partial_sums, parameters], where `parameters` counts all weights, and to
// grad_embedded [F, E, W]. Overwrites grad_states [F, M, A, K].
extern "C" void entity_head_backward(const EntityHeadSizes* sizes, const EntityHeadWeights* weights,
                                     const float* states, const float* embedded, const bool* masks,
                                     const float* grad_utilities, float* grad_states,
                                     float* grad_embedded, float* gradients, int64_t parameters) {
  const Shape s(*sizes);
  const auto packed = pack_keys(s, *weights, true), backward = pack_keys(s, *weights, false);
  s.blocks.add_gradients(
      gradients, parameters, [&] { return GradientBlock(s, packed, backward, *weights); },
      [&](GradientBlock& block, long start, long frames) {
        const long first_entity = start * s.entities * s.width;
        block.begin(embedded + first_entity, masks + start * s.rows * s.entities, frames);
        for (long f = 0; f < frames; ++f) {
          const long row = (start + f) * s.rows;
          block.backward_frame(states + row * s.hidden, masks + row * s.entities,
                               grad_utilities + row * s.actions, grad_states + row * s.hidden, f);
        }
        block.backward_keys(grad_embedded + first_entity);
      });
}
