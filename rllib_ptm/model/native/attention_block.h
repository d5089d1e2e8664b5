// Attention of agents over entities, forward, for one block of frames that fits the cache.
//
// Shape legend: F frames of the block; A agents; E entities, the agents first; P = E rounded up to
// whole vectors; D features of an entity; M masks; W width of an embedded entity; H heads;
// K = W / H, columns of a head's query and key; V columns of a head's value; T columns of the
// attended values; O columns of the output layer.
//
// For each frame, with x_e the features of entity e and h a head:
//   embedding          y_e = ReLU(embed x_e + embed_bias)                 [E, W]
//   queries            q_ah = query_h y_a                                 [A, H, K]
//   mapped queries     k_ah = key_h' q_ah                                 [A, H, W]
//   scores             s_ahe = k_ah . y_e                                 [A, H, E]
//   attention weights  softmax of s over the entities that mask m shows   [M, A, H, E]
//   values             v_eh = value_h y_e                                 [E, H, V]
//   attended values    weights times values                               [M, A, H * V]
//   output             output times attended values + bias, then ReLU     [M, A, O]
// Keys are never computed: (key_h y_e) . q_ah = y_e . (key_h' q_ah), and there are fewer agents
// than entities. The scale of the scores is part of the query weight.
#pragma once

#include <vector>

#include "structs.h"
#include "weight_product.h"

// What follows from the sizes. The attended values are one of
//   [M, A, H * V]  weights times values, head by head
//   [M, A, V]      their sum over the heads, if `summed`
//   [M, H * W]     the weights, summed over the agents, times the embedded entities, if `pooled`
struct Shape : AttentionSizes {
  explicit Shape(const AttentionSizes& sizes) : AttentionSizes(sizes) {}
  static constexpr long kEntitiesPerBlock = 192;  // with these, a block's arrays fit 2 MB of cache
  long block_frames = block_size(frames, partial_sums, kEntitiesPerBlock / entities);
  long padded_entities = (entities + kLanes - 1) / kLanes * kLanes;      // P
  long head_width = width / heads;                                       // K
  long value_columns = pooled ? width : heads * head_value;              // of one entity
  long attended_columns = summed ? head_value : heads * head_value;      // T
  // From one head's attended values to the next head's.
  long attended_head_stride = summed ? 0 : head_value;
  long attended_rows = pooled ? masks : masks * agents;                  // of one frame
  long result_columns = output ? output : attended_columns;
  // The products of weights and values: one for each head; pooled, one for all heads, because these
  // share their values.
  long num_products = pooled ? 1 : heads;
  long product_rows = pooled ? masks * heads : masks * agents;
  // From one row of such a product to the next: in the weights, and in the attended values.
  long weights_stride = pooled ? padded_entities : heads * padded_entities;
  long attended_stride = pooled ? head_value : attended_columns;
  // Floats saved per frame for the backward pass: queries, values and exponentials of the scores.
  long saved_floats = agents * width + (pooled ? 0 : entities * value_columns) +
                      agents * heads * padded_entities;
};

// The weights, packed for the products of the forward pass.
struct ForwardWeights {
  PackedMatrix embed, query, value, output;
  std::vector<PackedMatrix> key;  // one for each head

  ForwardWeights(const Shape& s, const AttentionWeights& w)
      : embed({w.embed, 1, s.features}, s.features, s.width, s.use_bf16),
        query({w.query, 1, s.width}, s.width, s.width, s.use_bf16),
        value({w.value, 1, s.width}, s.width, s.pooled ? 0 : s.value_columns, s.use_bf16),
        output({w.output, 1, s.attended_columns}, s.attended_columns, s.output, s.use_bf16) {
    for (long h = 0; h < s.heads; ++h)
      key.emplace_back(Matrix{w.key + h * s.head_width * s.width, s.width, 1}, s.head_width,
                       s.width, s.use_bf16);
  }
};

// x [rows, columns] += bias [columns], then a ReLU if asked for.
inline void add_bias(float* x, const float* bias, long rows, long columns, bool rectify) {
  for (; rows > 0; --rows, x += columns)
    for (long c = 0; c < columns; c += kLanes) {
      const Vector sum = at(x + c) + at(bias + c);
      at(x + c) = rectify ? relu(sum) : sum;
    }
}

// The stages of the forward pass and their arrays. The backward pass runs the same stages again.
class AttentionBlock {
 public:
  AttentionBlock(const Shape& shape, const ForwardWeights& packed, const AttentionWeights& weights)
      : s(shape), packed(packed), w(weights) {
    for (long e = 0; e < s.padded_entities; ++e) is_entity[e] = e < s.entities;
    const long mask_rows = s.agents * s.heads;
    for (long row = 0; row < s.masks * mask_rows; ++row)
      value_weight_row.push_back(s.pooled ? row / mask_rows * s.heads + row % s.heads : row);
  }

  // Begins a block. `saved` [F, saved_floats] is where queries, values and scores go; null = into
  // memory of this object.
  void begin(float* saved, long frames) {
    queries = saved ? saved : unsaved.data();
    values = queries + frames * s.agents * s.width;
    exp_scores = values + (s.pooled ? 0 : frames * s.entities * s.value_columns);
  }

  void embed(const float* entities, long frames) {
    const long W = s.width, rows = frames * s.entities;
    product(embedded.data(), W, {entities, s.features, 1}, packed.embed, rows);
    add_bias(embedded.data(), w.embed_bias, rows, W, true);
    for (long f = 0; f < frames; ++f)
      std::memcpy(&embedded_agents[f * s.agents * W], &embedded[f * s.entities * W],
                  4 * s.agents * W);
  }

  void compute_queries_and_values(long frames) {
    const long W = s.width;
    product(queries, W, {embedded_agents.data(), W, 1}, packed.query, frames * s.agents);
    if (!s.pooled)
      product(values, s.value_columns, {embedded.data(), W, 1}, packed.value,
              frames * s.entities);
  }

  void map_queries(long frames) {
    const long W = s.width;
    for (long h = 0; h < s.heads; ++h)
      product(&mapped_queries[h * W], s.heads * W, {queries + h * s.head_width, W, 1},
              packed.key[h], frames * s.agents);
  }

  // The exponentials of frame f's scores, less the agent's score of itself. The shift does not
  // change the softmax, is the same under every mask, and keeps the exponentials finite.
  void compute_exp_scores(long f) {
    const long W = s.width, P = s.padded_entities, rows = s.agents * s.heads;
    float* frame_scores = exp_scores + f * rows * P;
    transpose_embedded(f);
    multiply(frame_scores, P, {&mapped_queries[f * rows * W], W, 1}, embedded_transposed.data(), P,
             rows, P, W);
    for (long row = 0; row < rows; ++row) {
      float* score = frame_scores + row * P;
      const float own_score = score[row / s.heads];
      for (long e = 0; e < P; e += kLanes)
        at(score + e) = exponential(clamp(at(score + e) - own_score, -kReach, kReach));
    }
  }

  // The attention weights of frame f under its masks [M, A, E]: the exponentials of visible
  // entities, divided by their sum. An agent that sees nothing gets zeros.
  void compute_weights(const bool* masks, long f) {
    const long P = s.padded_entities, H = s.heads, rows = s.masks * s.agents * H;
    mask_exp_scores(exp_scores + f * s.agents * H * P, masks);
    lane_sums(sums.data(), rows, [&](long row) { return sum_of_vectors(&weights[row * P]); });
    for (long row = 0; row < rows; row += kLanes) {
      const Vector sum = at(&sums[row]);
      at(&sums[row]) = sum == 0.0f ? Vector{} : 1.0f / sum;
    }
    if (s.pooled) std::memset(pooled_weights.data(), 0, 4 * pooled_weights.size());
    for (long row = 0; row < rows; ++row)
      for (long e = 0; e < P; e += kLanes) {
        at(&weights[row * P + e]) *= sums[row];
        if (s.pooled)
          at(&pooled_weights[value_weight_row[row] * P + e]) += at(&weights[row * P + e]);
      }
  }

  // The attended values of frame f, [attended_rows, T].
  void attend(long f, float* to) {
    for (long h = 0; h < s.num_products; ++h)
      multiply(to + h * s.attended_head_stride, s.attended_stride,
               {value_weights() + h * s.padded_entities, s.weights_stride, 1},
               frame_values(f) + h * s.head_value, s.value_columns, s.product_rows, s.head_value,
               s.entities, s.summed && h > 0);
  }

  // The results of all frames. Without an output layer they are the attended values, plus the bias.
  void compute_results(float* results, long frames) {
    const long rows = frames * s.attended_rows;
    if (s.output)
      product(results, s.output, {attended.data(), s.attended_columns, 1}, packed.output, rows);
    if (s.has_bias) add_bias(results, w.bias, rows, s.result_columns, s.rectified);
  }

  const Shape& s;
  WeightProduct product{s.use_bf16 != 0};
  Array embedded{s.block_frames * s.entities * s.width};                    // F,E,W
  Array attended{s.block_frames * s.attended_rows * s.attended_columns};    // F,M,A,T or F,M,T

 protected:
  // Scores are clamped to this distance from the agent's own score, as in model/attention.py.
  static constexpr float kReach = 80.0f;

  // weights [M, A, H, P] = exponentials [A, H, P] where the mask [M, A, E] is true, else 0.
  void mask_exp_scores(const float* exponentials, const bool* masks) {
    const long P = s.padded_entities, agent_scores = s.heads * P;
    std::memcpy(mask_bytes.data(), masks, s.masks * s.agents * s.entities);
    for (long row = 0; row < s.masks * s.agents; ++row)
      for (long e = 0; e < P; e += kLanes) {
        const auto& bytes =
            *reinterpret_cast<const ByteVector*>(mask_bytes.data() + row * s.entities + e);
        const Vector visible = __builtin_convertvector(bytes, Vector) * at(&is_entity[e]);
        const float* score = exponentials + row % s.agents * agent_scores + e;
        for (long h = 0; h < agent_scores; h += P)
          at(&weights[row * agent_scores + h + e]) = at(score + h) * visible;
      }
  }

  // The sum of the vectors of a row [P].
  Vector sum_of_vectors(const float* row) const {
    Vector sum = at(row);
    for (long e = kLanes; e < s.padded_entities; e += kLanes) sum += at(row + e);
    return sum;
  }

  void transpose_embedded(long f) {
    const float* frame_embedded = &embedded[f * s.entities * s.width];
    transpose(embedded_transposed.data(), s.padded_entities, frame_embedded, s.width, s.entities,
              s.width);
  }

  // The weights that multiply the values: of each agent, or summed over the agents.
  const float* value_weights() const { return s.pooled ? pooled_weights.data() : weights.data(); }
  // What they multiply: the values of frame f, or its embedded entities.
  const float* frame_values(long f) const {
    return s.pooled ? &embedded[f * s.entities * s.width]
                    : values + f * s.entities * s.value_columns;
  }

  const ForwardWeights& packed;
  const AttentionWeights& w;
  // Saved for the backward pass where reading them is faster than computing them again:
  float *queries, *values, *exp_scores;  // F,A,H,K; F,E,H * V; F,A,H,P
  Array unsaved{s.block_frames * s.saved_floats};
  Array embedded_agents{s.block_frames * s.agents * s.width};           // F,A,W
  Array mapped_queries{s.block_frames * s.agents * s.heads * s.width};  // F,A,H,W
  // Of one frame:
  Array embedded_transposed{s.width * s.padded_entities};  // W,P
  // M,A,E, and room for the last vector
  std::vector<char> mask_bytes =
      std::vector<char>(s.masks * s.agents * s.entities + s.padded_entities);
  std::vector<long> value_weight_row;  // M * A * H: the row of value_weights() it is part of
  Array is_entity{s.padded_entities};  // P: 1, or 0 in the padding
  Array weights{s.masks * s.agents * s.heads * s.padded_entities};  // M,A,H,P
  Array sums{s.masks * s.agents * s.heads + kLanes};  // M,A,H: sums of exponentials, then 1 / sums
  Array pooled_weights{s.pooled ? s.masks * s.heads * s.padded_entities : 0};  // M,H,P
};
